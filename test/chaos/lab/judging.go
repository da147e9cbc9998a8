package lab

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/seed-4ff2b7b9/supervised/internal/faultproxy"
)

// returning is what the time of the call is called that returned last after its own deadline.
const returning = "returning at a deadline"

// judge counts the failures, and holds against the rule those that the row does not judge itself.
func (x *Experiment) judge() {
	r := &x.result
	var judged []Call
	var overdue time.Duration
	for _, c := range x.load.calls {
		r.Longest = max(r.Longest, c.Ended.Sub(c.Began))
		overdue = max(overdue, c.Ended.Sub(c.Began)-x.setup.Patience)
		switch {
		case c.Err == nil:
		case c.Granted.IsZero():
			r.FailedWaiting++
		default:
			r.FailedHolding++
		}
		if c.Err == nil || x.excuse == nil || !x.excuse(c) {
			judged = append(judged, c)
		}
	}
	if overdue > 0 {
		x.Took(returning, overdue, x.late.seen())
	}
	var broken []string
	if x.autopsy != nil {
		broken = x.examine()
	}
	broken = append(broken, x.broken(judged)...)
	r.Forbidden = len(broken)
	r.Examples = append(r.Examples, broken[:min(3, len(broken))]...)
}

// broken lists the failures that the rule forbids. A connection that a proxy has reset is a backend that died alone: it
// excuses nobody but those who had that connection.
func (x *Experiment) broken(calls []Call) (broken []string) {
	common := make([]Fault, len(x.faults))
	for i, f := range x.faults {
		common[i] = *f
	}
	resets := x.resets()
	bySocket := make(map[string][]Call)
	for _, c := range calls {
		bySocket[c.Backend.Socket] = append(bySocket[c.Backend.Socket], c)
	}
	for socket, some := range bySocket {
		faults := slices.Clone(common)
		for _, r := range resets[socket] {
			faults = append(faults, Fault{At: r.At, DeadBy: x.noticed(r.By, some)})
		}
		broken = append(broken, Rule(some, faults).Broken...)
	}
	return broken
}

func (x *Experiment) resets() map[string][]faultproxy.Reset {
	resets := make(map[string][]faultproxy.Reset)
	if x.setup.Resets != nil {
		for _, r := range x.setup.Resets() {
			resets[r.Client] = append(resets[r.Client], r)
		}
	}
	return resets
}

// noticed is when a death of a connection could be noticed at the latest. Time in which this machine held something of
// ours up does not count: a caller that fails may have been held up on its way from the pool.
func (x *Experiment) noticed(died time.Time, calls []Call) time.Time {
	last := died
	for _, c := range calls {
		if c.Err != nil && c.Granted.After(last) && x.late.undisturbed(died, c.Granted) <= Grace {
			last = c.Granted
		}
	}
	return last
}

// recovery is how long after the end of most faults the first success may come.
const recovery = 1200 * time.Millisecond

// atDeadlineIn tells whether a call failed at its own deadline, not earlier, and this came in a fault or before its cure
// could take effect.
func (x *Experiment) atDeadlineIn(c Call, fault, cured time.Time) bool {
	deadline := c.Began.Add(x.setup.Patience)
	return errors.Is(c.Err, context.DeadlineExceeded) && !c.Ended.Before(deadline) &&
		deadline.After(fault) && deadline.Before(cured.Add(recovery))
}
