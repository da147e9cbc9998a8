package supervisor

import (
	"errors"
	"slices"
	"time"

	"github.com/seed-4ff2b7b9/supervised/actors"
)

// The default policy. A child that fails as soon as it starts fails for the eleventh time after at most
// 20 ms * (2^10 - 1) = 20.5 s, so it escalates well within its 60 s, and the tree has given up after 41 s. From an Initial
// of about 60 ms on ten doubling delays fill the 60 s themselves: such a child would be restarted for ever.
const (
	defaultInitial      = 20 * time.Millisecond
	defaultMax          = 30 * time.Second
	defaultHealthyAfter = 30 * time.Second
	defaultIntensity    = 10
	defaultWithin       = 60 * time.Second
)

// jitter is the largest part of a delay that chance may take away: enough to part children that failed together, and
// little enough for a log to show the doubling.
const jitter = 0.2

// Restart is a child's policy after a failure. The zero value restarts it after 20 ms, 40 ms, 80 ms ... up to 30 s,
// begins anew when it was ready for 30 s, and escalates when it fails again after 10 restarts within 60 s.
//
// To escalate means that the child's whole group is stopped and started once more, with fresh counts. When that did not
// help, which is when a child of the group escalates again and the restarts it has used up began within Within of the
// group's return, the tree gives up.
type Restart struct {
	// Initial is the delay before the first restart, doubled for each further failure; 0 means 20 ms. Chance shortens
	// each delay by up to a fifth, so that children that failed together do not return together.
	Initial time.Duration
	// Max bounds the delay; 0 means 30 s, or Initial if that is longer.
	Max time.Duration
	// Immediate makes the first restart come at once, without a delay; the second then waits Initial, and so on:
	// Immediate with an Initial of 5 ms gives 0, 5, 10, 20 ms ...
	Immediate bool
	// HealthyAfter is how long a life must last after it was ready for the delays to begin anew; 0 means 30 s.
	HealthyAfter time.Duration
	// Intensity is how many restarts within Within are tried before the next failure escalates; 0 means 10, a
	// negative value means that the child never escalates, however often it fails.
	Intensity int
	// Within is the window of Intensity; 0 means 60 s.
	Within time.Duration
	// Never allows no restart: the child's failure is the tree's end, with a *GaveUpError. The other fields are then
	// without meaning.
	Never bool
}

// withDefaults replaces each zero by what it stands for.
func (r Restart) withDefaults() Restart {
	if r.Initial == 0 {
		r.Initial = defaultInitial
	}
	if r.Max == 0 {
		r.Max = max(defaultMax, r.Initial)
	}
	if r.HealthyAfter == 0 {
		r.HealthyAfter = defaultHealthyAfter
	}
	if r.Intensity == 0 {
		r.Intensity = defaultIntensity
	}
	if r.Within == 0 {
		r.Within = defaultWithin
	}
	return r
}

func (r Restart) validate() error {
	for _, field := range []struct {
		name  string
		value time.Duration
	}{{"Initial", r.Initial}, {"Max", r.Max}, {"HealthyAfter", r.HealthyAfter}, {"Within", r.Within}} {
		if field.value < 0 {
			return errors.New("Restart." + field.name + " is negative; 0 means the default")
		}
	}
	if full := r.withDefaults(); full.Max < full.Initial {
		return errors.New("Restart.Max is below Restart.Initial")
	}
	return nil
}

// delay is how long to wait after the failure that follows so many others. random is in [0, 1).
func (r Restart) delay(failures int, random float64) time.Duration {
	if r.Immediate {
		if failures == 0 {
			return 0
		}
		failures--
	}
	return actors.Backoff(r.Initial, r.Max, failures, jitter*random)
}

// course is what a child's failures so far say about the next restart. Its methods are pure: time and chance are given
// to them.
type course struct {
	// failures counts those since the last healthy time.
	failures int
	// restarts holds when the last ones within the policy's window were decided, oldest first.
	restarts []time.Time
}

// failed records a failure and tells what follows: a restart after delay, or, when the intensity is used up, escalation.
func (c *course) failed(r Restart, now time.Time, random float64) (delay time.Duration, escalate bool) {
	if r.Intensity > 0 {
		c.restarts = slices.DeleteFunc(c.restarts, func(t time.Time) bool { return now.Sub(t) >= r.Within })
		if len(c.restarts) >= r.Intensity {
			return 0, true
		}
		c.restarts = append(c.restarts, now)
	}
	delay = r.delay(c.failures, random)
	c.failures++
	return delay, false
}

// began is when the oldest restart within the window was decided.
func (c *course) began() time.Time { return c.restarts[0] }

// healthy lets the delays begin anew, and tells whether there was anything to recover from. The window of the intensity
// goes on: a child that fails again and again after being healthy for a moment must escalate, too.
func (c *course) healthy() (recovered bool) {
	recovered = c.failures > 0
	c.failures = 0
	return recovered
}
