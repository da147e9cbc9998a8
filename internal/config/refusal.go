package config

import "strings"

// refusals tells which setting pgx means. Its messages quote values, so none of them is passed on.
var refusals = []struct{ message, setting, allowed string }{
	{"`: invalid port", "port", "whole numbers from 1 to 65535"},
	{"`: could not match", "port", "one port, or one for each host"},
	{"`: failed to read service", "service", "the name of an entry of the service file"},
	{"`: invalid connect_timeout", "connect_timeout", "whole seconds, 0 or more"},
	{"`: invalid sslcertmode", "sslcertmode", "one of disable, allow, require"},
	{"(sslmode is invalid)", "sslmode", "one of disable, allow, prefer, require, verify-ca, verify-full"},
	{"(unable to read CA file", "sslrootcert", "a file with certificates, or system"},
	{"(unable to add CA", "sslrootcert", "a file with certificates, or system"},
	{`(both "sslcert" and "sslkey"`, "sslcert", "both sslcert and sslkey, or none"},
	{"(unable to read sslkey", "sslkey", "a file with a private key in PEM"},
	{"(failed to decode sslkey", "sslkey", "a file with a private key in PEM"},
	{"(unable to find sslpassword", "sslpassword", "the password of the sslkey"},
	{"(unable to decrypt key", "sslpassword", "the password of the sslkey"},
	{"(unable to read cert", "sslcert", "a file with a certificate in PEM"},
	{"(unable to load cert", "sslcert", "a file with a certificate in PEM that fits the sslkey"},
	{"`: unknown target_session_attrs", "target_session_attrs", "one of any, read-write, read-only, primary, standby, prefer-standby"},
	{"`: invalid min_protocol_version", "min_protocol_version", "one of 3.0, 3.2, latest"},
	{"`: invalid max_protocol_version", "max_protocol_version", "one of 3.0, 3.2, latest"},
	{"`: min_protocol_version cannot", "max_protocol_version", "at least min_protocol_version"},
	{"`: unknown channel_binding", "channel_binding", "one of disable, prefer, require"},
	{"`: invalid require_auth", "require_auth", "a list of password, md5, gss, sspi, scram-sha-256, oauth, none"},
	{"`: cannot parse statement_cache_capacity", "statement_cache_capacity", "a whole number"},
	{"`: cannot parse description_cache_capacity", "description_cache_capacity", "a whole number"},
	{"`: invalid default_query_exec_mode", "default_query_exec_mode", "one of cache_statement, cache_describe, describe_exec, exec, simple_protocol"},
}

// refusal says what pgx does not accept and where it was set.
func (c *Config) refusal(s settings, err error) *Error {
	for _, r := range refusals {
		if strings.Contains(err.Error(), r.message) {
			refused := c.locate(s, r.setting)
			refused.Allowed = r.allowed
			return refused
		}
	}
	return &Error{Key: "database", Problem: "the settings are not accepted by pgx", Allowed: mustFind(urlKey).allowed()}
}

// locate names the place that a setting was set in.
func (c *Config) locate(s settings, name string) *Error {
	effective, ok := s[name]
	part := "its " + name + " is not accepted"
	if !ok { // a default of pgx, such as a file in ~/.postgresql
		return &Error{Key: "database", Problem: part}
	}
	switch effective.level {
	case variable:
		return &Error{Source: pgVariables[name], Key: name, Problem: "is not accepted"}
	case service:
		return &Error{Source: "the service file", Key: name, Problem: "is not accepted"}
	case fileURL, envURL:
		return c.at(urlKey, part)
	}
	if own, ok := keyOfSetting(name); ok {
		return c.at(own.name, "is not accepted")
	}
	return c.at(paramsKey, part)
}

// at is an error about a key, at the place where the key was set.
func (c *Config) at(key, problem string) *Error {
	from := c.origins[key]
	return &Error{Source: from.source, Line: from.line, Key: key, Problem: problem}
}
