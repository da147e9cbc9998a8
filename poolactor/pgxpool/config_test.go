package pgxpool

import (
	"context"
	"fmt"
	"math"
	"net/url"
	"runtime"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/secret/canary"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

func TestSettingsOfTheConnectionString(t *testing.T) {
	c, err := ParseConfig("host=db.test pool_max_conns=42 pool_min_conns=1 pool_min_idle_conns=2 pool_max_conn_lifetime=2h " +
		"pool_max_conn_lifetime_jitter=1m pool_max_conn_idle_time=3m pool_health_check_period=5s pool_ping_timeout=250ms " +
		"application_name=app")
	require.NoError(t, err)
	require.EqualValues(t, 42, c.MaxConns)
	require.EqualValues(t, 1, c.MinConns)
	require.EqualValues(t, 2, c.MinIdleConns)
	require.Equal(t, 2*time.Hour, c.MaxConnLifetime)
	require.Equal(t, time.Minute, c.MaxConnLifetimeJitter)
	require.Equal(t, 3*time.Minute, c.MaxConnIdleTime)
	require.Equal(t, 5*time.Second, c.HealthCheckPeriod)
	require.Equal(t, 250*time.Millisecond, c.PingTimeout)
	require.Equal(t, map[string]string{"application_name": "app"}, c.ConnConfig.RuntimeParams, "the rest is for the server")

	c, err = ParseConfig("host=db.test")
	require.NoError(t, err)
	require.EqualValues(t, max(4, runtime.NumCPU()), c.MaxConns)
	require.Equal(t, time.Hour, c.MaxConnLifetime)
	require.Equal(t, 30*time.Minute, c.MaxConnIdleTime)
	require.Equal(t, time.Minute, c.HealthCheckPeriod)
	require.Zero(t, c.MinConns+c.MinIdleConns)
	require.Zero(t, c.PingTimeout+c.MaxConnLifetimeJitter)
}

func TestAMalformedConnectionStringIsNotQuoted(t *testing.T) {
	for _, rest := range []string{
		"pool_max_conns=0", "pool_max_conns=many", "pool_max_conns=99999999999", "pool_min_conns=x", "pool_min_idle_conns=1.5",
		"pool_max_conn_lifetime=1", "pool_max_conn_lifetime_jitter=x", "pool_max_conn_idle_time=x",
		"pool_health_check_period=x", "pool_ping_timeout=250", "sslmode=nonsense", "connect_timeout=x",
	} {
		dsn := "postgres://app:" + url.QueryEscape(canary.Password) + "@db.test/app?" + rest
		_, err := ParseConfig(dsn)
		var malformed *pgconn.ParseConfigError
		require.ErrorAs(t, err, &malformed, rest)
		require.Empty(t, canary.Find(fmt.Sprintf("%v %+v %#v", err, err, malformed)), rest)
		_, err = New(t.Context(), dsn)
		require.Error(t, err)
	}
}

func TestACopyIsDeep(t *testing.T) {
	c, err := ParseConfig("host=db.test application_name=app")
	require.NoError(t, err)
	c.MaxConns, c.Tune = 7, func(*poolactor.Config) {}
	other := c.Copy()
	require.Equal(t, c.ConnString(), other.ConnString())
	require.EqualValues(t, 7, other.MaxConns)
	require.NotNil(t, other.Tune)
	other.ConnConfig.RuntimeParams["application_name"] = "other"
	require.Equal(t, "app", c.ConnConfig.RuntimeParams["application_name"])
}

// What the pool below is told, in its own words.
func TestWhatBecomesOfAConfiguration(t *testing.T) {
	below := func(change func(*Config)) poolactor.Config {
		c, err := ParseConfig("host=db.test")
		require.NoError(t, err)
		change(c)
		s, err := (&Pool{config: c}).supervised(t.Context())
		require.NoError(t, err)
		return s
	}
	s := below(func(c *Config) { c.MaxConns, c.MinConns, c.MinIdleConns = 5, 9, -1 })
	require.Equal(t, 5, s.MaxSize)
	require.Equal(t, 5, s.MinSize, "no more than there may be")
	require.LessOrEqual(t, s.MinIdle, 0)
	require.Equal(t, time.Hour, s.MaxLifetime)
	require.EqualValues(t, -1, s.MaxLifetimeJitter, "the pool below has one by default")
	require.Equal(t, poolactor.CheckIdle, s.Health.OnAcquire)
	require.Zero(t, s.ConnectTimeout+s.Health.Timeout, "its own")
	require.Nil(t, s.BeforeConnect)
	require.Nil(t, s.BeforeClose)

	s = below(func(c *Config) { c.MaxConnLifetime, c.MaxConnLifetimeJitter = time.Hour, time.Minute })
	require.Equal(t, 61*time.Minute, s.MaxLifetime)
	require.Equal(t, time.Minute, s.MaxLifetimeJitter)

	for least, off := range map[time.Duration]time.Duration{math.MaxInt64 - time.Second: time.Second, math.MaxInt64: -1} {
		s = below(func(c *Config) { c.MaxConnLifetime, c.MaxConnLifetimeJitter = least, time.Minute })
		require.EqualValues(t, math.MaxInt64, s.MaxLifetime, "the longest that can be said")
		require.Equal(t, off, s.MaxLifetimeJitter)
	}

	s = below(func(c *Config) { c.MaxConnLifetime, c.MaxConnIdleTime = 0, 0 })
	require.Negative(t, s.MaxLifetime, "never")
	require.Positive(t, s.MaxIdleTime, "at every look")

	s = below(func(c *Config) {
		c.MaxConns = math.MaxInt32
		c.PingTimeout = 3 * time.Second
		c.ConnConfig.ConnectTimeout = 4 * time.Second
		c.ShouldPing = func(context.Context, ShouldPingParams) bool { return true }
		c.Tune = func(s *poolactor.Config) { s.DrainTimeout = time.Minute }
	})
	require.Equal(t, 65536, s.MaxSize)
	require.Equal(t, 3*time.Second, s.Health.Timeout)
	require.Equal(t, 4*time.Second, s.ConnectTimeout)
	require.Equal(t, poolactor.CheckNever, s.Health.OnAcquire, "ShouldPing decides")
	require.Equal(t, time.Minute, s.DrainTimeout)
	require.Equal(t, 100*time.Millisecond, upkeep(100*time.Millisecond))
	require.Equal(t, time.Second, upkeep(time.Minute))
	require.Equal(t, time.Second, upkeep(0))
}

func TestAConfigurationThatIsNotAllowed(t *testing.T) {
	require.PanicsWithValue(t, "config must be created by ParseConfig", func() { _, _ = NewWithConfig(t.Context(), &Config{}) })
	c, err := ParseConfig("host=db.test")
	require.NoError(t, err)
	c.MaxConns = 0
	_, err = NewWithConfig(t.Context(), c)
	require.ErrorContains(t, err, "MaxConns is 0")
	c.MaxConns = 1
	c.Tune = func(s *poolactor.Config) { s.Retry.Initial = time.Hour }
	_, err = NewWithConfig(t.Context(), c)
	require.ErrorContains(t, err, "Retry.Initial")
}

type key struct{}

func TestHooksSeeTheValuesOfTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "from above"))
	cancel()
	seen := 0
	look := func(ctx context.Context) error {
		seen++
		require.Equal(t, "from above", ctx.Value(key{}))
		require.NoError(t, ctx.Err(), "but not its end")
		return nil
	}
	c, err := ParseConfig("host=db.test")
	require.NoError(t, err)
	c.BeforeConnect = func(ctx context.Context, _ *pgx.ConnConfig) error { return look(ctx) }
	c.AfterConnect = func(ctx context.Context, _ *pgx.Conn) error { return look(ctx) }
	s, err := (&Pool{config: c}).supervised(ctx)
	require.NoError(t, err)
	require.NoError(t, s.BeforeConnect(t.Context(), nil))
	require.NoError(t, s.AfterConnect(t.Context(), nil))
	require.Equal(t, 2, seen)
	require.Equal(t, 1, valued{context.WithValue(t.Context(), key{}, 1), ctx}.Value(key{}), "its own go first")
}
