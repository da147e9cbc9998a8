package daemon

import (
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/config"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

func TestTheDefaultsReachThePool(t *testing.T) {
	log := zerolog.Nop()
	c, err := PoolConfig(config.Default(), &log)
	require.NoError(t, err)
	conn := c.ConnConfig
	require.Equal(t, "localhost", conn.Host)
	require.Equal(t, "30000", conn.RuntimeParams["statement_timeout"])
	require.Equal(t, "supervised", conn.RuntimeParams["application_name"])
	c.ConnConfig = nil
	require.Equal(t, poolactor.Config{
		MinSize: 5, MaxSize: 20,
		ConnectTimeout: 10 * time.Second, DrainTimeout: 10 * time.Second,
		MaxLifetime: time.Hour, MaxLifetimeJitter: 5 * time.Minute, MaxIdleTime: 30 * time.Minute,
		StatementTimeout: off, ClientCheckInterval: off, KeepaliveIdle: off,
		LeaseWarnAfter: 5 * time.Minute, LeaseMaxAge: off,
		Retry: poolactor.RetryConfig{
			Initial: 500 * time.Millisecond, Max: 30 * time.Second, Jitter: 0.2, MaxRetries: 5, MaxDials: 4,
		},
		Health: poolactor.HealthConfig{Interval: 500 * time.Millisecond, Timeout: time.Second},
		Supervision: poolactor.SupervisionConfig{
			Pool: supervisor.Restart{Immediate: true, Initial: 5 * time.Millisecond, Max: time.Second, HealthyAfter: time.Second},
			Upkeep: supervisor.Restart{
				Initial: 20 * time.Millisecond, Max: 30 * time.Second, HealthyAfter: 30 * time.Second, Intensity: 10, Within: time.Minute,
			},
		},
		Logger: &log,
	}, c)
}

func TestWhatIsSetReachesThePool(t *testing.T) {
	c, err := PoolConfig(load(t, `
database: {pool_min_size: 1, pool_max_size: 9, min_idle: 2, max_lifetime: 10m, max_lifetime_jitter: 1m, max_idle_time: 2m,
  connection_timeout: 0.25, acquire_timeout: 3, max_waiters: 8, shed_by_deadline: true, statement_timeout: 4, tcp_keepalives_idle: 7}
retry: {initial_backoff: 0.2, max_backoff: 5, jitter: 0.5, max_retries: 2, max_dials: 7, fail_fast: true}
health: {interval: 2, timeout: 3, on_acquire: always}
lease: {reset: none, record_stacks: true, drain_timeout: 6, warn_after: 7, max_age: 8}
supervision: {pool_restart_delay: 2ms, restart_intensity: 3, restart_within: 9}
`), nil)
	require.NoError(t, err)
	require.Equal(t, []int{1, 9, 2}, []int{c.MinSize, c.MaxSize, c.MinIdle})
	require.Equal(t, 250*time.Millisecond, c.ConnectTimeout)
	require.Equal(t, 3*time.Second, c.AcquireTimeout)
	require.Equal(t, 8, c.MaxWaiters)
	require.True(t, c.ShedByDeadline)
	require.Equal(t, 10*time.Minute, c.MaxLifetime)
	require.Equal(t, "4000", c.ConnConfig.RuntimeParams["statement_timeout"])
	require.Equal(t, "7", c.ConnConfig.RuntimeParams["tcp_keepalives_idle"])
	require.Equal(t, poolactor.RetryConfig{
		Initial: 200 * time.Millisecond, Max: 5 * time.Second, Jitter: 0.5, MaxRetries: 2, MaxDials: 7, FailFast: true,
	}, c.Retry)
	require.Equal(t, poolactor.HealthConfig{Interval: 2 * time.Second, Timeout: 3 * time.Second, OnAcquire: poolactor.CheckAlways}, c.Health)
	require.Equal(t, poolactor.ResetNone, c.Reset)
	require.True(t, c.RecordStacks)
	require.Equal(t, 6*time.Second, c.DrainTimeout)
	require.Equal(t, 7*time.Second, c.LeaseWarnAfter)
	require.Equal(t, 8*time.Second, c.LeaseMaxAge)
	require.Equal(t, 2*time.Millisecond, c.Supervision.Pool.Initial)
	require.Equal(t, 3, c.Supervision.Upkeep.Intensity)
}

func TestAnExplicitZeroIsOff(t *testing.T) {
	c, err := PoolConfig(load(t, `
database: {pool_min_size: 0, max_lifetime: 0, max_lifetime_jitter: 0, max_idle_time: 0, acquire_timeout: 0,
  url: "postgres://127.0.0.1/x?connect_timeout=0",
  statement_timeout: 0, client_connection_check_interval: 0, tcp_keepalives_idle: 0}
retry: {jitter: 0, max_retries: 0}
health: {interval: 0, on_acquire: never}
lease: {drain_timeout: 0, reset: full, warn_after: 0, max_age: 0}
`), nil)
	require.NoError(t, err)
	require.Zero(t, c.MinSize)
	for name, v := range map[string]time.Duration{
		"max_lifetime": c.MaxLifetime, "max_lifetime_jitter": c.MaxLifetimeJitter, "max_idle_time": c.MaxIdleTime,
		"drain_timeout": c.DrainTimeout, "interval": c.Health.Interval, "warn_after": c.LeaseWarnAfter, "max_age": c.LeaseMaxAge,
	} {
		require.Negative(t, v, name)
	}
	require.Equal(t, unbounded, c.ConnectTimeout, "a pool has no unbounded one")
	require.Negative(t, c.Retry.Jitter)
	require.Negative(t, c.Retry.MaxRetries)
	require.Equal(t, poolactor.CheckNever, c.Health.OnAcquire)
	require.Equal(t, poolactor.ResetFull, c.Reset)
	for _, parameter := range []string{"statement_timeout", "client_connection_check_interval", "tcp_keepalives_idle"} {
		require.NotContains(t, c.ConnConfig.RuntimeParams, parameter)
	}
	p, err := poolactor.New(c)
	require.NoError(t, err, "the pool takes it")
	require.NoError(t, p.Close())
}

func TestAConfigurationThatChangedForTheWorse(t *testing.T) {
	c := config.Default().WithURL("postgres://%zz")
	_, err := PoolConfig(c, nil)
	var problem *config.Error
	require.ErrorAs(t, err, &problem)
}
