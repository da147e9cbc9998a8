package pgxpool

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed-4ff2b7b9/supervised/internal/backend"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// What a configuration begins with.
const (
	defaultMaxConns          = 4 // or a connection for each processor
	defaultMaxConnLifetime   = time.Hour
	defaultMaxConnIdleTime   = 30 * time.Minute
	defaultHealthCheckPeriod = time.Minute
)

// ParseConfig reads a connection string as pgx.ParseConfig does: a postgres:// URL, or keywords and values. It takes these
// settings out of it:
//
//   - pool_max_conns: at least 1; default 4, or the number of processors if that is more
//   - pool_min_conns: default 0
//   - pool_min_idle_conns: default 0
//   - pool_max_conn_lifetime: a duration; default 1h
//   - pool_max_conn_lifetime_jitter: a duration; default 0
//   - pool_max_conn_idle_time: a duration; default 30m
//   - pool_health_check_period: a duration; default 1m
//   - pool_ping_timeout: a duration; default 0, the pool's own measure
//
// [Config] says what they mean. An error is a *pgconn.ParseConfigError that does not quote the connection string.
func ParseConfig(connString string) (*Config, error) {
	parsed, err := poolactor.ParseConfig(connString)
	if err != nil {
		return nil, pgconn.NewParseConfigError(hidden, "malformed", errors.Unwrap(err))
	}
	c := &Config{
		ConnConfig:           parsed.ConnConfig,
		MaxConns:             max(defaultMaxConns, int32(min(runtime.NumCPU(), mostConns))),
		MaxConnLifetime:      defaultMaxConnLifetime,
		MaxConnIdleTime:      defaultMaxConnIdleTime,
		HealthCheckPeriod:    defaultHealthCheckPeriod,
		createdByParseConfig: true,
	}
	c.ConnConfig.DialFunc = backend.DefaultDialer.DialContext // finds out sooner that the other end is gone
	if err := c.takeSettings(); err != nil {
		return nil, err
	}
	return c, nil
}

// hidden stands for a connection string in errors.
const hidden = "[redacted]"

// takeSettings moves the pool's settings out of what would be sent to the server. The error is that of the first value that is
// none, bare: programs ask for its type by an assertion.
func (c *Config) takeSettings() error {
	return cmp.Or(
		take(c.ConnConfig, "pool_max_conns", positive, &c.MaxConns),
		take(c.ConnConfig, "pool_min_conns", count, &c.MinConns),
		take(c.ConnConfig, "pool_min_idle_conns", count, &c.MinIdleConns),
		take(c.ConnConfig, "pool_max_conn_lifetime", time.ParseDuration, &c.MaxConnLifetime),
		take(c.ConnConfig, "pool_max_conn_lifetime_jitter", time.ParseDuration, &c.MaxConnLifetimeJitter),
		take(c.ConnConfig, "pool_max_conn_idle_time", time.ParseDuration, &c.MaxConnIdleTime),
		take(c.ConnConfig, "pool_health_check_period", time.ParseDuration, &c.HealthCheckPeriod),
		take(c.ConnConfig, "pool_ping_timeout", time.ParseDuration, &c.PingTimeout),
	)
}

func take[T any](c *pgx.ConnConfig, name string, parse func(string) (T, error), into *T) error {
	text, given := c.RuntimeParams[name]
	if !given {
		return nil
	}
	delete(c.RuntimeParams, name)
	value, err := parse(text)
	if err != nil {
		return pgconn.NewParseConfigError(hidden, "cannot parse "+name, err)
	}
	*into = value
	return nil
}

func count(text string) (int32, error) {
	n, err := strconv.ParseInt(text, 10, 32)
	return int32(n), err
}

func positive(text string) (int32, error) {
	n, err := count(text)
	if err == nil && n < 1 {
		err = fmt.Errorf("%d is too small: at least 1", n)
	}
	return n, err
}
