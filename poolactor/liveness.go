package poolactor

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/seed-4ff2b7b9/supervised/actors/health"
	"github.com/seed-4ff2b7b9/supervised/internal/backend"
	"github.com/seed-4ff2b7b9/supervised/internal/failpoint"
	"github.com/seed-4ff2b7b9/supervised/messages"
)

// This file decides whether a connection may be handed out, and keeps what checks and statements learn about the
// server. A failed check costs the caller time, never an error.

// verdict is what vet says about a claimed connection.
type verdict uint8

const (
	accepted    verdict = iota // hand it out
	putBack                    // not now (suspended, closed, retired): wait on
	failedCheck                // it was dead or silent: wait on, first in line
	newcomer                   // none: nothing was claimed yet
)

// proof is what a connection must show before it is handed out.
type proof uint8

const (
	proofNone  proof = iota
	proofLook        // a look at the socket
	proofQuery       // SELECT 1
)

// A connection that answered within this time is handed out as it is, and is looked at up to the second; see
// CheckPolicy.
const (
	trustedFor = int64(time.Millisecond)
	lookedFor  = int64(time.Second)
)

// due decides what proof a connection needs: never anything, always SELECT 1, or by how long ago it was last proved,
// provided that it was verified in this epoch.
func (c CheckPolicy) due(verified bool, unproved int64) proof {
	switch {
	case !verified || c == CheckAlways:
		return proofQuery
	case c == CheckNever || unproved < trustedFor:
		return proofNone
	case unproved < lookedFor:
		return proofLook
	default:
		return proofQuery
	}
}

// vet decides about a connection that the caller has claimed. Unless it accepts, the claim is ended. A caller that was
// let down once does not wait for another check: an unverified connection is checked without it.
func (p *Pool) vet(ctx context.Context, t *token, gen uint64, now int64, letDown bool) verdict {
	s, policy := t.slot, p.cfg.Health.OnAcquire
	for {
		g := p.gate.Load()
		if !g.open() {
			to := free
			if g.closed() {
				to = broken
			}
			p.handBack(t, gen, to, 0)
			return putBack
		}
		verified := s.ok.Load() == uint64(g.epoch())
		switch policy.due(verified, now-s.proved.Load()) {
		case proofNone:
			return accepted
		case proofLook:
			return p.peek(t, gen, now)
		}
		if letDown && !verified {
			p.examine(s, g)
			return putBack
		}
		if v := p.interrogate(ctx, t, g); v != accepted {
			return v
		}
		failpoint.Hit("caller.answered")
		// The gate may have been shut meanwhile, and on a busy machine the caller may run long after its check was answered.
		policy, now = CheckIdle, p.now()
	}
}

// peek looks at the socket of a claimed connection.
func (p *Pool) peek(t *token, gen uint64, now int64) verdict {
	s := t.slot
	if err := s.conn.Load().Look(); err != nil {
		p.reportCheck(s, nil, err)
		p.handBack(t, gen, broken, 0)
		return failedCheck
	}
	s.proved.Store(now)
	return accepted
}

// examine has a claimed connection checked without anybody waiting for the answer.
func (p *Pool) examine(s *slot, g gate) {
	s.tended.Store(p.now())
	s.word.move(checking, leased)
	if !p.crew.Go(func() { _ = p.check(s, g, nil) }) {
		p.endTending(s, checking, false)
	}
}

// inquiry is a check that a caller waits for. Exactly one of both has the slot afterwards: the caller if it was still
// there when the answer came, else the checker.
type inquiry struct {
	over   atomic.Bool // swapped to true by whoever is first: the answer or the caller who leaves
	told   atomic.Bool // swapped to true by whoever is first to tell that the check failed
	answer chan error
}

// interrogate runs SELECT 1 in a goroutine of the pool, so that a caller who gives up leaves the check running and the
// connection survives, and a check that only ran out of time closes nothing.
func (p *Pool) interrogate(ctx context.Context, t *token, g gate) verdict {
	s := t.slot
	s.tended.Store(p.now())
	s.word.move(checking, leased)
	q := &inquiry{answer: make(chan error, 1)}
	if !p.crew.Go(func() { _ = p.check(s, g, q) }) {
		p.endTending(s, checking, false)
		return putBack
	}
	bound := time.NewTimer(p.checkBound())
	defer bound.Stop()
	select {
	case err := <-q.answer:
		return p.conclude(t, err)
	case <-ctx.Done():
		if q.over.CompareAndSwap(false, true) {
			return putBack
		}
	case <-bound.C:
		if q.over.CompareAndSwap(false, true) {
			p.reportCheck(s, q, errCheckTimeout)
			p.wake() // the suspect's place may be needed
			return failedCheck
		}
	}
	return p.conclude(t, <-q.answer)
}

// conclude gives the slot of an answered check back to the caller that waited for it.
func (p *Pool) conclude(t *token, err error) verdict {
	s := t.slot
	if err == nil {
		if w, ok := s.word.move(leased, checking); ok && !w.has(flagRetire) {
			return accepted
		}
		p.handBack(t, s.word.Load().gen(), broken, 0)
		return putBack
	}
	p.endTending(s, checking, false)
	return failedCheck
}

var errCheckTimeout = errors.New("no answer to SELECT 1 within the health time-out; the check goes on")

// check is the checker: it asks the server, at most for the connect time-out, and hands the slot on. q is nil when nobody
// waits, and over from the beginning when no caller does.
func (p *Pool) check(s *slot, g gate, q *inquiry) error {
	ctx, cancel := context.WithTimeout(p.life, p.cfg.ConnectTimeout)
	defer cancel()
	err := errWorkerEnded
	defer func() { p.checked(s, g, q, err) }() // also if a hook ends this goroutine
	err = guarded(func() error { return p.ask(ctx, s, g) })
	return err
}

// errWorkerEnded stands for the outcome of foreign code that has ended its goroutine by runtime.Goexit.
var errWorkerEnded = errors.New("the goroutine was ended by runtime.Goexit")

// checked hands the slot on.
func (p *Pool) checked(s *slot, g gate, q *inquiry, err error) {
	p.checks.Add(1)
	failpoint.Hit("worker.checked")
	if err == nil {
		s.ok.Store(uint64(g.epoch()))
		p.prove(s)
	} else {
		p.reportCheck(s, q, err)
	}
	if q != nil && q.over.CompareAndSwap(false, true) {
		q.answer <- err
		return
	}
	p.endTending(s, checking, err == nil)
}

// endTending hands a slot that was checked or cleaned to the actor: to be taken up again, or to be closed.
func (p *Pool) endTending(s *slot, from state, fit bool) {
	to := broken
	if fit {
		to = opened
	}
	s.word.move(to, from)
	failpoint.Hit("worker.tended")
	p.tell(hint{slot: s})
}

// checkBound is how long a caller waits for a check: the configured bound, or more where the server is far away.
func (p *Pool) checkBound() time.Duration {
	return health.Bound(p.cfg.Health.Timeout, time.Duration(p.roundTrip.Load()))
}

// prove notes that the server has just answered on this connection.
func (p *Pool) prove(s *slot) { s.proved.Store(p.now()) }

// reportCheck counts and tells of a failed check, once: one that was silent for too long may still end in an error. From each
// it draws the conclusions. q is nil for a look at the socket.
func (p *Pool) reportCheck(s *slot, q *inquiry, err error) {
	if p.life.Err() != nil {
		return // the pool is ending and cuts its checks short
	}
	if q == nil || q.told.CompareAndSwap(false, true) {
		p.checksFailed.Add(1)
		p.publish(Event{Kind: EventCheckFailed, Slot: s.index, PID: s.pid(), Err: err})
	}
	p.learn(s, s.conn.Load(), err)
}

// learn draws conclusions from an error on a connection: a death means that others may be dead, too; silence, or two
// deaths in quick succession, that nothing may be handed out before it was verified anew. It works in the goroutine
// that met the error, so it does not depend on any actor being up. Only a connection that was verified in the current
// epoch tells something new, and only once; one whose socket the pool closed itself, or that the slot has no more, tells
// nothing.
func (p *Pool) learn(s *slot, c *backend.Conn, err error) {
	sign := health.Grade(err)
	switch {
	case errors.Is(err, errCheckTimeout):
		sign = health.Timeout
	case errors.Is(err, backend.ErrUnexpectedData): // a farewell, perhaps, that nobody has read yet
		p.tellHealth(messages.LookNow{})
		return
	case errors.Is(err, errOtherKind):
		p.learnOtherKind(s, err)
		return
	}
	epoch := p.gate.Load().epoch()
	w, ok := s.word.Load(), s.ok.Load()
	known := ok != uint64(epoch) && ok != doubted
	own := w.has(flagRevoked|flagSevere) || w.has(flagRetire) && errors.Is(err, net.ErrClosed)
	if known || own || s.conn.Load() != c {
		return
	}
	now := time.Now()
	var previous time.Time
	switch sign {
	case health.ReadOnly:
		p.doubtKind(s, c)
		return
	case health.Death:
		s.ok.Store(distrusted)
		if at := p.lastDeath.Swap(int64(now.Sub(p.born))); at != 0 {
			previous = p.born.Add(time.Duration(at))
		}
	}
	switch health.Judge(sign, now, previous) {
	case health.LookAll:
		p.tellHealth(messages.LookNow{})
	case health.Distrust:
		p.distrust(epoch, s, err)
	}
}

// What a slot's ok can be beside an epoch of the gate: a connection that is not verified, whatever the epoch.
const (
	distrusted = ^uint64(0) - iota // it died
	doubted                        // its server may be of another kind than it was
)

func (s *slot) pid() uint32 {
	if c := s.conn.Load(); c != nil {
		return c.PID()
	}
	return 0
}

// suspect tells whether a check has been silent for longer than the bound.
func (s *slot) suspect(now, bound int64) bool {
	return s.word.Load().state() == checking && now-s.tended.Load() > bound
}

// guarded runs foreign code (pgx, and through it a user's tracer) and turns a panic into an error.
func guarded(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panicked(v)
		}
	}()
	return f()
}
