package lab

import (
	"context"
	"errors"
	"time"

	"github.com/seed-4ff2b7b9/supervised/internal/faultproxy"
	"github.com/seed-4ff2b7b9/supervised/internal/judge"
)

// What is judged, in the judge's words.
type (
	Call    = judge.Call
	Fault   = judge.Fault
	Backend = judge.Backend
)

// Grace is the judge's.
const Grace = judge.Grace

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
	for _, breach := range x.breaches(judged) {
		r.Forbidden += breach.Times
		if len(r.Examples) < mostExamples {
			r.Examples = append(r.Examples, breach.What+": "+breach.First)
		}
	}
	x.excuses()
}

// mostExamples is how many of the failures that the rule forbids are told.
const mostExamples = 3

// breaches are those of the rule. Some faults hit one backend alone, so each is judged with its own.
func (x *Experiment) breaches(calls []Call) (all []judge.Breach) {
	failed := make(map[*Backend][]Call)
	for _, c := range calls {
		if c.Err != nil {
			failed[c.Backend] = append(failed[c.Backend], c)
		}
	}
	resets := x.resets()
	for b, some := range failed {
		var faults []*Fault
		if b != nil {
			faults = x.faultsOf(b, resets[b.Socket], some)
		}
		all = append(all, judge.Rule(some, faults).Breaches...)
	}
	return all
}

// faultsOf are the faults that may have killed a backend: where it is known who died, all of them or none; else those after
// which it is known when everybody was dead, and the resets of its connection, each of which is the death of a backend alone.
func (x *Experiment) faultsOf(b *Backend, resets []faultproxy.Reset, failed []Call) (faults []*Fault) {
	if x.autopsy != nil {
		died, dead := x.autopsy.of(b.PID)
		if !dead {
			return nil
		}
		b.Died = x.noticed(died, failed)
		return x.faults
	}
	for _, f := range x.faults {
		if !f.DeadBy.IsZero() {
			faults = append(faults, f)
		}
	}
	for _, r := range resets {
		faults = append(faults, &Fault{At: r.At, DeadBy: x.noticed(r.By, failed)})
	}
	return faults
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

// noticed is when a death could be noticed at the latest. A caller that fails may have been held up by this machine on its
// way from the pool: then the connection was handed out earlier than the caller saw.
func (x *Experiment) noticed(died time.Time, calls []Call) time.Time {
	last := died
	for _, c := range calls {
		late := c.Granted.Sub(died)
		if c.Err != nil && late > Grace && late-x.late.heldUp(died, c.Granted) <= Grace {
			x.excused++
			last = later(last, c.Granted)
		}
	}
	return last
}

// mostExcused is how many failures a machine may excuse, of so many: one in twenty, and the four whom
// one delay may meet. More is no accident.
func mostExcused(failed int) int { return excusedAnyway + failed/excusedOneIn }

const (
	excusedAnyway = 4
	excusedOneIn  = 20
)

// excuses tells how many failures the machine has excused, and holds that these were few.
func (x *Experiment) excuses() {
	if x.excused == 0 {
		return
	}
	failed := x.result.FailedHolding
	x.Note("%d of %d failures excused by this machine's delays", x.excused, failed)
	if most := mostExcused(failed); x.excused > most {
		x.Against("%d of %d failures came too late unless this machine's delays excuse them, which %d may",
			x.excused, failed, most)
	}
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
