package config_test

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/config"
	"github.com/seed-4ff2b7b9/supervised/internal/secret"
)

// bad is a file with one mistake, and where the error must point.
type bad struct {
	name, file string
	line       int
	key        string
	says       string
}

var badFiles = []bad{
	{"unknown key", "database:\n  hots: localhost", 2, "database.hots", "is unknown; allowed: url, host, port,"},
	{"unknown section", "retry:\n  jitter: 0\ndatabas:\n  host: x", 3, "databas", "is unknown; allowed: database, retry, health,"},
	{"key at the top", "host: localhost", 1, "host", "is unknown; allowed: database, retry"},
	{"key set twice", "log:\n  level: info\n  level: warn", 3, "log.level", "was set before, in line 2; allowed: once"},
	{"section set twice", "log:\n  level: info\nlog:\n  format: json", 3, "log", "was set before, in line 1"},
	{"section is a text", "database: localhost", 1, "database", "has the wrong type; allowed: keys with values: url, host"},
	{"section is a list", "log:\n  - level", 2, "log", "has the wrong type"},
	{"file is a list", "- database", 1, "", "has the wrong type; allowed: keys with values: database"},
	{"file is a text", "database", 1, "", "has the wrong type"},
	{"text for a number", "database:\n  port: many", 2, "database.port", "has the wrong type; allowed: a whole number, from 1 to 65535"},
	{"quoted number", "database:\n  port: \"5432\"", 2, "database.port", "has the wrong type"},
	{"fraction for a whole number", "database:\n  pool_max_size: 5.5", 2, "database.pool_max_size", "has the wrong type"},
	{"octal", "database:\n  port: 05432", 2, "database.port", "has the wrong type"},
	{"hexadecimal", "database:\n  port: 0x10", 2, "database.port", "has the wrong type"},
	{"far too large a number", "retry:\n  max_retries: 99999999999999999999", 2, "retry.max_retries", "has the wrong type"},
	{"list for a text", "database:\n  host: [a, b]", 2, "database.host", "has the wrong type; allowed: a text"},
	{"mapping for a text", "database:\n  password:\n    x: y", 3, "database.password", "has the wrong type; allowed: a text"},
	{"text for a truth value", "retry:\n  fail_fast: maybe", 2, "retry.fail_fast", "has the wrong type; allowed: true or false"},
	{"text for a fraction", "retry:\n  jitter: some", 2, "retry.jitter", "has the wrong type; allowed: a number, from 0 to 1"},
	{"no duration", "health:\n  interval: soon", 2, "health.interval", "has the wrong type; allowed: seconds (10 or 0.5) or a duration (500ms), 0 or more"},
	{"duration with a blank", "health:\n  interval: 10 s", 2, "health.interval", "has the wrong type"},
	{"duration too long for Go", "health:\n  interval: 99999999999999", 2, "health.interval", "has the wrong type"},
	{"min > max", "database:\n  pool_max_size: 3\n  pool_min_size: 4", 3, "database.pool_min_size", "is more than database.pool_max_size; allowed: at most 3"},
	{"min > default max", "database:\n  pool_min_size: 21", 2, "database.pool_min_size", "at most 20"},
	{"idle > max", "database:\n  min_idle: 21", 2, "database.min_idle", "at most 20"},
	{"jitter > lifetime", "database:\n  max_lifetime: 1m\n  max_lifetime_jitter: 2m", 3, "database.max_lifetime_jitter", "at most 1m0s"},
	{"zero max", "database:\n  pool_max_size: 0", 2, "database.pool_max_size", "is out of range; allowed: a whole number, from 1 to 262143"},
	{"negative size", "database:\n  pool_min_size: -1", 2, "database.pool_min_size", "is out of range; allowed: a whole number, 0 or more"},
	{"negative time", "database:\n  statement_timeout: -1", 2, "database.statement_timeout", "is out of range"},
	{"negative duration", "database:\n  max_idle_time: -5m", 2, "database.max_idle_time", "is out of range"},
	{"statement time-out that overflows", "database:\n  statement_timeout: 600h", 2, "database.statement_timeout", "from 0 to 500h"},
	{"port 0", "database:\n  port: 0", 2, "database.port", "is out of range"},
	{"port too high", "ops:\n  port: 65536", 2, "ops.port", "is out of range; allowed: a whole number, from 0 to 65535"},
	{"no health bound", "health:\n  timeout: 0", 2, "health.timeout", "is out of range"},
	{"jitter above 1", "retry:\n  jitter: 1.1", 2, "retry.jitter", "is out of range"},
	{"jitter is no number", "retry:\n  jitter: .nan", 2, "retry.jitter", "is out of range"},
	{"initial backoff too short", "retry:\n  initial_backoff: 0.09", 2, "retry.initial_backoff", "from 100ms to 10s"},
	{"initial backoff too long", "retry:\n  initial_backoff: 11s", 2, "retry.initial_backoff", "from 100ms to 10s"},
	{"cap too long", "retry:\n  max_backoff: 61", 2, "retry.max_backoff", "from 100ms to 60s"},
	{"cap below the first", "retry:\n  max_backoff: 1\n  initial_backoff: 2", 3, "retry.initial_backoff", "is more than retry.max_backoff; allowed: at most 1s"},
	{"schedule too long", "retry:\n  max_retries: 9", 2, "retry.max_retries", "makes a retry schedule of more than 2m0s: 9 retries, from 500ms up to 30s apart; allowed: a schedule of at most 2m0s"},
	{"schedule too long by its cap", "retry:\n  initial_backoff: 10\n  max_backoff: 60", 3, "retry.max_backoff", "5 retries, from 10s up to 1m0s apart"},
	{"endless retries", "retry:\n  max_retries: 9223372036854775807", 2, "retry.max_retries", "schedule"},
	{"restarts without end", "supervision:\n  restart_delay: 100ms", 2, "supervision.restart_delay", "lets a part that always fails be restarted for ever: 10 restarts, from 100ms up to 30s apart, take longer than restart_within, 1m0s"},
	{"restarts without end in a short time", "supervision:\n  restart_within: 5", 2, "supervision.restart_within", "be restarted for ever"},
	{"unknown choice", "health:\n  on_acquire: sometimes", 2, "health.on_acquire", "is none of the known values; allowed: one of idle, always, never"},
	{"unknown policy", "lease:\n  reset: always", 2, "lease.reset", "is none of the known values; allowed: one of smart, none, full"},
	{"warns after the end", "lease:\n  warn_after: 2m\n  max_age: 1m", 2, "lease.warn_after", "is more than lease.max_age; allowed: at most 1m0s"},
	{"unknown level", "log:\n  level: loud", 2, "log.level", "one of trace, debug, info, warn, error"},
	{"unknown exec mode", "database:\n  default_query_exec_mode: fast", 2, "database.default_query_exec_mode", "one of cache_statement, cache_describe, describe_exec, exec, simple_protocol"},
	{"unknown sslmode", "database:\n  sslmode: maybe", 2, "database.sslmode", "one of disable, allow, prefer"},
	{"NUL in a text", "database:\n  host: \"a\\0b\"", 2, "database.host", "contains a NUL byte"},
	{"NUL in a password", "database:\n  password: \"a\\0b\"", 2, "database.password", "contains a NUL byte"},
	{"NUL in a parameter", "database:\n  runtime_params: {a: \"b\\0\"}", 2, "database.runtime_params", "contains a NUL byte"},
	{"parameters are a text", "database:\n  runtime_params: x", 2, "database.runtime_params", "has the wrong type; allowed: server settings"},
	{"parameter is a list", "database:\n  runtime_params: {a: [b]}", 2, "database.runtime_params", "has the wrong type"},
	{"parameter is empty", "database:\n  runtime_params: {a: }", 2, "database.runtime_params", "has the wrong type"},
	{"parameter twice", "database:\n  runtime_params: {a: 1, a: 2}", 2, "database.runtime_params", "has the wrong type"},
	{"parameter is no name", "database:\n  runtime_params: {a b: c}", 2, "database.runtime_params", "contains a name that is none of a server setting"},
	{"parameter with a key of its own", "database:\n  runtime_params: {statement_timeout: 5}", 2, "database.runtime_params", "contains statement_timeout, which has a key of its own, database.statement_timeout"},
	{"parameter is the password", "database:\n  runtime_params: {password: x}", 2, "database.runtime_params", "a key of its own, database.password"},
	{"parameter for the connection", "database:\n  runtime_params: {sslsni: 1}", 2, "database.runtime_params.sslsni", "is no setting of the server; allowed: server settings; what tells how to connect belongs in database.url"},
	{"parameter that pgx refuses", "database:\n  runtime_params: {target_session_attrs: x}", 2, "database.runtime_params", "its target_session_attrs is not accepted; allowed: one of any,"},
	{"url is no URL", "database:\n  url: mysql://u@h/d", 2, "database.url", "is not understood: it is neither a URL that begins with postgres:// nor a list of name=value; allowed: a URL (postgres://"},
	{"port in the url", "database:\n  url: postgres://h:70000/d", 2, "database.url", "its port is not accepted; allowed: whole numbers from 1 to 65535"},
	{"sslmode in the url", "database:\n  url: host=h sslmode=x", 2, "database.url", "its sslmode is not accepted"},
	{"exec mode in the url", "database:\n  url: postgres://h/d?default_query_exec_mode=x", 2, "database.url", "its default_query_exec_mode is not accepted; allowed: one of cache_statement"},
	{"broken YAML", "database:\n  host: a\n   port: 1", 3, "", "is not YAML: mapping values are not allowed in this context; allowed: lines of the form \"key: value\", indented with spaces, and texts with special characters in quotes"},
	{"broken in the first line", "database: [", 1, "", "is not YAML: "},
	{"tab", "database:\n\thost: a", 2, "", "is not YAML: found character that cannot start any token"},
	{"two documents", "log:\n  level: info\n---\nlog:\n", 3, "", "a second YAML document begins; allowed: one document"},
	{"broken second document", "log:\n---\na: [", 3, "", "is not YAML"},
	{"alias to nothing", "database:\n  host: x\n  user: *someone", 3, "", "a value begins with * and refers to nothing; allowed: a text that begins with * in quotes"},
	{"not UTF-8", "log:\n  level: \xff", 2, "", "is not a text file; allowed: YAML in UTF-8"},
	{"control character", "log:\n  level: \x01", 2, "", "is not a text file"},
	{"key is a mapping", "? {a: b}\n: c", 1, "(a key that is not a name)", "is unknown"},
	{"merge", "log: &x\n  level: info\nops:\n  <<: *x", 4, "ops.(a key that is not a name)", "is unknown"},
}

func TestEachMistakeInTheFileIsOneError(t *testing.T) {
	for _, b := range badFiles {
		t.Run(b.name, func(t *testing.T) {
			path := write(t, b.file)
			all := failures(t, path)
			require.Len(t, all, 1)
			require.Equal(t, path, all[0].Source)
			require.Equal(t, b.line, all[0].Line, all[0].Error())
			require.Equal(t, b.key, all[0].Key)
			require.NotEmpty(t, all[0].Allowed)
			place := path + ":" + strconv.Itoa(b.line) + ": "
			if b.key != "" {
				place += b.key + ": "
			}
			require.True(t, strings.HasPrefix(all[0].Error(), place), all[0].Error())
			require.Contains(t, strings.TrimPrefix(all[0].Error(), place), b.says)
		})
	}
}

func TestEachMistakeInTheEnvironmentIsOneError(t *testing.T) {
	for _, b := range []struct{ variable, value, key, says string }{
		{"DATABASE_PORT", "many", "database.port", "has the wrong type; allowed: a whole number, from 1 to 65535"},
		{"DATABASE_PORT", "05432", "database.port", "has the wrong type"},
		{"DATABASE_PORT", "70000", "database.port", "is out of range"},
		{"DATABASE_POOL_MAX_SIZE", "0", "database.pool_max_size", "is out of range"},
		{"DATABASE_POOL_MAX_SIZE", "99999999999999999999", "database.pool_max_size", "has the wrong type"},
		{"DATABASE_POOL_MIN_SIZE", "50", "database.pool_min_size", "is more than database.pool_max_size; allowed: at most 20"},
		{"DATABASE_SSLMODE", "maybe", "database.sslmode", "is none of the known values"},
		{"DATABASE_RUNTIME_PARAMS", "search_path", "database.runtime_params", "has the wrong type; allowed: server settings, each a name and a text or a number (in the environment: name:value;name:value)"},
		{"DATABASE_RUNTIME_PARAMS", "host:x", "database.runtime_params", "which has a key of its own"},
		{"DATABASE_STATEMENT_TIMEOUT", "-1", "database.statement_timeout", "is out of range"},
		{"DATABASE_URL", "postgres://u:p@[::1/d", "database.url", "is not understood: a [ has no ]"},
		{"DATABASE_URL", "postgres://u:p@a,b:1,c:2/d?port=1,2", "database.url", "its port is not accepted; allowed: one port, or one for each host"},
		{"RETRY_MAX_RETRIES", "100", "retry.max_retries", "schedule"},
		{"RETRY_JITTER", "NaN", "retry.jitter", "is out of range"},
		{"RETRY_FAIL_FAST", "maybe", "retry.fail_fast", "has the wrong type"},
		{"HEALTH_INTERVAL", "soon", "health.interval", "has the wrong type"},
		{"LOG_FORMAT", "xml", "log.format", "one of json, console"},
		{"PGPORT", "x", "port", "is not accepted; allowed: whole numbers from 1 to 65535"},
		{"PGSSLMODE", "x", "sslmode", "is not accepted; allowed: one of disable"},
		{"PGCONNECT_TIMEOUT", "x", "connect_timeout", "is not accepted; allowed: whole seconds"},
		{"PGSERVICE", "x", "service", "is not accepted; allowed: the name of an entry"},
		{"PGREQUIREAUTH", "x", "require_auth", "is not accepted"},
	} {
		t.Run(b.variable+"="+b.value, func(t *testing.T) {
			t.Setenv(b.variable, b.value)
			all := failures(t, write(t, ""))
			require.Len(t, all, 1)
			require.Equal(t, b.variable, all[0].Source)
			require.Zero(t, all[0].Line)
			require.Equal(t, b.key, all[0].Key)
			require.True(t, strings.HasPrefix(all[0].Error(), b.variable+": "+b.key+": "), all[0].Error())
			require.Contains(t, all[0].Error(), b.says)
		})
	}
}

func TestAllMistakesAreToldAtOnce(t *testing.T) {
	t.Setenv("OPS_PORT", "x")
	path := write(t, "database:\n  port: 0\n  hots: a\nretry:\n  max_dials: 0\n")
	var told []string
	for _, e := range failures(t, path) {
		told = append(told, e.Source+" "+strconv.Itoa(e.Line)+" "+e.Key)
	}
	require.Equal(t, []string{
		path + " 2 database.port", path + " 3 database.hots", path + " 5 retry.max_dials", "OPS_PORT 0 ops.port",
	}, told)
}

func TestMissingFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.yml")
	c, err := config.Load(path, false)
	require.NoError(t, err, "at its default place")
	require.Empty(t, config.Diff(config.Default(), c))

	all := failures(t, path)
	require.Len(t, all, 1)
	require.Equal(t, path+": cannot be read: no such file or directory; allowed: a YAML file", all[0].Error())
	require.ErrorIs(t, all[0], fs.ErrNotExist)

	require.Len(t, failures(t, ""), 1, "no name, but asked for")
	_, err = config.Load("", false)
	require.NoError(t, err, "no file at all")
}

func TestUnreadableFile(t *testing.T) {
	for _, asked := range []bool{true, false} {
		_, err := config.Load(t.TempDir(), asked)
		require.ErrorContains(t, err, "cannot be read: is a directory; allowed: a YAML file")
	}
	large := write(t, strings.Repeat("# filled\n", 1<<17))
	require.Contains(t, failures(t, large)[0].Error(), "cannot be read: it is larger than 1048576 bytes")
}

func TestEmptyFilesSayNothing(t *testing.T) {
	for _, text := range []string{
		"", "\n", "# only a comment\n", "---\n", "~", "database:\n", "database: {}\nretry: ~\n", "\ufefflog:\n",
		"database:\n  host:\n  port: ~\n  password: \"\"\n  url: ''\n  runtime_params: {}\n",
	} {
		c := load(t, text)
		require.Empty(t, config.Diff(config.Default(), c), text)
		conn, err := c.ConnConfig()
		require.NoError(t, err)
		require.Equal(t, "localhost", conn.Host)
	}
}

// full sets every key to something else than its default.
const full = `
database:
  url: postgres://u@h/d
  host: db.example.org
  port: 6000
  database: "07"
  user: 4711
  password: 0123
  sslmode: disable
  application_name: yes
  runtime_params: {search_path: "app,public", work_mem: 64MB, geqo: off, seed: 0.5}
  default_query_exec_mode: exec
  pool_min_size: 0
  pool_max_size: 7
  min_idle: 2
  max_lifetime: 90
  max_lifetime_jitter: 0
  max_idle_time: 1h30m
  connection_timeout: 2.5
  acquire_timeout: 750ms
  max_waiters: 64
  shed_by_deadline: true
  statement_timeout: 0
  client_connection_check_interval: 5s
  tcp_keepalives_idle: 1m
  tcp_keepalives_interval: 0
  tcp_keepalives_count: 0
retry: {initial_backoff: 1, max_backoff: 2s, jitter: 0, max_retries: 0, max_dials: 9, fail_fast: true}
health: {interval: 0, timeout: 2, on_acquire: never}
lease: {reset: none, warn_after: 90, max_age: 1h, record_stacks: true, drain_timeout: 0}
supervision:
  pool_restart_delay: 7ms
  pool_restart_max: 7
  pool_healthy_after: 8
  restart_delay: 9
  restart_max: 10
  restart_healthy_after: 11
  restart_intensity: 12
  restart_within: 130
log: {level: debug, format: console}
ops: {host: "::", port: 0, ready_while_down: true, state_page: false, metrics: false}
`

func TestEveryKeyCanBeSetInTheFile(t *testing.T) {
	c := load(t, full)
	require.Len(t, config.Diff(config.Default(), c), len(config.Keys()))
	d := c.Database
	require.Equal(t, "postgres://u@h/d", d.URL.Reveal())
	require.Equal(t, "db.example.org 6000 07 4711 0123 yes", fmt.Sprintf("%s %d %s %s %s %s",
		d.Host, d.Port, d.Database, d.User, d.Password.Reveal(), d.ApplicationName))
	require.Equal(t, map[string]secret.Secret{
		"search_path": secret.New("app,public"),
		"work_mem":    secret.New("64MB"),
		"geqo":        secret.New("off"),
		"seed":        secret.New("0.5"),
	}, d.RuntimeParams)
	require.Equal(t, 2500*time.Millisecond, time.Duration(d.ConnectionTimeout))
	require.Equal(t, 750*time.Millisecond, time.Duration(d.AcquireTimeout))
	require.Equal(t, 64, d.MaxWaiters)
	require.True(t, d.ShedByDeadline)
	require.Equal(t, 90*time.Second, time.Duration(d.MaxLifetime))
	require.Equal(t, 90*time.Minute, time.Duration(d.MaxIdleTime))
	require.Zero(t, d.StatementTimeout, "an explicit 0 is kept")
	require.Zero(t, d.PoolMinSize)
	require.Zero(t, c.Retry.MaxRetries)
	require.False(t, c.Ops.StatePage, "an explicit false is kept")
}

func TestEveryKeyCanBeSetInTheEnvironment(t *testing.T) {
	for _, k := range config.Keys() {
		section, name, _ := strings.Cut(k.Name, ".")
		require.Equal(t, strings.ToUpper(section+"_"+name), k.Env)
		t.Setenv(k.Env, "")
	}
	require.Empty(t, config.Diff(config.Default(), load(t, "")), "empty variables count as not set")

	want := load(t, full)
	for variable, value := range map[string]string{
		"DATABASE_URL": "postgres://u@h/d", "DATABASE_HOST": "db.example.org", "DATABASE_PORT": "6000",
		"DATABASE_DATABASE": "07", "DATABASE_USER": "4711", "DATABASE_PASSWORD": "0123", "DATABASE_SSLMODE": "disable",
		"DATABASE_APPLICATION_NAME": "yes", "DATABASE_DEFAULT_QUERY_EXEC_MODE": "exec",
		"DATABASE_RUNTIME_PARAMS": "search_path:app,public;work_mem:64MB;geqo:off;seed:0.5",
		"DATABASE_POOL_MIN_SIZE":  "0", "DATABASE_POOL_MAX_SIZE": "7", "DATABASE_MIN_IDLE": "2",
		"DATABASE_MAX_LIFETIME": "90", "DATABASE_MAX_LIFETIME_JITTER": "0", "DATABASE_MAX_IDLE_TIME": "1h30m",
		"DATABASE_CONNECTION_TIMEOUT": "2.5", "DATABASE_ACQUIRE_TIMEOUT": "750ms", "DATABASE_MAX_WAITERS": "64",
		"DATABASE_SHED_BY_DEADLINE": "true", "DATABASE_STATEMENT_TIMEOUT": "0",
		"DATABASE_CLIENT_CONNECTION_CHECK_INTERVAL": "5s", "DATABASE_TCP_KEEPALIVES_IDLE": "1m",
		"DATABASE_TCP_KEEPALIVES_INTERVAL": "0", "DATABASE_TCP_KEEPALIVES_COUNT": "0",
		"RETRY_INITIAL_BACKOFF": "1", "RETRY_MAX_BACKOFF": "2s", "RETRY_JITTER": "0", "RETRY_MAX_RETRIES": "0",
		"RETRY_MAX_DIALS": "9", "RETRY_FAIL_FAST": "true",
		"HEALTH_INTERVAL": "0", "HEALTH_TIMEOUT": "2", "HEALTH_ON_ACQUIRE": "never",
		"LEASE_RESET": "none", "LEASE_WARN_AFTER": "90", "LEASE_MAX_AGE": "1h", "LEASE_RECORD_STACKS": "true", "LEASE_DRAIN_TIMEOUT": "0",
		"SUPERVISION_POOL_RESTART_DELAY": "7ms", "SUPERVISION_POOL_RESTART_MAX": "7",
		"SUPERVISION_POOL_HEALTHY_AFTER": "8", "SUPERVISION_RESTART_DELAY": "9", "SUPERVISION_RESTART_MAX": "10",
		"SUPERVISION_RESTART_HEALTHY_AFTER": "11", "SUPERVISION_RESTART_INTENSITY": "12", "SUPERVISION_RESTART_WITHIN": "130",
		"LOG_LEVEL": "debug", "LOG_FORMAT": "console",
		"OPS_HOST": "::", "OPS_PORT": "0", "OPS_READY_WHILE_DOWN": "true", "OPS_STATE_PAGE": "false", "OPS_METRICS": "false",
	} {
		t.Setenv(variable, value)
	}
	require.Empty(t, config.Diff(want, load(t, "")))
	require.Empty(t, config.Diff(want, load(t, "log: {level: error}\ndatabase: {port: 1, password: x}")), "before the file")
}

func TestDurationsAreSecondsOrHaveUnits(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"10": 10 * time.Second, "10.0": 10 * time.Second, "0.5": 500 * time.Millisecond, ".5": 500 * time.Millisecond,
		"500ms": 500 * time.Millisecond, "1h30m": 90 * time.Minute, "0": 0, "0s": 0, `"7"`: 7 * time.Second,
	} {
		require.Equal(t, want, time.Duration(load(t, "health:\n  interval: "+text).Health.Interval), text)
	}
	text, err := config.Duration(1500 * time.Millisecond).MarshalText()
	require.NoError(t, err)
	require.Equal(t, "1.5s", string(text))
}

func TestUnsetLowerBoundFollowsTheUpperOne(t *testing.T) {
	c := load(t, "database: {pool_max_size: 3}\nretry: {max_backoff: 0.2}")
	require.Equal(t, 3, c.Database.PoolMinSize)
	require.Equal(t, config.Duration(200*time.Millisecond), c.Retry.InitialBackoff)

	require.Equal(t, config.Duration(time.Minute), load(t, "lease: {max_age: 60}").Lease.WarnAfter)
	require.Zero(t, load(t, "lease: {max_age: 60, warn_after: 0}").Lease.WarnAfter, "off stays off")
	require.Equal(t, config.Duration(5*time.Minute), load(t, "lease: {max_age: 0}").Lease.WarnAfter)

	c = load(t, "database: {max_lifetime: 0, max_lifetime_jitter: 60}")
	require.Equal(t, config.Duration(time.Minute), c.Database.MaxLifetimeJitter, "a bound that is off bounds nothing")
}

func TestUnsetJitterIsAtMostATenthOfTheLifetime(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"{}":                  5 * time.Minute,
		"{max_lifetime: 24h}": 5 * time.Minute,
		"{max_lifetime: 50m}": 5 * time.Minute,
		"{max_lifetime: 2m}":  12 * time.Second,
		"{max_lifetime: 0}":   5 * time.Minute, // of no use, and as documented
		"{max_lifetime: 2m, max_lifetime_jitter: 2m}": 2 * time.Minute,
		"{max_lifetime: 2m, max_lifetime_jitter: 0}":  0,
	} {
		require.Equal(t, want, time.Duration(load(t, "database: "+text).Database.MaxLifetimeJitter), text)
	}

	t.Setenv("DATABASE_MAX_LIFETIME_JITTER", "90s")
	c := load(t, "database: {max_lifetime: 2m}")
	require.Equal(t, 90*time.Second, time.Duration(c.Database.MaxLifetimeJitter), "set in the environment")
}

func TestAliasesWithinTheFile(t *testing.T) {
	c := load(t, "health: &h\n  interval: &i 3\n  timeout: *i\nretry: {max_backoff: *i}\ndatabase:\n  runtime_params: {a: *i}")
	require.Equal(t, config.Duration(3*time.Second), c.Health.Timeout)
	require.Equal(t, config.Duration(3*time.Second), c.Retry.MaxBackoff)
	require.Equal(t, "3", c.Database.RuntimeParams["a"].Reveal())
}
