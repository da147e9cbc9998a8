package poolactor

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/secret/canary"
)

// FuzzConfig looks for a configuration that is neither refused with a reason nor good for a pool, and for a password in
// an error.
func FuzzConfig(f *testing.F) {
	dsn := "postgres://app:CANARY@db.test:5432/app"
	f.Add(dsn, 0, 0, 0, int64(0), int64(0), int64(0), 0.0, uint8(0), uint8(0))
	f.Add("host=db.test password=CANARY port=x", 1, 1, 1, int64(1), int64(1), int64(1), 0.5, uint8(1), uint8(1))
	f.Add("postgres://app:CANARY@db.test:99999/app?sslmode=CANARY", 20, 5, 0, int64(-1), int64(time.Second), int64(time.Minute), 1.0, uint8(2), uint8(2))
	f.Add(dsn, 5, 6, 0, int64(time.Hour), int64(100*time.Millisecond), int64(-1), -1.0, uint8(3), uint8(3))
	f.Add(dsn, -1, -1, -1, int64(-1<<63), int64(1<<63-1), int64(-1<<63), 2.0, uint8(0), uint8(0))
	f.Fuzz(func(t *testing.T, dsn string, most, least, idle int, a, b, c int64, jitter float64, check, reset uint8) {
		cfg, err := ParseConfig(strings.ReplaceAll(dsn, "CANARY", canary.Password))
		if err != nil {
			requireClear(t, err)
			return
		}
		if canary.Find(fmt.Sprint(cfg.ConnConfig.User, cfg.ConnConfig.Host, cfg.ConnConfig.Database)) != nil {
			return // it is no password here, and may be shown
		}
		most %= maxSlots / 8 // a large one only takes memory
		cfg.MaxSize, cfg.MinSize, cfg.MinIdle = most, least, idle
		cfg.ConnectTimeout, cfg.MaxLifetime, cfg.MaxLifetimeJitter = time.Duration(a), time.Duration(b), time.Duration(c)
		cfg.StatementTimeout, cfg.KeepaliveIdle, cfg.ClientCheckInterval = time.Duration(b), time.Duration(c), time.Duration(a)
		cfg.Health = HealthConfig{Interval: time.Duration(a), Timeout: time.Duration(b), OnAcquire: CheckPolicy(check)}
		cfg.Retry = RetryConfig{Initial: time.Duration(b), Max: time.Duration(c), Jitter: jitter, MaxRetries: least, MaxDials: idle}
		cfg.Reset = ResetPolicy(reset)
		p, err := New(cfg)
		if err != nil {
			requireClear(t, err)
			return
		}
		used := p.cfg
		for what, bad := range map[string]bool{
			"sizes":     used.MaxSize < 1 || used.MinSize < 0 || used.MinSize > used.MaxSize || used.MinIdle < 0 || used.MinIdle > used.MaxSize,
			"time-outs": used.ConnectTimeout <= 0 || used.Health.Timeout <= 0 || used.Health.Interval < 0 || used.StatementTimeout < 0,
			"lifetimes": used.MaxLifetime < 0 || used.MaxLifetimeJitter < 0 || used.MaxIdleTime < 0,
			"backoff":   used.Retry.Initial <= 0 || used.Retry.Max < used.Retry.Initial || used.Retry.MaxDials < 1 || used.Retry.MaxRetries < 0,
			"jitter":    !(used.Retry.Jitter >= 0 && used.Retry.Jitter <= 1),
		} {
			require.False(t, bad, "%s of a pool: %s", what, shape(used))
		}
		for name, value := range used.connConfig().RuntimeParams {
			if _, users := used.ConnConfig.RuntimeParams[name]; !users {
				require.NotContains(t, value, "-", "the start-up parameter %s", name)
			}
		}
		require.NoError(t, p.Close())
	})
}

// requireClear does not print the error: the suite's own output is searched for the canary.
func requireClear(t *testing.T, err error) {
	t.Helper()
	require.NotEmpty(t, err.Error())
	require.True(t, canary.Find(fmt.Sprintf("%v %+v %#v", err, err, err)) == nil, "the canary got out")
}

// shape is what matters of a configuration, without its secrets.
func shape(c Config) string {
	c.ConnConfig = nil
	return fmt.Sprintf("%+v", c)
}
