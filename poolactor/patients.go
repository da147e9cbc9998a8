package poolactor

import (
	"context"
	"time"

	"github.com/seed-4ff2b7b9/supervised/actors/health"
	"github.com/seed-4ff2b7b9/supervised/internal/failpoint"
	"github.com/seed-4ff2b7b9/supervised/messages"
)

// patients is the pool's side of the health actor (health.Pool): the connections that nobody uses.
type patients struct{ p *Pool }

var _ health.Pool = patients{}

func (h patients) Waiting() int            { return int(h.p.waiting.Load()) }
func (h patients) Outage() messages.Outage { return *h.p.outage.Load() }

func (h patients) Scout() {
	h.p.scoutDue.Store(true)
	failpoint.Hit("health.scouting")
	h.p.wake()
}

// atRest are the states in which nobody uses a connection. Opened is among them: the look that precedes each round of
// checks leaves every connection in it until the actor's next turn.
var atRest = []state{resting, free, opened}

// Unproved lists the connections that rest or are on offer and were not proved since.
func (h patients) Unproved(since time.Time) []int {
	var found []int
	bound := int64(since.Sub(h.p.born))
	epoch := uint64(h.p.gate.Load().epoch())
	for _, s := range h.p.all() {
		if st := s.word.Load().state(); !st.in(atRest) {
			continue
		}
		if since.IsZero() || s.proved.Load() < bound || s.ok.Load() != epoch {
			found = append(found, s.index)
		}
	}
	return found
}

// Check verifies one connection in place; a slot that neither rests nor is on offer is left alone. When ctx ends first,
// the check goes on without the health actor.
func (h patients) Check(ctx context.Context, index int) error {
	p, s := h.p, h.p.all()[index]
	g := p.gate.Load()
	for {
		w := s.word.Load()
		if !w.state().in(atRest) {
			return nil
		}
		s.tended.Store(p.now()) // before the swap: whoever sees the state reads it
		if s.word.swap(w, w.to(checking)) {
			break
		}
	}
	q, answer := &inquiry{}, make(chan error, 1)
	q.over.Store(true)
	if !h.handOver(s, func() { answer <- p.check(s, g, q) }) {
		return ErrClosed
	}
	bound := time.NewTimer(p.checkBound())
	defer bound.Stop()
	select {
	case err := <-answer:
		return err
	case <-bound.C:
		p.reportCheck(s, q, errCheckTimeout)
		return errCheckTimeout
	case <-ctx.Done():
		return ctx.Err()
	}
}

// handOver gives a slot that was taken for a check to a worker. If there is none any more, or this life of the health
// actor ends here, the connection is closed.
func (h patients) handOver(s *slot, work func()) (done bool) {
	defer func() {
		if !done {
			h.p.endTending(s, checking, false)
		}
	}()
	failpoint.Hit("health.checking")
	return h.p.crew.Go(work)
}

// Look peeks at every socket that rests or is on offer and drops the dead ones.
func (h patients) Look() int {
	dead := 0
	for _, s := range h.p.all() {
		w := s.word.Load()
		if st := w.state(); st != resting && st != free {
			continue
		}
		s.tended.Store(h.p.now()) // before the swap: whoever sees the state reads it
		if !s.word.swap(w, w.to(checking)) {
			continue // a caller was faster and looks for itself
		}
		if err := h.lookAt(s); err != nil {
			dead++
			h.p.reportCheck(s, nil, err)
		}
	}
	return dead
}

// lookAt peeks at one socket and gives the slot back, also when this life of the health actor ends here. Whoever met the
// word in between has dropped its hint, so it goes back by way of the pool actor.
func (h patients) lookAt(s *slot) (err error) {
	fit := false
	defer func() { h.p.endTending(s, checking, fit) }()
	failpoint.Hit("health.looking")
	err = s.conn.Load().Look()
	fit = err == nil
	return err
}
