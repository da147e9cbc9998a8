package fakepg

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
)

// defaults are the settings that every session has before its start-up parameters are applied. show and set know these,
// what came with the start-up, and every name with a dot in it.
var defaults = map[string]string{
	"application_name":                    "",
	"client_connection_check_interval":    "0",
	"client_encoding":                     "UTF8",
	"datestyle":                           "ISO, MDY",
	"default_transaction_isolation":       "read committed",
	"default_transaction_read_only":       "off",
	"extra_float_digits":                  "1",
	"idle_in_transaction_session_timeout": "0",
	"idle_session_timeout":                "0",
	"lock_timeout":                        "0",
	"role":                                "none",
	"search_path":                         `"$user", public`,
	"server_version":                      "15.0",
	"session_replication_role":            "origin",
	"standard_conforming_strings":         "on",
	"statement_timeout":                   "0",
	"tcp_keepalives_count":                "0",
	"tcp_keepalives_idle":                 "0",
	"tcp_keepalives_interval":             "0",
	"tcp_user_timeout":                    "0",
	"timezone":                            "UTC",
	"transaction_isolation":               "read committed",
	"work_mem":                            "4MB",
}

// reported are the settings whose change the client is told of, in the spelling that it is told.
var reported = map[string]string{
	"application_name":              "application_name",
	"client_encoding":               "client_encoding",
	"datestyle":                     "DateStyle",
	"default_transaction_read_only": "default_transaction_read_only",
	"standard_conforming_strings":   "standard_conforming_strings",
	"timezone":                      "TimeZone",
}

// settings are a session's, with names in lower case. The zero value has none.
type settings struct {
	start map[string]string // what reset leads back to
	now   map[string]string
	saved map[string]string // what a rollback leads back to; nil outside of a transaction
	local map[string]string // set local: until the transaction ends
}

// startSettings are those of a session that began with these start-up parameters.
func startSettings(parameters map[string]string) settings {
	start := maps.Clone(defaults)
	for name, value := range parameters {
		if name != "user" && name != "database" && name != "options" {
			start[strings.ToLower(name)] = value
		}
	}
	return settings{start: start, now: maps.Clone(start), local: make(map[string]string)}
}

func (s *settings) get(name string) string {
	if value, ok := s.local[name]; ok {
		return value
	}
	return s.now[name]
}

func (s *settings) known(name string) bool {
	_, ok := s.now[name]
	return ok
}

// set changes one setting, for the session or until the transaction ends.
func (s *settings) set(name, value string, local bool) error {
	if !s.known(name) && !strings.Contains(name, ".") {
		return unknownSetting(name)
	}
	switch {
	case !local:
		s.now[name] = value
		delete(s.local, name)
	case s.saved != nil:
		s.local[name] = value
	}
	return nil
}

func (s *settings) reset(name string) error {
	switch value, ok := s.start[name]; {
	case name == "all":
		s.now = maps.Clone(s.start)
		clear(s.local)
	case ok:
		s.now[name] = value
		delete(s.local, name)
	case s.known(name):
		s.now[name] = ""
	default:
		return unknownSetting(name)
	}
	return nil
}

func (s *settings) begin() { s.saved = maps.Clone(s.now) }

// finish ends the transaction: what it set stays only if it committed.
func (s *settings) finish(committed bool) {
	if !committed && s.saved != nil {
		s.now = s.saved
	}
	s.saved = nil
	clear(s.local)
}

// duration reads a setting that is a time: milliseconds, or a number with a unit. What it cannot read is zero: off.
func (s *settings) duration(name string) time.Duration {
	text := s.get(name)
	if number, err := strconv.Atoi(text); err == nil {
		return time.Duration(number) * time.Millisecond
	}
	d, err := time.ParseDuration(strings.ReplaceAll(text, "min", "m"))
	if err != nil {
		return 0
	}
	return d
}

func unknownSetting(name string) error {
	return failed("42704", fmt.Sprintf("unrecognized configuration parameter %q", name))
}
