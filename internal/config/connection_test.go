package config_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/config"
	"github.com/seed-4ff2b7b9/supervised/internal/secret/canary"
)

// connect returns what the configuration tells pgx.
func connect(t *testing.T, c config.Config) *pgx.ConnConfig {
	t.Helper()
	conn, err := c.ConnConfig()
	require.NoError(t, err)
	return conn
}

// where is the part of a connection that every level of the precedence can name.
type where struct {
	Host     string
	Port     uint16
	Database string
	User     string
	App      string
	Timeout  time.Duration
	Mode     pgx.QueryExecMode
	Password string
}

func whereTo(t *testing.T, text string) where {
	t.Helper()
	conn := connect(t, load(t, text))
	return where{
		conn.Host, conn.Port, conn.Database, conn.User, conn.RuntimeParams["application_name"], conn.ConnectTimeout,
		conn.DefaultQueryExecMode, conn.Password,
	}
}

// The password of a canary would go through here unseen, so this test takes plain ones: none is printed when it fails.
func TestPrecedence(t *testing.T) {
	const fields = `
  host: file
  port: 1003
  database: file
  user: file
  password: file
  application_name: file
  connection_timeout: 3
  default_query_exec_mode: exec
`
	steps := []struct {
		name string
		set  map[string]string
		file string
		want where
	}{
		{
			name: "built-in",
			want: where{"localhost", 5432, "bmcis_knowledge_dev", "postgres", "supervised", 10 * time.Second, pgx.QueryExecModeCacheStatement, ""},
		},
		{
			name: "PG variables",
			set: map[string]string{
				"PGHOST": "pg", "PGPORT": "1001", "PGDATABASE": "pg", "PGUSER": "pg", "PGPASSWORD": "pg", "PGAPPNAME": "pg",
				"PGCONNECT_TIMEOUT": "1",
			},
			want: where{"pg", 1001, "pg", "pg", "pg", time.Second, pgx.QueryExecModeCacheStatement, "pg"},
		},
		{
			name: "service file",
			set:  map[string]string{"PGSERVICE": "s", "PGSERVICEFILE": serviceFile(t)},
			want: where{"service", 1002, "service", "service", "service", 2 * time.Second, pgx.QueryExecModeDescribeExec, "service"},
		},
		{
			name: "keys of the file",
			file: "database:" + fields,
			want: where{"file", 1003, "file", "file", "file", 3 * time.Second, pgx.QueryExecModeExec, "file"},
		},
		{
			name: "url of the file",
			file: "database:" + fields + "  url: postgres://url:url@url:1004/url?application_name=url&connect_timeout=4&default_query_exec_mode=simple_protocol",
			want: where{"url", 1004, "url", "url", "url", 4 * time.Second, pgx.QueryExecModeSimpleProtocol, "url"},
		},
		{
			name: "variables of ours",
			set: map[string]string{
				"DATABASE_HOST": "env", "DATABASE_PORT": "1005", "DATABASE_DATABASE": "env", "DATABASE_USER": "env",
				"DATABASE_PASSWORD": "env", "DATABASE_APPLICATION_NAME": "env", "DATABASE_CONNECTION_TIMEOUT": "5.5",
				"DATABASE_DEFAULT_QUERY_EXEC_MODE": "cache_describe",
			},
			file: "database:" + fields + "  url: postgres://url:url@url:1004/url?application_name=url&connect_timeout=4&default_query_exec_mode=simple_protocol",
			want: where{"env", 1005, "env", "env", "env", 5500 * time.Millisecond, pgx.QueryExecModeCacheDescribe, "env"},
		},
		{
			name: "DATABASE_URL",
			set: map[string]string{
				"DATABASE_URL": "host=top port=1006 dbname=top user=top password=top application_name=top connect_timeout=6 default_query_exec_mode=exec",
			},
			file: "database:" + fields + "  url: postgres://url:url@url:1004/url",
			want: where{"top", 1006, "top", "top", "top", 6 * time.Second, pgx.QueryExecModeExec, "top"},
		},
	}
	for _, s := range steps { // each on top of all before it
		for name, value := range s.set {
			t.Setenv(name, value)
		}
		require.Equal(t, s.want, whereTo(t, s.file), s.name)
	}
	c := load(t, steps[len(steps)-1].file).WithURL("postgres://given/given")
	require.Equal(t, "given given", connect(t, c).Host+" "+connect(t, c).Database)
}

func serviceFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "service")
	require.NoError(t, os.WriteFile(path, []byte(`[s]
host=service
port=1002
dbname=service
user=service
password=service
application_name=service
connect_timeout=2
default_query_exec_mode=describe_exec
[half]
dbname=half
user=root
[bad]
port=x
`), 0o600))
	return path
}

func TestPartsThatALevelLeavesOpenComeFromTheNext(t *testing.T) {
	t.Setenv("PGPORT", "1001")
	t.Setenv("PGDATABASE", "pg")
	t.Setenv("DATABASE_USER", "env")
	t.Setenv("DATABASE_URL", "postgres://top/")
	got := whereTo(t, "database:\n  application_name: file\n  password: file\n  url: postgres://:url@url/?connect_timeout=4")
	require.Equal(t, where{"top", 1001, "pg", "env", "file", 10 * time.Second, pgx.QueryExecModeCacheStatement, "file"}, got,
		"DATABASE_URL stands in the place of the other URL")

	t.Setenv("DATABASE_URL", "postgres:///db?service=half&servicefile="+serviceFile(t))
	got = whereTo(t, "")
	require.Equal(t, "localhost", got.Host)
	require.Equal(t, "db", got.Database)
	require.Equal(t, "env", got.User)
	require.NoError(t, os.Unsetenv("DATABASE_USER"))
	require.Equal(t, "root", whereTo(t, "").User, "a default does not hide what the service says, though it is the same as who runs this")
}

func TestServiceFileAtItsDefaultPlace(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	data, err := os.ReadFile(serviceFile(t))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(os.Getenv("HOME"), ".pg_service.conf"), data, 0o600))
	require.Equal(t, "service", whereTo(t, "database: {url: service=s}").Host)

	all := failures(t, write(t, "database: {url: service=none}"))
	require.Len(t, all, 1)
	require.Contains(t, all[0].Error(), ":1: database.url: its service is not accepted; allowed: the name of an entry of the service file")
	all = failures(t, write(t, "database: {url: service=bad}"))
	require.Equal(t, "the service file: port: is not accepted; allowed: whole numbers from 1 to 65535", all[0].Error())
}

func TestPasswordFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pgpass")
	require.NoError(t, os.WriteFile(path, []byte("db.example.org:5432:bmcis_knowledge_dev:postgres:fromfile\n"), 0o600))
	t.Setenv("PGPASSFILE", path)
	require.Equal(t, "fromfile", whereTo(t, "database: {host: db.example.org}").Password)
	require.Empty(t, whereTo(t, "database: {host: elsewhere}").Password)
	require.Equal(t, "own", whereTo(t, "database: {host: db.example.org, password: own}").Password)
}

func TestPasswordsReachPgxAsTheyAre(t *testing.T) {
	t.Setenv("DATABASE_PASSWORD", canary.Password)
	conn := connect(t, load(t, ""))
	require.True(t, conn.Password == canary.Password)
	requireNoCanary(t, conn.ConnString())

	require.NoError(t, os.Unsetenv("DATABASE_PASSWORD"))
	t.Setenv("PGPASSWORD", canary.Password)
	require.True(t, connect(t, load(t, "")).Password == canary.Password)
}

func TestSessionSettingsAreSentAsStartUpParameters(t *testing.T) {
	require.Equal(t, map[string]string{
		"application_name":                 "supervised",
		"statement_timeout":                "30000",
		"client_connection_check_interval": "2000",
		"tcp_keepalives_idle":              "30",
		"tcp_keepalives_interval":          "10",
		"tcp_keepalives_count":             "3",
	}, connect(t, load(t, "")).RuntimeParams)

	off := load(t, `
database:
  statement_timeout: 0
  client_connection_check_interval: 0
  tcp_keepalives_idle: 0
  tcp_keepalives_interval: 0
  tcp_keepalives_count: 0
  runtime_params: {search_path: it's, work_mem: '\'}
`)
	conn := connect(t, off)
	require.Equal(t, map[string]string{"application_name": "supervised", "search_path": "it's", "work_mem": `\`}, conn.RuntimeParams)

	tiny := connect(t, load(t, "database: {statement_timeout: 0.0001, tcp_keepalives_idle: 1.5, connection_timeout: 0.25}"))
	require.Equal(t, "1", tiny.RuntimeParams["statement_timeout"], "a time below the unit is not off")
	require.Equal(t, "2", tiny.RuntimeParams["tcp_keepalives_idle"])
	require.Equal(t, 250*time.Millisecond, tiny.ConnectTimeout)

	url := connect(t, load(t, "database: {statement_timeout: 5, url: 'postgres://h/d?statement_timeout=0&work_mem=1MB'}"))
	require.Equal(t, "0", url.RuntimeParams["statement_timeout"], "a URL says it in the words of the server")
	require.Equal(t, "1MB", url.RuntimeParams["work_mem"])
}

func TestSettingsYieldToOptionsOfAHigherLevel(t *testing.T) {
	t.Setenv("PGOPTIONS", "-c statement_timeout=1s --tcp-keepalives-count=9")
	params := connect(t, load(t, "")).RuntimeParams
	require.NotContains(t, params, "statement_timeout")
	require.NotContains(t, params, "tcp_keepalives_count")
	require.Equal(t, "-c statement_timeout=1s --tcp-keepalives-count=9", params["options"])
	require.Equal(t, "30", params["tcp_keepalives_idle"])

	params = connect(t, load(t, "database: {statement_timeout: 5}")).RuntimeParams
	require.Equal(t, "5000", params["statement_timeout"], "the file goes before PGOPTIONS")
	params = connect(t, load(t, "database: {statement_timeout: 5, url: \"options='-c statement_timeout=1s'\"}")).RuntimeParams
	require.NotContains(t, params, "statement_timeout")
}

func TestTLSFilesThatCannotBeUsed(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	junk := write(t, "junk")
	for url, says := range map[string]string{
		"sslmode=require sslrootcert=" + none:                 "its sslrootcert is not accepted; allowed: a file with certificates, or system",
		"sslmode=require sslrootcert=" + junk:                 "its sslrootcert is not accepted",
		"sslmode=require sslcert=" + junk:                     "its sslcert is not accepted; allowed: both sslcert and sslkey, or none",
		"sslmode=require sslkey=" + none + " sslcert=" + none: "its sslkey is not accepted",
		"sslmode=require sslkey=" + junk + " sslcert=" + none: "its sslkey is not accepted",
		"sslcertmode=x":                                     "its sslcertmode is not accepted",
		"target_session_attrs=x":                            "its target_session_attrs is not accepted",
		"min_protocol_version=x":                            "its min_protocol_version is not accepted",
		"max_protocol_version=x":                            "its max_protocol_version is not accepted",
		"min_protocol_version=3.2 max_protocol_version=3.0": "its max_protocol_version is not accepted; allowed: at least min_protocol_version",
		"channel_binding=x":                                 "its channel_binding is not accepted",
		"require_auth=x":                                    "its require_auth is not accepted",
		"statement_cache_capacity=x":                        "its statement_cache_capacity is not accepted",
		"description_cache_capacity=x":                      "its description_cache_capacity is not accepted",
		"connect_timeout=-1":                                "its connect_timeout is not accepted",
	} {
		all := failures(t, write(t, "database:\n  url: "+url+"\n"))
		require.Len(t, all, 1)
		require.Contains(t, all[0].Error(), "config.yml:2: database.url: "+says)
	}

	t.Setenv("HOME", t.TempDir()) // a default of pgx that nobody set
	require.NoError(t, os.Mkdir(filepath.Join(os.Getenv("HOME"), ".postgresql"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(os.Getenv("HOME"), ".postgresql", "root.crt"), []byte("junk"), 0o600))
	all := failures(t, write(t, ""))
	require.Equal(t, "database: its sslrootcert is not accepted; allowed: a file with certificates, or system", all[0].Error())
}

func TestConfigMadeByHand(t *testing.T) {
	c := config.Default()
	c.Database.Host = "hand"
	require.Equal(t, "hand", connect(t, c).Host)
	require.Equal(t, "url", connect(t, c.WithURL("postgres://url")).Host)
	require.Equal(t, "hand", connect(t, c).Host, "WithURL changes a copy")

	_, err := c.WithURL("postgres://u:" + canary.Password + "@h:x/d").ConnConfig()
	require.ErrorContains(t, err, "the given database URL: database.url: is not understood")
	require.Len(t, parts(t, err), 1)
}
