package poolactor

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/seed-4ff2b7b9/supervised/internal/failpoint"
)

// This file is what the pool does about leases that are held for long: it tells about them, and takes them away. Both are
// the janitor's work, so they go on while the pool actor is down, and all that has to outlive a crash of the janitor
// stands in the slot.

// LimitLeases changes Config.LeaseWarnAfter and Config.LeaseMaxAge; here 0 and less mean off. It holds for leases that are
// out, too, from the next look at them: within a second, if the pool runs. Errors: a warning that would come after the end.
func (p *Pool) LimitLeases(warnAfter, maxAge time.Duration) error {
	c := p.cfg
	c.LeaseWarnAfter, c.LeaseMaxAge = warnAfter, maxAge
	if err := c.check(); err != nil {
		return fmt.Errorf("poolactor: %w", err)
	}
	p.warnAfter.Store(int64(max(warnAfter, 0)))
	p.maxAge.Store(int64(max(maxAge, 0)))
	return nil
}

// watchLease looks at how long a slot has been leased. A lease that is not granted yet is none: the time beside its word
// may be that of the lease before.
func (p *Pool) watchLease(s *slot, now int64) {
	w := s.word.Load()
	if w.state() != leased || !s.granted(w) || s.isShared() {
		return
	}
	switch held := time.Duration(now - s.acquired.Load()); {
	case exceeds(held, &p.maxAge):
		if s.revoke(w.gen()) {
			failpoint.Hit("janitor.revoked")
			p.startCloser(s)
		}
	case exceeds(held, &p.warnAfter):
		p.warnOverdue(s, w)
	}
}

// exceeds tells whether a lease was held for as long as a limit says; a limit of 0 is off.
func exceeds(held time.Duration, limit *atomic.Int64) bool {
	most := time.Duration(limit.Load())
	return most > 0 && held >= most
}

// warnOverdue tells about a lease, once.
func (p *Pool) warnOverdue(s *slot, w word) {
	if s.warned.Load() == w.gen() {
		return
	}
	e := p.leaseEvent(EventOverdue, s, w)
	failpoint.Hit("janitor.warning")
	if !s.isOf(w.gen()) {
		return // what was read may be the next holder's
	}
	s.warned.Store(w.gen())
	p.publish(e)
}

// revoke takes one lease away from its holder, who may be in the middle of a statement. By the flags the closer knows
// what to do, whoever starts it: if nobody does now, the pool actor's next audit will.
func (s *slot) revoke(gen uint64) bool { return s.take(gen, doomed, flagRevoked|flagSevere) }

// reportRevoked tells about a lease that was taken away. The closer does, so it is done once.
func (p *Pool) reportRevoked(s *slot, w word) {
	p.revokedLeases.Add(1)
	p.publish(p.leaseEvent(EventRevoked, s, w))
}

// leaseEvent is an event about the lease of a word.
func (p *Pool) leaseEvent(kind EventKind, s *slot, w word) Event {
	h := p.holder(s, w, p.now())
	return Event{Kind: kind, Slot: h.Slot, PID: h.PID, Label: h.Label, Stack: h.Stack, Held: h.For}
}
