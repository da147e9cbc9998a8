// Package judge decides from outside whether a pool kept its promise when a server failed: from what callers saw, which
// server processes they had, when these died and when the faults struck, never from what the pool says about itself.
//
// The rule: a call may fail from a fault only if it held a lease on a backend when that died, or got one within 2 ms
// after; each backend that was alive at the fault fails at most one call; every other call fails none.
//
// A [Census] knows the backends and sees them die. Where nobody can, whoever causes a fault says when they were dead. Whoever
// makes a call says which of them it had, so any pool on pgx can be judged.
package judge

import (
	"fmt"
	"slices"
	"time"
)

// Grace is how long after a backend's death a lease on it is still forgiven: 1 ms in which a proven connection is not
// looked at, and 1 ms of the judge's clock.
const Grace = 2 * time.Millisecond

// Backend is a server process. In a [Census] it is one by its own account: process id and start time together name it for
// good. Its clock is the judge's: both are on one machine, be it in a container. Else it is one by the socket that led to it.
type Backend struct {
	PID        uint32
	Started    time.Time // zero: not known
	Postmaster time.Time // when its postmaster started; zero: not known
	Socket     string    // the client's end, "127.0.0.1:40312"; empty: not known
	// Died is when it was first seen to be gone; zero: it was not. It may be read when nobody watches any more.
	Died time.Time
}

// there tells whether the backend was alive at a time.
func (b *Backend) there(at time.Time) bool {
	return !b.Started.After(at) && (b.Died.IsZero() || !b.Died.Before(at))
}

// Fault is a moment at which all backends that were alive were doomed.
type Fault struct {
	At time.Time // just before
	// DeadBy is when the last of them was dead, as far as their own deaths are not known; zero: that is not known either, and
	// a call on one of them may fail whenever it came.
	DeadBy time.Time
	// Lag is the longest that the machine kept a goroutine from the clock while backends died: so inexact the times are.
	Lag time.Duration
}

// Call is what a caller saw of its call.
type Call struct {
	Began   time.Time
	Backend *Backend  // which it had a lease on; nil: none
	Granted time.Time // when it got that lease
	Ended   time.Time
	Err     error // nil: it succeeded
}

// String tells about a failed call, for people.
func (c Call) String() string {
	if c.Backend == nil {
		return c.Err.Error()
	}
	since := "whose death nobody saw"
	if died := c.Backend.Died; !died.IsZero() {
		since = fmt.Sprintf("granted %v after it was seen dead", c.Granted.Sub(died).Round(100*time.Microsecond))
		if c.Granted.Before(died) {
			since = fmt.Sprintf("granted %v before it was seen dead", died.Sub(c.Granted).Round(100*time.Microsecond))
		}
	}
	if start := c.Backend.Started; !start.IsZero() {
		since = "of " + start.Format("15:04:05.000") + ", " + since
	}
	return fmt.Sprintf("backend %d, %s: %v", c.Backend.PID, since, c.Err)
}

// Verdict is what the rule says about the calls that failed.
type Verdict struct {
	Permitted int      // how many the rule permits
	Breaches  []Breach // of the rule, a kind each
}

// Breach is one kind of failure that the rule does not permit.
type Breach struct {
	What  string
	Times int
	First string // its first case
}

// Broken is how many calls failed that must not.
func (v Verdict) Broken() int {
	n := 0
	for _, b := range v.Breaches {
		n += b.Times
	}
	return n
}

// forbid counts a breach.
func (v *Verdict) forbid(what, detail string) {
	i := slices.IndexFunc(v.Breaches, func(b Breach) bool { return b.What == what })
	if i < 0 {
		i = len(v.Breaches)
		v.Breaches = append(v.Breaches, Breach{What: what, First: detail})
	}
	v.Breaches[i].Times++
}

// Rule holds the calls that failed against the rule. Calls and faults come in any order.
func Rule(calls []Call, faults []*Fault) Verdict {
	var v Verdict
	failures := slices.DeleteFunc(slices.Clone(calls), func(c Call) bool { return c.Err == nil })
	slices.SortStableFunc(failures, func(a, b Call) int { return a.Ended.Compare(b.Ended) })
	failed := make(map[*Backend]bool)
	for _, c := range failures {
		what := c.objection(faults)
		if what == "" && failed[c.Backend] {
			what = "a call failed on a backend that had failed a call already"
		}
		if what != "" {
			v.forbid(what, c.String())
			continue
		}
		failed[c.Backend] = true
		v.Permitted++
	}
	return v
}

// Why a failure is not permitted that no fault explains, from what says least to what says most.
const (
	notHit   = "a call failed on a backend that no fault had hit"
	notThere = "a call failed on a backend that was not there at the kill"
	tooLate  = "a call got a backend that was dead for longer than the grace"
)

// objection is why no fault explains the failure; empty if one does.
func (c Call) objection(faults []*Fault) string {
	b := c.Backend
	if b == nil {
		return "a call failed that held no lease"
	}
	why := notHit
	for _, f := range faults {
		died := b.Died
		if died.IsZero() {
			died = f.DeadBy
		}
		switch {
		case !f.At.After(b.Postmaster) || f.At.After(c.Ended): // it cannot be that fault
		case !b.there(f.At):
			if why == notHit {
				why = notThere
			}
		case !died.IsZero() && c.Granted.Sub(died) > Grace+f.Lag:
			why = tooLate
		default:
			return ""
		}
	}
	return why
}
