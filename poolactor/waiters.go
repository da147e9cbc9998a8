package poolactor

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-4ff2b7b9/supervised/actors/retry"
	"github.com/seed-4ff2b7b9/supervised/messages"
)

// This file says how long callers wait, and what they are told when they stop waiting.

type (
	labelKey struct{}
	heldKey  struct{ pool *Pool }
)

// WithLabel names the callers that acquire with the returned context, in Holders, in errors and on the ops page.
func WithLabel(ctx context.Context, label string) context.Context {
	return context.WithValue(ctx, labelKey{}, &label)
}

// ended is what callers are told once the pool has ended.
func (p *Pool) ended() error {
	select {
	case <-p.cohorts.join(false).doom:
		return p.cohorts.join(false).cause
	default:
		return ErrClosed
	}
}

// hurries tells whether a call gives up when the retry schedule is exhausted.
func (p *Pool) hurries(ctx context.Context) bool {
	if p.cfg.Retry.FailFast {
		return true
	}
	_, deadline := ctx.Deadline()
	return !deadline
}

// bounded applies AcquireTimeout to a context without a deadline.
func (p *Pool) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, deadline := ctx.Deadline(); deadline || p.cfg.AcquireTimeout == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, p.cfg.AcquireTimeout)
}

// probeEvery is how often a server that refuses everybody is asked again, so that the way back is found: by letting a call
// through, or for connections that are to be replaced.
const probeEvery = int64(time.Second)

// refused fails a call at once while the server refuses everybody and no connection is open. Once per second a call is
// let through: it waits for a fresh dial.
func (p *Pool) refused() error {
	o := p.outage.Load()
	if !o.Refused || p.hasConnection(false) {
		return nil
	}
	if p.probe(p.now()) {
		return nil
	}
	return p.unavailable(*o, o.Cause)
}

// probe asks for a scout, unless one was asked for within the last second.
func (p *Pool) probe(now int64) bool {
	last := p.probed.Load()
	if now-last < probeEvery || !p.probed.CompareAndSwap(last, now) {
		return false
	}
	p.scoutDue.Store(true)
	p.wake()
	return true
}

func (p *Pool) unavailable(o messages.Outage, cause error) error {
	return &UnavailableError{
		Target: p.target, Attempts: o.Attempts, Since: o.Since, NextIn: max(0, time.Until(o.NotBefore)),
		Refused: o.Refused, Err: cause,
	}
}

// explain is the error of a call whose wait ended with err: doom's own cause, or, when the context ended, what stood
// in the way.
func (p *Pool) explain(ctx, asked context.Context, err error, waited time.Duration) error {
	if ctx.Err() == nil || err != ctx.Err() {
		return err
	}
	p.gaveUp.Add(1)
	return p.unserved(asked, err, waited)
}

// unserved is the error of a call that got no connection: its context ended, or it was not let wait. It says what stood
// in the way. A server that owes an answer for longer than a check may take, while nobody holds anything, is named for
// what it is.
func (p *Pool) unserved(asked context.Context, err error, waited time.Duration) error {
	why := err
	if waited > 0 {
		why = fmt.Errorf("%w while waiting", err)
	}
	if o := *p.outage.Load(); !o.Since.IsZero() {
		return p.unavailable(o, fmt.Errorf("%w; the last attempt failed: %w", why, o.Cause))
	}
	e := p.exhausted(asked, err, waited)
	if len(e.Holders) == 0 && !e.Pending.Suspended && e.Pending.Silent >= p.checkBound() {
		return &UnavailableError{
			Target: p.target, Since: time.Now().Add(-e.Pending.Silent), Silent: true, Err: fmt.Errorf("%w; %v", why, e.Pending),
		}
	}
	return e
}

func (p *Pool) exhausted(asked context.Context, err error, waited time.Duration) *ExhaustedError {
	return &ExhaustedError{
		Waited: waited, Waiting: int(p.waiting.Load()), Holders: p.Holders(), Pending: p.pending(),
		Self: asked.Value(heldKey{p}) != nil, Err: err,
	}
}

// failWaiters ends the wait of those whom waiting does not help: everybody when the server refuses for good and no
// connection is open, and calls without a deadline when they have seen the retry schedule through. It is the actor's,
// in every settle; what it remembers survives a crash.
func (p *Pool) failWaiters(now time.Time, o messages.Outage, open int) {
	record := p.outage.Load()
	if o.Refused && open == 0 && p.failedFor != record {
		p.cohorts.failAll(p.unavailable(o, o.Cause), o.Failures, false)
		p.failedFor = record
		return
	}
	if o.Failures == p.failuresSeen && (o.Since.IsZero() || now.Sub(p.advancedAt) < tickEvery) {
		return
	}
	p.failuresSeen, p.advancedAt = o.Failures, now
	limit := patience{
		failures: 1 + uint64(p.cfg.Retry.MaxRetries),
		length:   retry.Length(p.cfg.Retry.Initial, p.cfg.Retry.Max, p.cfg.Retry.MaxRetries),
	}
	p.cohorts.advance(o.Failures, now, limit, func() error { return p.unavailable(o, o.Cause) })
}
