package config

import (
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgservicefile"
	"github.com/jackc/pgx/v5"

	"github.com/seed-4ff2b7b9/supervised/internal/secret"
)

// ConnConfig returns what pgx needs to open a connection. Each setting comes from the first of these that names it:
// DATABASE_URL, the other DATABASE_* variables, the file's url (unless DATABASE_URL replaces it), its single keys, the
// service file, the standard PG* variables, the built-in default. A password that none of them names is looked for in the password file (~/.pgpass).
// A field that was changed by hand after Load counts as a default.
//
// The time-out of a connection attempt is in ConnectTimeout; statement_timeout, the client connection check, the TCP
// keepalives, application_name and runtime_params are in RuntimeParams, in the units of the server. What is off (0) is
// not there. The error is an *Error or several, joined.
func (c Config) ConnConfig() (*pgx.ConnConfig, error) {
	conn, found := c.connConfig()
	if len(found) > 0 {
		return nil, found.err()
	}
	return conn, nil
}

func (c *Config) connConfig() (*pgx.ConnConfig, problems) {
	s, found := c.settings()
	if len(found) > 0 {
		return nil, found
	}
	explicit, password := s.explicit()
	conn, err := pgx.ParseConfig(keywords(explicit))
	if err != nil {
		return nil, problems{c.refusal(s, err)}
	}
	if password != "" {
		conn.Password = password
	}
	if s["connect_timeout"].level.isKey() { // pgx knows whole seconds only
		conn.ConnectTimeout = time.Duration(c.Database.ConnectionTimeout)
		conn.DialFunc = (&net.Dialer{Timeout: conn.ConnectTimeout}).DialContext
	}
	c.trimParams(conn, s)
	return conn, c.misplacedParams(conn)
}

// trimParams takes out what must not be sent: what is off, and what the options of a higher level (PGOPTIONS, say, with
// "-c statement_timeout=1s") set, too, for the server would go by the parameter.
func (c *Config) trimParams(conn *pgx.ConnConfig, s settings) {
	options := strings.ReplaceAll(s["options"].value, "-", "_")
	for name := range conn.RuntimeParams {
		own, ok := keyOfSetting(name)
		off := ok && s[name].level.isKey() && own.in(c).IsZero()
		inOptions := s[name].level < s["options"].level && strings.Contains(options, name+"=")
		if off || inOptions {
			delete(conn.RuntimeParams, name)
		}
	}
}

// misplacedParams finds the runtime_params that are none: pgx took them for something else.
func (c *Config) misplacedParams(conn *pgx.ConnConfig) problems {
	var found problems
	for _, name := range slices.Sorted(maps.Keys(c.Database.RuntimeParams)) {
		if _, ok := conn.RuntimeParams[name]; !ok {
			found.add(c.origins[paramsKey], paramsKey+"."+name, "is no setting of the server",
				"server settings; what tells how to connect belongs in "+urlKey)
		}
	}
	return found
}

// level is where a setting comes from. A higher one goes before a lower one.
type level int

const (
	builtIn level = iota
	variable
	service
	fileKey
	fileURL
	envKey
	envURL
)

// isKey tells whether the setting comes from a key of its own, set or not.
func (l level) isKey() bool { return l == builtIn || l == fileKey || l == envKey }

// setting is a value of a connection string and the level that it comes from.
type setting struct {
	value string
	level level
}

// settings are the effective ones, by the name that pgx has for them.
type settings map[string]setting

func (s settings) merge(from level, values map[string]string) {
	for name, value := range values {
		if old, ok := s[name]; !ok || old.level <= from {
			s[name] = setting{value, from}
		}
	}
}

// settings puts the levels on top of each other.
func (c *Config) settings() (settings, problems) {
	s := make(settings)
	s.merge(variable, variables())
	for _, k := range keys {
		s.merge(c.levelOf(k.name, builtIn, fileKey, envKey), k.settings(c))
	}
	if !c.Database.URL.IsZero() {
		values, err := parseDSN(c.Database.URL.Reveal())
		if err != nil {
			var found problems
			found.add(c.origins[urlKey], urlKey, "is not understood: "+err.Error(), mustFind(urlKey).allowed())
			return nil, found
		}
		s.merge(c.levelOf(urlKey, envURL, fileURL, envURL), values)
	}
	s.merge(service, serviceSettings(s))
	return s, nil
}

// levelOf returns the level of a key, by whether it was set and where.
func (c *Config) levelOf(key string, unset, inFile, inEnv level) level {
	switch from, set := c.origins[key]; {
	case !set:
		return unset
	case from.line > 0:
		return inFile
	}
	return inEnv
}

// settings returns what the key says to a connection: nothing, one setting, or all those of runtime_params.
func (k key) settings(c *Config) map[string]string {
	v := k.in(c)
	if k.name == paramsKey {
		values := make(map[string]string)
		for name, value := range c.Database.RuntimeParams {
			values[name] = value.Reveal()
		}
		return values
	}
	name, unit := k.setting()
	if name == "" || isEmpty(v) {
		return nil
	}
	switch value := v.Interface().(type) {
	case secret.Secret:
		return map[string]string{name: value.Reveal()}
	case Duration:
		return map[string]string{name: strconv.FormatInt(value.roundUp(unit), 10)}
	case int:
		return map[string]string{name: strconv.Itoa(value)}
	}
	return map[string]string{name: v.String()}
}

// setting returns the name that the key has in a connection string, if it has one, and the unit of a duration there.
func (k key) setting() (name string, unit time.Duration) {
	name, in, _ := strings.Cut(k.field.Tag.Get("pgx"), ",")
	if in == "ms" {
		return name, time.Millisecond
	}
	return name, time.Second
}

// keyOfSetting returns the key that stands for a setting of a connection string.
func keyOfSetting(setting string) (key, bool) {
	for _, k := range keys {
		if name, _ := k.setting(); name != "" && name == setting {
			return k, true
		}
	}
	return key{}, false
}

// pgVariables are the standard variables that a built-in default must not hide, and those that pgx may refuse. pgx
// reads them, and the others, itself.
var pgVariables = map[string]string{
	"host":                 "PGHOST",
	"port":                 "PGPORT",
	"database":             "PGDATABASE",
	"user":                 "PGUSER",
	"password":             "PGPASSWORD",
	"application_name":     "PGAPPNAME",
	"connect_timeout":      "PGCONNECT_TIMEOUT",
	"options":              "PGOPTIONS",
	"service":              "PGSERVICE",
	"servicefile":          "PGSERVICEFILE",
	"sslmode":              "PGSSLMODE",
	"sslcert":              "PGSSLCERT",
	"sslcertmode":          "PGSSLCERTMODE",
	"sslkey":               "PGSSLKEY",
	"sslrootcert":          "PGSSLROOTCERT",
	"sslpassword":          "PGSSLPASSWORD",
	"target_session_attrs": "PGTARGETSESSIONATTRS",
	"min_protocol_version": "PGMINPROTOCOLVERSION",
	"max_protocol_version": "PGMAXPROTOCOLVERSION",
	"channel_binding":      "PGCHANNELBINDING",
	"require_auth":         "PGREQUIREAUTH",
}

func variables() map[string]string {
	values := make(map[string]string)
	for name, variable := range pgVariables {
		if value := os.Getenv(variable); value != "" {
			values[name] = value
		}
	}
	return values
}

// serviceSettings reads the entry of the service file that the settings name. If there is none, pgx finds the same out
// and says so.
func serviceSettings(s settings) map[string]string {
	name, ok := s["service"]
	if !ok {
		return nil
	}
	path := s["servicefile"].value
	if home, err := os.UserHomeDir(); path == "" && err == nil {
		path = filepath.Join(home, ".pg_service.conf")
	}
	file, err := pgservicefile.ReadServicefile(path)
	if err != nil {
		return nil
	}
	entry, err := file.GetService(name.value)
	if err != nil {
		return nil
	}
	values := make(map[string]string)
	for name, value := range entry.Settings {
		values[canonical(name)] = value
	}
	return values
}

// explicit returns the settings that pgx would not find by itself. The password stays out of them, and so out of every
// error of pgx.
func (s settings) explicit() (values map[string]string, password string) {
	values = make(map[string]string)
	for name, setting := range s {
		switch {
		case setting.level == variable || setting.level == service:
		case name == "password":
			password = setting.value
		default:
			values[name] = setting.value
		}
	}
	return values, password
}
