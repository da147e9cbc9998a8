// Package config reads the daemon's configuration: a YAML file and the environment, checked before anything starts.
//
// Every key is one field of Config, and everything about a key stands in the field's tags: its name in the file, its
// environment variable, the values it takes, whether a running daemon can change it, and what it is called in a
// connection string. Load, Diff and Keys are loops over these fields.
package config

import (
	"maps"
	"time"

	"github.com/seed-4ff2b7b9/supervised/internal/secret"
)

// Config is the whole configuration. Load makes one; Default is one in which nothing was set. It is a value that does
// not change: copies share their maps.
//
// The tags: yaml and env name the key, min and max bound it, oneof lists its values, allowed describes what neither can
// say, atmost names the key of the same section that it may not exceed, pgx is its name (and unit) in a connection
// string, reload:"live" marks what changes without a restart.
type Config struct {
	Database    Database    `yaml:"database"`
	Retry       Retry       `yaml:"retry"`
	Health      Health      `yaml:"health"`
	Lease       Lease       `yaml:"lease"`
	Supervision Supervision `yaml:"supervision"`
	Log         Log         `yaml:"log"`
	Ops         Ops         `yaml:"ops"`

	// origins says where each key that was set explicitly got its value.
	origins map[string]origin
}

// origin is where a value came from: a line of a file, or an environment variable, which has no line.
type origin struct {
	source string
	line   int
}

// Database says which server to use and how. What only the connection needs is best read through ConnConfig, which
// knows the standard PG* variables, the service file and the password file as well.
type Database struct {
	URL             secret.Secret            `yaml:"url" env:"DATABASE_URL" allowed:"a URL (postgres://user:password@host:port/database?name=value) or a keyword string (host=... user=...)"`
	Host            string                   `yaml:"host" env:"DATABASE_HOST" pgx:"host"`
	Port            int                      `yaml:"port" env:"DATABASE_PORT" min:"1" max:"65535" pgx:"port"`
	Database        string                   `yaml:"database" env:"DATABASE_DATABASE" pgx:"database"`
	User            string                   `yaml:"user" env:"DATABASE_USER" pgx:"user"`
	Password        secret.Secret            `yaml:"password" env:"DATABASE_PASSWORD" pgx:"password"`
	SSLMode         string                   `yaml:"sslmode" env:"DATABASE_SSLMODE" oneof:"disable allow prefer require verify-ca verify-full" pgx:"sslmode"`
	ApplicationName string                   `yaml:"application_name" env:"DATABASE_APPLICATION_NAME" pgx:"application_name"`
	RuntimeParams   map[string]secret.Secret `yaml:"runtime_params" env:"DATABASE_RUNTIME_PARAMS" env-separator:";" allowed:"server settings, each a name and a text or a number (in the environment: name:value;name:value)"`
	ExecMode        string                   `yaml:"default_query_exec_mode" env:"DATABASE_DEFAULT_QUERY_EXEC_MODE" oneof:"cache_statement cache_describe describe_exec exec simple_protocol" pgx:"default_query_exec_mode"`

	PoolMinSize       int      `yaml:"pool_min_size" env:"DATABASE_POOL_MIN_SIZE" min:"0" atmost:"pool_max_size" reload:"live"`
	PoolMaxSize       int      `yaml:"pool_max_size" env:"DATABASE_POOL_MAX_SIZE" min:"1" max:"262143" reload:"live"` // what max_connections can be at most
	MinIdle           int      `yaml:"min_idle" env:"DATABASE_MIN_IDLE" min:"0" atmost:"pool_max_size"`
	MaxLifetime       Duration `yaml:"max_lifetime" env:"DATABASE_MAX_LIFETIME" min:"0"`
	MaxLifetimeJitter Duration `yaml:"max_lifetime_jitter" env:"DATABASE_MAX_LIFETIME_JITTER" min:"0" atmost:"max_lifetime"`
	MaxIdleTime       Duration `yaml:"max_idle_time" env:"DATABASE_MAX_IDLE_TIME" min:"0"`

	ConnectionTimeout Duration `yaml:"connection_timeout" env:"DATABASE_CONNECTION_TIMEOUT" min:"100ms" pgx:"connect_timeout,s"`
	AcquireTimeout    Duration `yaml:"acquire_timeout" env:"DATABASE_ACQUIRE_TIMEOUT" min:"0"`
	MaxWaiters        int      `yaml:"max_waiters" env:"DATABASE_MAX_WAITERS" min:"0"`
	ShedByDeadline    bool     `yaml:"shed_by_deadline" env:"DATABASE_SHED_BY_DEADLINE"`
	// The server counts these in an int: of milliseconds in the case of a time-out.
	StatementTimeout      Duration `yaml:"statement_timeout" env:"DATABASE_STATEMENT_TIMEOUT" min:"0" max:"500h" pgx:"statement_timeout,ms"`
	ConnectionCheck       Duration `yaml:"client_connection_check_interval" env:"DATABASE_CLIENT_CONNECTION_CHECK_INTERVAL" min:"0" max:"500h" pgx:"client_connection_check_interval,ms"`
	TCPKeepalivesIdle     Duration `yaml:"tcp_keepalives_idle" env:"DATABASE_TCP_KEEPALIVES_IDLE" min:"0" max:"9h" pgx:"tcp_keepalives_idle,s"`
	TCPKeepalivesInterval Duration `yaml:"tcp_keepalives_interval" env:"DATABASE_TCP_KEEPALIVES_INTERVAL" min:"0" max:"9h" pgx:"tcp_keepalives_interval,s"`
	TCPKeepalivesCount    int      `yaml:"tcp_keepalives_count" env:"DATABASE_TCP_KEEPALIVES_COUNT" min:"0" max:"127" pgx:"tcp_keepalives_count"`
}

// Retry says how connections are opened while the server cannot be reached.
type Retry struct {
	InitialBackoff Duration `yaml:"initial_backoff" env:"RETRY_INITIAL_BACKOFF" min:"100ms" max:"10s" atmost:"max_backoff"`
	MaxBackoff     Duration `yaml:"max_backoff" env:"RETRY_MAX_BACKOFF" min:"100ms" max:"60s"`
	Jitter         float64  `yaml:"jitter" env:"RETRY_JITTER" min:"0" max:"1"`
	MaxRetries     int      `yaml:"max_retries" env:"RETRY_MAX_RETRIES" min:"0"`
	MaxDials       int      `yaml:"max_dials" env:"RETRY_MAX_DIALS" min:"1" max:"100"`
	FailFast       bool     `yaml:"fail_fast" env:"RETRY_FAIL_FAST"`
}

// Health says when a connection is checked.
type Health struct {
	Interval  Duration `yaml:"interval" env:"HEALTH_INTERVAL" min:"0"`
	Timeout   Duration `yaml:"timeout" env:"HEALTH_TIMEOUT" min:"10ms"`
	OnAcquire string   `yaml:"on_acquire" env:"HEALTH_ON_ACQUIRE" oneof:"idle always never"`
}

// Lease says what the pool does about connections that are out.
type Lease struct {
	Reset        string   `yaml:"reset" env:"LEASE_RESET" oneof:"smart none full"`
	WarnAfter    Duration `yaml:"warn_after" env:"LEASE_WARN_AFTER" min:"0" atmost:"max_age" reload:"live"`
	MaxAge       Duration `yaml:"max_age" env:"LEASE_MAX_AGE" min:"0" reload:"live"`
	RecordStacks bool     `yaml:"record_stacks" env:"LEASE_RECORD_STACKS"`
	DrainTimeout Duration `yaml:"drain_timeout" env:"LEASE_DRAIN_TIMEOUT" min:"0"`
}

// Supervision says how crashed parts of the daemon are restarted.
type Supervision struct {
	PoolRestartDelay    Duration `yaml:"pool_restart_delay" env:"SUPERVISION_POOL_RESTART_DELAY" min:"1ms" atmost:"pool_restart_max"`
	PoolRestartMax      Duration `yaml:"pool_restart_max" env:"SUPERVISION_POOL_RESTART_MAX" min:"1ms"`
	PoolHealthyAfter    Duration `yaml:"pool_healthy_after" env:"SUPERVISION_POOL_HEALTHY_AFTER" min:"1ms"`
	RestartDelay        Duration `yaml:"restart_delay" env:"SUPERVISION_RESTART_DELAY" min:"1ms" atmost:"restart_max"`
	RestartMax          Duration `yaml:"restart_max" env:"SUPERVISION_RESTART_MAX" min:"1ms"`
	RestartHealthyAfter Duration `yaml:"restart_healthy_after" env:"SUPERVISION_RESTART_HEALTHY_AFTER" min:"1ms"`
	RestartIntensity    int      `yaml:"restart_intensity" env:"SUPERVISION_RESTART_INTENSITY" min:"1"`
	RestartWithin       Duration `yaml:"restart_within" env:"SUPERVISION_RESTART_WITHIN" min:"1ms"`
}

// Log says what the daemon writes about itself.
type Log struct {
	Level  string `yaml:"level" env:"LOG_LEVEL" oneof:"trace debug info warn error" reload:"live"`
	Format string `yaml:"format" env:"LOG_FORMAT" oneof:"json console"`
}

// Ops is the HTTP server for probes and for people who look after the daemon.
type Ops struct {
	Host           string `yaml:"host" env:"OPS_HOST"`
	Port           int    `yaml:"port" env:"OPS_PORT" min:"0" max:"65535"`
	ReadyWhileDown bool   `yaml:"ready_while_down" env:"OPS_READY_WHILE_DOWN" reload:"live"`
	StatePage      bool   `yaml:"state_page" env:"OPS_STATE_PAGE"`
	Metrics        bool   `yaml:"metrics" env:"OPS_METRICS"`
}

// Default returns the built-in configuration.
func Default() Config {
	return Config{
		Database: Database{
			Host:            "localhost",
			Port:            5432,
			Database:        "bmcis_knowledge_dev",
			User:            "postgres",
			SSLMode:         "prefer",
			ApplicationName: "supervised",
			ExecMode:        "cache_statement",

			PoolMinSize:       5,
			PoolMaxSize:       20,
			MaxLifetime:       Duration(time.Hour),
			MaxLifetimeJitter: Duration(5 * time.Minute),
			MaxIdleTime:       Duration(30 * time.Minute),

			ConnectionTimeout: Duration(10 * time.Second),
			StatementTimeout:  Duration(30 * time.Second),
			ConnectionCheck:   Duration(2 * time.Second),
			// A backend whose client vanished from the network is gone after a minute: 30 s + 3 x 10 s.
			TCPKeepalivesIdle:     Duration(30 * time.Second),
			TCPKeepalivesInterval: Duration(10 * time.Second),
			TCPKeepalivesCount:    3,
		},
		Retry: Retry{
			InitialBackoff: Duration(500 * time.Millisecond),
			MaxBackoff:     Duration(30 * time.Second),
			Jitter:         0.2,
			MaxRetries:     5,
			MaxDials:       4,
		},
		Health: Health{
			Interval:  Duration(500 * time.Millisecond),
			Timeout:   Duration(time.Second),
			OnAcquire: "idle",
		},
		Lease: Lease{
			Reset:        "smart",
			WarnAfter:    Duration(5 * time.Minute),
			DrainTimeout: Duration(10 * time.Second),
		},
		Supervision: Supervision{
			PoolRestartDelay:    Duration(5 * time.Millisecond),
			PoolRestartMax:      Duration(time.Second),
			PoolHealthyAfter:    Duration(time.Second),
			RestartDelay:        Duration(20 * time.Millisecond), // ten doubling waits fill a third of a minute
			RestartMax:          Duration(30 * time.Second),
			RestartHealthyAfter: Duration(30 * time.Second),
			RestartIntensity:    10,
			RestartWithin:       Duration(time.Minute),
		},
		Log: Log{Level: "info", Format: "json"},
		Ops: Ops{Host: "127.0.0.1", Port: 8432, StatePage: true, Metrics: true},
	}
}

// WithURL returns a copy in which the server is the one of url, as if DATABASE_URL had been set to it: it goes before
// all else that names a server.
func (c Config) WithURL(url string) Config {
	c.Database.URL = secret.New(url)
	c.origins = maps.Clone(c.origins)
	if c.origins == nil {
		c.origins = make(map[string]origin)
	}
	c.origins[urlKey] = origin{source: "the given database URL"}
	return c
}
