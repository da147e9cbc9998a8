package health

import (
	"time"
)

// Config is what a user can set. In every duration, zero means the default and a negative value means off.
type Config struct {
	// Interval is the time between two rounds over the resting connections; default 500 ms. Off: there are none, only
	// the pool's hints lead to checks.
	Interval time.Duration
	// Timeout is how long a check may be silent before it no longer holds up others that wait for a place (see
	// Parallel); on a slow link, four times the last good check is granted. How long a check may take at all is the
	// pool's own affair. Default 1 s. Off: a check keeps its place until it ends.
	Timeout time.Duration
	// Parallel is how many checks run at once; default 16. Off: as many as there are connections.
	Parallel int
	// ScoutEvery is the time between two scouts while the server is down and somebody waits; default 75 ms, so that an
	// outage ends within 100 ms of the server's return, and at most 67 scouts are asked for in any 5 s. Off: such a
	// time is no different from one in which nobody waits.
	ScoutEvery time.Duration
	// ScoutSlow is the time between two scouts while nobody waits, or once the outage is older than ScoutSlowAfter;
	// default 1 s. Off: there are none then.
	ScoutSlow time.Duration
	// ScoutSlowAfter is the age of an outage from which on scouts are slow also while somebody waits; default 30 s.
	// Off: they never are.
	ScoutSlowAfter time.Duration
}

// The defaults of Config.
const (
	DefaultInterval       = 500 * time.Millisecond
	DefaultTimeout        = time.Second
	DefaultParallel       = 16
	DefaultScoutEvery     = 75 * time.Millisecond
	DefaultScoutSlow      = time.Second
	DefaultScoutSlowAfter = 30 * time.Second
)

// withDefaults replaces every zero by its default.
func (c Config) withDefaults() Config {
	c.Interval = orDefault(c.Interval, DefaultInterval)
	c.Timeout = orDefault(c.Timeout, DefaultTimeout)
	c.Parallel = orDefault(c.Parallel, DefaultParallel)
	c.ScoutEvery = orDefault(c.ScoutEvery, DefaultScoutEvery)
	c.ScoutSlow = orDefault(c.ScoutSlow, DefaultScoutSlow)
	c.ScoutSlowAfter = orDefault(c.ScoutSlowAfter, DefaultScoutSlowAfter)
	return c
}

func orDefault[T int | time.Duration](value, otherwise T) T {
	if value == 0 {
		return otherwise
	}
	return value
}
