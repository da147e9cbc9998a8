package daemon

import (
	"cmp"
	"time"

	"github.com/rs/zerolog"

	"github.com/seed-4ff2b7b9/supervised/internal/config"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

// off is what a pool's Config says for none, never and unlimited; a configuration file says 0.
const off = -1

// unbounded stands for the connect_timeout=0 of a URL, which a pool does not have: longer than any network lets a dial
// hang.
const unbounded = 24 * time.Hour

// PoolConfig translates a configuration for the pool. The error is an *config.Error or several, joined.
func PoolConfig(c config.Config, log *zerolog.Logger) (poolactor.Config, error) {
	conn, err := c.ConnConfig()
	if err != nil {
		return poolactor.Config{}, err
	}
	d := c.Database
	return poolactor.Config{
		ConnConfig: conn,

		MinSize: d.PoolMinSize,
		MaxSize: d.PoolMaxSize,
		MinIdle: d.MinIdle,

		ConnectTimeout: cmp.Or(conn.ConnectTimeout, unbounded),
		AcquireTimeout: time.Duration(d.AcquireTimeout),
		MaxWaiters:     d.MaxWaiters,
		ShedByDeadline: d.ShedByDeadline,
		DrainTimeout:   orOff(time.Duration(c.Lease.DrainTimeout)),

		MaxLifetime:       orOff(time.Duration(d.MaxLifetime)),
		MaxLifetimeJitter: orOff(time.Duration(d.MaxLifetimeJitter)),
		MaxIdleTime:       orOff(time.Duration(d.MaxIdleTime)),

		// These are in the connection's parameters already, where an URL may say otherwise.
		StatementTimeout:    off,
		ClientCheckInterval: off,
		KeepaliveIdle:       off,

		Retry: poolactor.RetryConfig{
			Initial:    time.Duration(c.Retry.InitialBackoff),
			Max:        time.Duration(c.Retry.MaxBackoff),
			Jitter:     orOff(c.Retry.Jitter),
			MaxRetries: orOff(c.Retry.MaxRetries),
			MaxDials:   c.Retry.MaxDials,
			FailFast:   c.Retry.FailFast,
		},
		Health: poolactor.HealthConfig{
			Interval:  orOff(time.Duration(c.Health.Interval)),
			Timeout:   time.Duration(c.Health.Timeout),
			OnAcquire: checkPolicies[c.Health.OnAcquire],
		},
		Supervision: poolactor.SupervisionConfig{
			Pool: supervisor.Restart{
				Immediate:    true,
				Initial:      time.Duration(c.Supervision.PoolRestartDelay),
				Max:          time.Duration(c.Supervision.PoolRestartMax),
				HealthyAfter: time.Duration(c.Supervision.PoolHealthyAfter),
			},
			Upkeep: restart(c.Supervision),
		},
		LeaseWarnAfter: orOff(time.Duration(c.Lease.WarnAfter)),
		LeaseMaxAge:    orOff(time.Duration(c.Lease.MaxAge)),
		Reset:          resetPolicies[c.Lease.Reset],
		RecordStacks:   c.Lease.RecordStacks,
		Logger:         log,
	}, nil
}

var checkPolicies = map[string]poolactor.CheckPolicy{
	"idle": poolactor.CheckIdle, "always": poolactor.CheckAlways, "never": poolactor.CheckNever,
}

var resetPolicies = map[string]poolactor.ResetPolicy{
	"smart": poolactor.ResetSmart, "none": poolactor.ResetNone, "full": poolactor.ResetFull,
}

// restart is the policy for every part of the daemon that has none of its own.
func restart(s config.Supervision) supervisor.Restart {
	return supervisor.Restart{
		Initial:      time.Duration(s.RestartDelay),
		Max:          time.Duration(s.RestartMax),
		HealthyAfter: time.Duration(s.RestartHealthyAfter),
		Intensity:    s.RestartIntensity,
		Within:       time.Duration(s.RestartWithin),
	}
}

// orOff makes the 0 of a configuration file, which is off, what the pool calls off.
func orOff[T int | float64 | time.Duration](v T) T {
	if v == 0 {
		return off
	}
	return v
}
