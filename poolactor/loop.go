package poolactor

import (
	"context"
	"slices"
	"time"

	"github.com/seed-4ff2b7b9/supervised/actors"
	"github.com/seed-4ff2b7b9/supervised/internal/failpoint"
)

// This file is the pool actor: one loop that owns the stack of resting connections. It may panic between any two state
// changes: everything it knows for itself is rebuilt from the slots' words by the audit, with which every life begins.
// How a round ends is in settle.go.

const (
	// tickEvery is how often the actor looks round by itself: it takes what lies in ready back onto the stack, so that
	// few callers keep few connections warm, and lets time pass for waiters in an outage.
	tickEvery = time.Second
	// trimAfter is the same for a ready channel that holds more than one.
	trimAfter = 20 * time.Millisecond
)

// poolActor is one pool's actor, over all its lives.
type poolActor struct {
	p      *Pool
	status actorStatus
}

// life is what one life of the actor knows for itself. The words of the slots are the truth; this is a copy of them.
type life struct {
	p     *Pool
	stack []*token // resting connections, the hottest last
	roles []role   // by slot
	count [5]int   // how many slots have each role
	stale bool     // what lies in ready may lead nowhere
	timer *time.Timer
}

func (a *poolActor) String() string         { return "pool" }
func (a *poolActor) Inspect() actors.Status { return a.status.snapshot(a.p) }

// Serve runs one life of the actor. It returns when ctx ends; a panic ends the life and is its supervisor's to count.
func (a *poolActor) Serve(ctx context.Context) error {
	a.status.begin()
	l := &life{p: a.p, timer: time.NewTimer(tickEvery)}
	defer l.timer.Stop()
	orderly := false
	defer func() { a.status.end(orderly) }()
	l.audit()
	for {
		l.settle()
		a.status.waiting()
		select {
		case <-ctx.Done():
			orderly = true
			return ctx.Err()
		case <-l.p.demand:
		case <-l.p.kick:
		case h := <-l.p.hints:
			l.take(h)
		case <-l.timer.C:
			l.trim()
		}
		a.status.handling()
		failpoint.Hit("actor.woken")
		if l.p.rescan.Swap(false) {
			l.audit()
		}
	}
}

// take looks at a slot that a hint named. Nothing is believed but its word.
func (l *life) take(h hint) {
	s := h.slot
	w := s.word.Load()
	l.stale = l.stale || h.token == nil
	switch adopt(w) {
	case takeUp:
		l.rest(s, w, h.token)
	case throwOut:
		l.throwOut(s)
	case clearOut:
		l.clearOut(s)
	}
	l.note(s)
}

// rest takes a connection onto the stack. One that comes back by a hint keeps its token, if the hint brought it.
func (l *life) rest(s *slot, w word, t *token) {
	switch w.state() {
	case opened:
		l.unstack(s)
		n := w.to(resting).plain().nextToken()
		if s.word.swap(w, n) {
			failpoint.Hit("actor.adopted")
			l.push(newToken(s, n.tid()))
		}
	case free:
		if t != nil && t.tid == w.tid() && s.word.swap(w, w.to(resting)) {
			failpoint.Hit("actor.rested")
			l.push(t)
		}
	}
}

// push lays a token onto the stack by when its connection was last used: the hottest lies on top.
func (l *life) push(t *token) {
	l.stack = append(l.stack, t)
	used := t.slot.acquired.Load()
	i := len(l.stack) - 1
	for ; i > 0 && l.stack[i-1].slot.acquired.Load() > used; i-- {
		l.stack[i] = l.stack[i-1]
	}
	l.stack[i] = t
}

// pop removes the hottest token. The place in the slice is cleared, since a forgotten lease is found by nobody referring
// to its token.
func (l *life) pop() {
	last := len(l.stack) - 1
	l.stack[last] = nil
	l.stack = l.stack[:last]
}

// unstack removes what the stack holds of a slot that was taken from it, by a checker, or to be closed.
func (l *life) unstack(s *slot) {
	l.stack = slices.DeleteFunc(l.stack, func(t *token) bool { return t.slot == s })
}

// throwOut has a connection closed: broken, doomed already, or retired where it rests.
func (l *life) throwOut(s *slot) {
	l.unstack(s)
	if _, ok := s.word.move(doomed, broken, opened, resting, free, doomed); ok {
		failpoint.Hit("actor.doomed")
		l.p.startCloser(s)
	}
}

// clearOut makes the place of a connection vacant.
func (l *life) clearOut(s *slot) {
	s.conn.Store(nil)
	s.notice.Store(nil)
	for {
		w := s.word.Load()
		if st := w.state(); st != failed && st != gone {
			return
		}
		if s.word.swap(w, w.plain().to(empty)) {
			failpoint.Hit("actor.cleared")
			return
		}
	}
}

// note keeps the counts true to a slot's word.
func (l *life) note(s *slot) {
	l.grow(s.index + 1)
	r := roleOf(s.word.Load())
	l.count[l.roles[s.index]]--
	l.roles[s.index] = r
	l.count[r]++
}

// grow makes room for slots that a larger size has added; they are vacant.
func (l *life) grow(n int) {
	for len(l.roles) < n {
		l.roles = append(l.roles, vacant)
		l.count[vacant]++
	}
}

// audit forgets everything and looks at every slot. It is how each life begins, may be repeated at any time, and
// nothing is closed for being ambiguous: a new token makes every hint from before stale.
func (l *life) audit() {
	l.p.audits.Add(1)
	l.stack, l.roles, l.count = nil, nil, [5]int{}
	l.drainReady(nil)
	orders := false
	for _, s := range l.p.all() {
		failpoint.Hit("actor.auditing")
		w := s.word.Load()
		switch adopt(w) {
		case takeUp:
			l.readopt(s)
		case throwOut:
			l.throwOut(s)
		case clearOut:
			l.clearOut(s)
		case repeatCall:
			orders = true
		}
		l.note(s)
	}
	if orders {
		l.p.tellRetry()
	}
	l.stale = true // what was offered meanwhile may have a new token already
}

// readopt rests a connection under a new token, unless a caller takes it first.
func (l *life) readopt(s *slot) {
	for {
		w := s.word.Load()
		if !w.state().in([]state{opened, resting, free}) {
			return
		}
		n := w.to(resting).nextToken()
		if s.word.swap(w, n) {
			failpoint.Hit("actor.adopted")
			l.push(newToken(s, n.tid()))
			return
		}
	}
}

// drainReady takes everything out of hot and ready, and hands it to f if there is one.
func (l *life) drainReady(f func(*token)) {
	if t := l.p.takeHot(); t != nil && f != nil {
		f(t)
	}
	for {
		select {
		case t := <-l.p.ready:
			if f != nil {
				f(t)
			}
		default:
			return
		}
	}
}

// sift takes stale hints out of hot and ready: a check takes a connection that lies there as well, and it comes back under a
// new token. The next caller would find nothing, and have to wait for the actor.
func (l *life) sift() {
	l.stale = false
	if t := l.p.takeHot(); t != nil {
		l.layOutAgain(t)
	}
	for range len(l.p.ready) {
		select {
		case t := <-l.p.ready:
			l.layOutAgain(t)
		default:
			return
		}
	}
}

// layOutAgain puts a hint back that leads somewhere. It is looked at only after it was taken: what still lies there may be
// with a caller at the look, and lie there again after it.
func (l *life) layOutAgain(t *token) {
	failpoint.Hit("actor.sifting")
	if t.offered() && !l.p.layOut(t) {
		l.take(hint{slot: t.slot, token: t})
	}
}

// trim takes what is more than one in ready back onto the stack.
func (l *life) trim() {
	for len(l.p.ready) > 1 {
		select {
		case t := <-l.p.ready:
			l.take(hint{slot: t.slot, token: t})
		default:
		}
	}
}
