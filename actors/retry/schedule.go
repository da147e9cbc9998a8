package retry

import (
	"time"

	"github.com/seed-4ff2b7b9/supervised/actors"
	"github.com/seed-4ff2b7b9/supervised/messages"
)

// Length is how long a schedule lasts: the sum of its first retries waits, without jitter. With 500 ms, 30 s and 5 that
// is 15.5 s.
func Length(initial, max time.Duration, retries int) time.Duration {
	var sum time.Duration
	for n := 1; n <= retries; n++ {
		sum += schedule{initial: initial, max: max}.wait(n)
	}
	return sum
}

// schedule says when the next attempt of an outage may begin.
type schedule struct {
	initial, max time.Duration
	jitter       float64        // the largest part of a wait that chance takes off
	chance       func() float64 // from [0, 1); nil: none
}

// wait is the time after the n-th failed attempt of an outage, n counting from 1.
func (s schedule) wait(n int) time.Duration {
	off := 0.0
	if s.chance != nil {
		off = s.jitter * s.chance()
	}
	return actors.Backoff(s.initial, s.max, max(n-1, 0), off)
}

// ending is how a dial ended without a connection, as far as the outage is concerned.
type ending struct {
	err   *failure
	scout bool
	// news says that the dial began after the last counted failure and after the last log-in: dials that fail together
	// are one attempt, and one that was begun before somebody logged in says nothing about the time after.
	news bool
}

// askedPatience is the least wait after a server has asked for it. Its answers do not count, so the waits do not grow;
// scouts find out earlier.
const askedPatience = time.Second

// after decides what is known about the server when a dial has failed, and whether that counts as a scheduled attempt.
func (s schedule) after(o messages.Outage, e ending, now time.Time) (next messages.Outage, counted bool) {
	if !e.news || e.scout {
		return hearsay(o, e), false
	}
	counted = e.err.class != Wait
	if o.Since.IsZero() {
		o.Since = now
	}
	if counted {
		o.Attempts++
		o.Failures++
	}
	wait := s.wait(o.Attempts)
	if !counted {
		wait = max(wait, askedPatience)
	}
	o.NotBefore = now.Add(wait)
	o.Cause = e.err
	o.Refused = e.err.class == Refused
	return o, counted
}

// hearsay is what scouts and dials overtaken by events change: nothing but, for a scout, the kind of trouble. The way
// from refused to down and back must not wait for the schedule.
func hearsay(o messages.Outage, e ending) messages.Outage {
	if o.Since.IsZero() || !e.scout || sameKind(o, e.err) {
		return o
	}
	o.Cause = e.err
	o.Refused = e.err.class == Refused
	return o
}

func sameKind(o messages.Outage, err *failure) bool {
	return o.Refused == (err.class == Refused) && Classify(o.Cause) == err.class
}

// overdue is what is known when a dial has been silent for longer than a good one takes: nobody logs in, so scouts are
// wanted, but nothing has failed yet.
func (s schedule) overdue(o messages.Outage, silence time.Duration, now time.Time) messages.Outage {
	if o.Since.IsZero() {
		o.Since = now
		o.NotBefore = now.Add(s.wait(1))
		o.Cause = &failure{text: "no log-in within " + silence.String()}
	}
	return o
}

// over is what is known once somebody has logged in.
func over(o messages.Outage) messages.Outage { return messages.Outage{Failures: o.Failures} }
