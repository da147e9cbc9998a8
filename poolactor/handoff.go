package poolactor

import (
	"context"
	"time"

	"github.com/seed-4ff2b7b9/supervised/internal/backend"
	"github.com/seed-4ff2b7b9/supervised/internal/failpoint"
)

// This file is the hand-off: how a caller gets a connection and gives it back without waiting for the actor, and how
// both sides make sure that no waiter is left behind. Three rules carry it; each is there because leaving it out left
// a waiter asleep beside a connection:
//
//   - Whoever takes a hint looks whether others wait while something could serve them (chain).
//   - A waiter counts itself before it looks at supply; the actor publishes supply before it looks at waiting.
//   - A hint is claimed by compare-and-swap and means nothing when the claim fails.

// Acquire leases a connection. It waits until one is there, as long as ctx allows: an outage of the server is part of
// that wait. A call without a deadline is bounded by Config.AcquireTimeout, if set, and gives up with an
// *UnavailableError when the retry schedule is exhausted.
//
// Errors: *ExhaustedError (everything is leased, and ctx ended), *UnavailableError (the server does not let anybody
// in, or nobody holds anything and the server owes an answer), ErrClosed, ErrStopped; with Config.MaxWaiters and
// Config.ShedByDeadline one of the first two at once, matching ErrTooManyWaiters or ErrShed. If ctx had ended before the
// call, the error is ctx.Err() and nothing else. The lease belongs to the caller, who calls Release exactly once; more
// often is harmless.
func (p *Pool) Acquire(ctx context.Context) (*Lease, error) {
	if p.cfg.Tracer != nil {
		return p.traced(ctx, p.lease)
	}
	return p.lease(ctx)
}

// lease is Acquire, whoever watches.
func (p *Pool) lease(ctx context.Context) (*Lease, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	asked := ctx
	if p.cfg.AcquireTimeout != 0 {
		var cancel context.CancelFunc
		ctx, cancel = p.bounded(ctx)
		defer cancel()
	}
	t := p.takeHot()
	if t == nil {
		select {
		case t = <-p.ready:
		default:
			return p.wait(ctx, asked, p.now(), newcomer)
		}
	}
	gen, ok := t.claim()
	failpoint.Hit("caller.claimed")
	p.chain()
	now := p.now()
	if !ok {
		return p.wait(ctx, asked, now, newcomer)
	}
	if v := p.vet(ctx, t, gen, now, false); v != accepted {
		return p.wait(ctx, asked, now, v)
	}
	return p.grant(asked, t, gen, now), nil
}

// wait is the slow way: counted as a waiter until a claimed connection is accepted. A caller that comes first in line,
// because its turn had come and brought it nothing (the connection was dead, or taken away for a check meanwhile), also
// listens on again, which is served before ready. The call began with the context asked, which ctx bounds; was is what the
// fast path brought: only a newcomer can be turned away.
func (p *Pool) wait(ctx, asked context.Context, began int64, was verdict) (*Lease, error) {
	cohort := p.cohorts.join(p.hurries(asked)) // before the look at what is known: news that come later doom it
	failpoint.Hit("caller.joined")
	if err := p.refused(); err != nil {
		return nil, err
	}
	if err := p.count(ctx, asked, was); err != nil {
		return nil, err
	}
	failpoint.Hit("caller.counted")
	letDown := was == failedCheck
	first := letDown
	for {
		if p.supply.Load() != 0 {
			p.demandMore()
		}
		failpoint.Hit("caller.before select")
		t, err := p.next(ctx, cohort, first)
		if err != nil {
			p.waiting.Add(-1)
			waited := p.now() - began
			p.waitTime.Add(waited)
			p.inVainTime.Add(waited)
			p.inVain.Add(1)
			return nil, p.explain(ctx, asked, err, time.Duration(waited))
		}
		first = true
		gen, ok := t.claim()
		failpoint.Hit("caller.claimed")
		if !ok {
			continue // stale; still counted, it passes the signal on above
		}
		p.waiting.Add(-1)
		p.chain()
		now := p.now()
		switch v := p.vet(ctx, t, gen, now, letDown); v {
		case accepted:
			p.waitTime.Add(now - began)
			return p.grant(asked, t, gen, now), nil
		case failedCheck:
			letDown = true
		}
		p.waiting.Add(1)
		failpoint.Hit("caller.counted")
	}
}

// next waits for the next hint, the end of ctx or the doom of the cohort. A hint that is there already goes before doom.
func (p *Pool) next(ctx context.Context, c *cohort, first bool) (*token, error) {
	var again chan *token
	if first {
		again = p.again
	}
	select {
	case t := <-again:
		return t, nil
	default:
	}
	if t := p.takeHot(); t != nil {
		return t, nil
	}
	failpoint.Hit("caller.blocking")
	select {
	case t := <-again:
		return t, nil
	case t := <-p.ready:
		return t, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-c.doom:
		select {
		case t := <-p.ready:
			return t, nil
		default:
			return nil, c.cause
		}
	}
}

// chain passes the signal on: whoever took a hint, with or without success, may have taken it from under a waiter that
// the actor believes served.
func (p *Pool) chain() {
	if p.waiting.Load() > 0 && p.supply.Load() != 0 {
		p.demandMore()
	}
}

// demandMore wakes the actor to serve the waiters. It never blocks.
func (p *Pool) demandMore() {
	select {
	case p.demand <- struct{}{}:
	default:
	}
}

// offer hands a free connection to a waiter that was let down before, to the longest waiter, or lays it into ready.
// False: ready is full.
func (p *Pool) offer(t *token) bool {
	select {
	case p.again <- t: // unbuffered: only to somebody who is there
		return true
	default:
	}
	select {
	case p.ready <- t:
		return true
	default:
		return false
	}
}

// layOut makes a free connection known to callers. False: there is no room.
func (p *Pool) layOut(t *token) bool { return p.putHot(t) || p.offer(t) }

// putHot lays a connection that came back where the next caller looks first: that is quicker than ready, and a lone caller
// gets the same one again. False: it is to be offered. Nobody can wait there, so what a waiter may have missed is taken back:
// it counts itself before it looks there, and waiting is read after the token lies there, so one of both sees the other.
func (p *Pool) putHot(t *token) bool {
	if p.waiting.Load() > 0 || p.hot.Load() != nil || !p.hot.CompareAndSwap(nil, t) { // two reads spare most of those in vain
		return false
	}
	failpoint.Hit("caller.put hot")
	return p.waiting.Load() == 0 || !p.hot.CompareAndSwap(t, nil)
}

// takeHot takes what the last putHot has laid down, if nobody has taken it since.
func (p *Pool) takeHot() *token {
	if p.hot.Load() == nil {
		return nil
	}
	return p.hot.Swap(nil)
}

// handBack ends the claim gen on a slot: the connection becomes free and is offered, or it is left to the actor. It
// works while the actor is down and never blocks. False: the lease is not of this generation any more.
func (p *Pool) handBack(t *token, gen uint64, to state, flags word) bool {
	_, ended := p.handBackTo(t, gen, to, flags)
	return ended
}

// handBackTo is handBack that tells what became of the connection: one that was to be retired is not free.
func (p *Pool) handBackTo(t *token, gen uint64, to state, flags word) (state, bool) {
	s := t.slot
	for {
		w := s.word.Load()
		if w.gen() != gen || w.state() != leased {
			return w.state(), false
		}
		n := w.to(to).with(flags)
		if to == free && w.has(flagRetire) {
			n = w.to(broken)
		}
		if !s.word.swap(w, n) {
			continue // a flag arrived
		}
		failpoint.Hit("caller.handed back")
		if n.state() == free && p.gate.Load().open() && p.layOut(t) {
			p.afterFinish(s)
			return free, true
		}
		p.tell(hint{slot: s, token: t})
		return n.state(), true
	}
}

// hint tells the actor that something may have happened to a slot; the token comes along when the connection is free.
type hint struct {
	slot  *slot
	token *token
}

// tell leaves a hint for the actor. It never blocks: when there is no room, the actor is asked to look at every slot.
func (p *Pool) tell(h hint) {
	select {
	case p.hints <- h:
	default:
		p.rescan.Store(true)
		p.wake()
	}
	if !p.gate.Load().open() {
		p.signalReturn()
	}
	p.afterFinish(h.slot)
}

// wake makes the actor go round once more. It never blocks.
func (p *Pool) wake() {
	select {
	case p.kick <- struct{}{}:
	default:
	}
}

// signalReturn tells whoever waits for leases to come home (a shutdown) to count again.
func (p *Pool) signalReturn() {
	select {
	case p.returned <- struct{}{}:
	default:
	}
}

// afterFinish closes a connection that came back after the pool had ended for good. The sweep of the ending pool sets
// finished and then looks at every slot; whoever hands back swaps the word and then looks at finished: one of both
// closes it.
func (p *Pool) afterFinish(s *slot) {
	if !p.finished.Load() {
		return
	}
	if w, ok := s.word.move(closing, free, broken, opened, resting); ok {
		closeAtOnce(s.conn.Load(), w)
		s.word.move(gone, closing)
	}
}

// closeAtOnce closes a connection without waiting for the server. Nothing of it is left afterwards, unless somebody may
// still be using it.
func closeAtOnce(c *backend.Conn, w word) {
	if w.has(flagSevere) {
		c.Sever()
		return
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	_ = guarded(func() error { return c.Close(over) }) // it says that there was no time for courtesy
}
