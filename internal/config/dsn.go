package config

import (
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// Connection strings are taken apart here, by the rules of libpq and pgx, because pgx tells nobody which settings a
// string names: and that is what the precedence of database.url over single keys, PG* variables and defaults is about.
// The errors are constant texts, safe to print whatever the string holds.
var (
	errEscape    = errors.New("a % is not followed by two hexadecimal digits (a % itself is %25)")
	errNUL       = errors.New("it contains a NUL byte")
	errSpace     = errors.New("it contains a space (which is %20 in a URL)")
	errBracket   = errors.New("a [ has no ] or nothing in it, or something else than a port follows")
	errAt        = errors.New("an @ stands in a place where it cannot (an @ in a password is %40, a / is %2F)")
	errParameter = errors.New("a parameter is not name=value")
	errKeyword   = errors.New("it is neither a URL that begins with postgres:// nor a list of name=value")
	errQuote     = errors.New("a quoted value has no end")
	errName      = errors.New("a name in it is none of a setting")
)

// parseDSN returns the settings that a connection string names, by the names that pgx uses.
func parseDSN(dsn string) (map[string]string, error) {
	if strings.ContainsRune(dsn, 0) {
		return nil, errNUL
	}
	parse := parseKeywords
	for _, scheme := range []string{"postgres://", "postgresql://"} {
		if rest, ok := strings.CutPrefix(dsn, scheme); ok {
			dsn, parse = rest, parseURL
		}
	}
	settings, err := parse(dsn)
	if err != nil {
		return nil, err
	}
	for name := range settings {
		if !identifier.MatchString(name) {
			return nil, errName
		}
	}
	// An empty user is the same as none, in both spellings.
	maps.DeleteFunc(settings, func(name, value string) bool { return name == "user" && value == "" })
	return settings, nil
}

// parseURL reads what follows postgres://, that is [user[:password]@][host[:port],...][/database][?name=value&...].
func parseURL(rest string) (map[string]string, error) {
	var u urlSettings
	if i := strings.IndexAny(rest, "@/"); i >= 0 && rest[i] == '@' {
		user, password, _ := strings.Cut(rest[:i], ":")
		u.put("user", user)
		u.put("password", password)
		rest = rest[i+1:]
	}
	rest = u.hosts(rest)
	path, query, _ := strings.Cut(rest, "?")
	if strings.Contains(path, "@") {
		u.fail(errAt)
	}
	u.put("database", strings.TrimPrefix(path, "/"))
	u.query(query)
	return u.settings, u.err
}

// urlSettings collects the parts of a URL and the first error.
type urlSettings struct {
	settings map[string]string
	err      error
}

func (u *urlSettings) fail(err error) {
	if u.err == nil {
		u.err = err
	}
}

// put stores a part that is there.
func (u *urlSettings) put(name, raw string) {
	if raw != "" {
		u.set(name, u.decode(raw))
	}
}

func (u *urlSettings) set(name, value string) {
	if u.settings == nil {
		u.settings = make(map[string]string)
	}
	u.settings[name] = value
}

// hosts reads the list of hosts and ports, and returns what follows it.
func (u *urlSettings) hosts(rest string) string {
	var hosts, ports []string
	for more := true; more; rest, more = strings.CutPrefix(rest, ",") {
		var host, port string
		if strings.HasPrefix(rest, "[") {
			host, rest = u.bracketed(rest[1:])
		} else {
			host, rest = cutBefore(rest, ":/?,")
		}
		if after, ok := strings.CutPrefix(rest, ":"); ok {
			port, rest = cutBefore(after, "/?,")
		}
		hosts, ports = append(hosts, host), append(ports, port)
	}
	host, port := strings.Join(hosts, ","), strings.Join(ports, ",")
	if strings.Contains(host+port, "@") {
		u.fail(errAt)
	}
	u.put("host", host)
	u.put("port", port)
	return rest
}

// bracketed reads an IPv6 address up to its closing bracket.
func (u *urlSettings) bracketed(rest string) (host, after string) {
	host, after, ok := strings.Cut(rest, "]")
	if !ok || host == "" || after != "" && !strings.ContainsAny(after[:1], ":/?,") {
		u.fail(errBracket)
		return "", ""
	}
	return host, after
}

// cutBefore cuts s before the first of the characters, or takes all of it.
func cutBefore(s, characters string) (before, rest string) {
	if i := strings.IndexAny(s, characters); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// query reads the parameters. They go before what the URL said up to here, and a later one before an earlier one.
func (u *urlSettings) query(query string) {
	parameters := make(map[string]string)
	sslIsLast := false // which of ssl and sslmode came last
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		name, value, ok := strings.Cut(pair, "=")
		if !ok || strings.Contains(value, "=") {
			u.fail(errParameter)
			return
		}
		name = canonical(u.decode(name))
		parameters[name] = u.decode(value)
		if name == "ssl" || name == "sslmode" {
			sslIsLast = name == "ssl"
		}
	}
	if parameters["ssl"] == "true" { // as JDBC writes it
		delete(parameters, "ssl")
		if sslIsLast {
			parameters["sslmode"] = "require"
		}
	}
	for name, value := range parameters {
		u.set(name, value)
	}
}

func (u *urlSettings) decode(raw string) string {
	raw = strings.Trim(raw, " ")
	text, err := url.PathUnescape(raw)
	switch {
	case strings.Contains(raw, " "):
		u.fail(errSpace)
	case err != nil:
		u.fail(errEscape)
	case strings.ContainsRune(text, 0):
		u.fail(errNUL)
	}
	return text
}

// canonical is the name that pgx has for a setting.
func canonical(name string) string {
	if name == "dbname" {
		return "database"
	}
	return name
}

const blanks = " \t\n\v\f\r"

// parseKeywords reads name=value name='value' ...; a later one goes before an earlier one.
func parseKeywords(rest string) (map[string]string, error) {
	settings := make(map[string]string)
	for rest = strings.TrimLeft(rest, blanks); rest != ""; rest = strings.TrimLeft(rest, blanks) {
		name, after, ok := strings.Cut(rest, "=")
		name = strings.TrimRight(name, blanks)
		if !ok || name == "" || strings.ContainsAny(name, blanks) {
			return nil, errKeyword
		}
		value, after, ok := cutValue(strings.TrimLeft(after, blanks))
		if !ok {
			return nil, errQuote
		}
		settings[canonical(name)], rest = value, after
	}
	return settings, nil
}

// cutValue reads one value, quoted or up to the next blank. A backslash takes the next character as it is.
func cutValue(s string) (value, rest string, ok bool) {
	s, quoted := strings.CutPrefix(s, "'")
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case c == '\\': // at the very end it escapes nothing
		case quoted && c == '\'', !quoted && strings.IndexByte(blanks, c) >= 0:
			return b.String(), s[i+1:], true
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), "", !quoted
}

// keywords writes settings as a keyword string.
func keywords(settings map[string]string) string {
	var b strings.Builder
	escape := strings.NewReplacer(`\`, `\\`, `'`, `\'`)
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		b.WriteString(name + "='" + escape.Replace(settings[name]) + "' ")
	}
	return b.String()
}
