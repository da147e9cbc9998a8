package poolactor

import (
	"context"
	"slices"
	"time"

	"github.com/seed-4ff2b7b9/supervised/actors"
	"github.com/seed-4ff2b7b9/supervised/internal/failpoint"
	"github.com/seed-4ff2b7b9/supervised/messages"
)

// This file is the pool actor: one loop that owns the stack of resting connections and decides who is served, what is
// dialled and what is closed. It may panic between any two state changes: everything it knows for itself is rebuilt
// from the slots' words by the audit, with which every life begins.

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

// unstack removes what the stack holds of a slot that was taken from it by a checker or the janitor.
func (l *life) unstack(s *slot) {
	l.stack = slices.DeleteFunc(l.stack, func(t *token) bool { return t.slot == s })
}

// throwOut has a connection closed: broken, doomed already, or retired where it rests.
func (l *life) throwOut(s *slot) {
	l.unstack(s)
	if s.forgotten.Swap(false) {
		l.p.reportForgotten(s)
	}
	if _, ok := s.word.move(doomed, broken, opened, resting, free, doomed); ok {
		failpoint.Hit("actor.doomed")
		l.p.startCloser(s)
	}
}

// clearOut makes the place of a connection vacant.
func (l *life) clearOut(s *slot) {
	s.conn.Store(nil)
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

// drainReady takes everything out of ready, and hands it to f if there is one.
func (l *life) drainReady(f func(*token)) {
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

// settle ends every round: it brings about what is wished for, and makes sure that whoever waits is served or has
// something on the way. The order of its steps is the protocol's: supply is published before waiting is read.
func (l *life) settle() {
	p := l.p
	sequence := p.sizeAsked.Load()
	g := p.gate.Load()
	target := int(p.maxSize.Load())
	if g.closed() {
		target = 0
	}
	if !g.open() {
		p.supply.Store(0)
		l.drainReady(func(t *token) { l.take(hint{slot: t.slot, token: t}) })
	}
	if l.counted() > target {
		l.shrinkTo(target)
	}
	if p.sizeApplied.Swap(sequence) != sequence {
		p.applied.Publish(sequence)
	}
	if !g.open() {
		l.arm(time.Now(), messages.Outage{})
		return
	}
	now, outage := time.Now(), *p.outage.Load()
	p.failWaiters(now, outage, l.count[inUse])
	l.publishSupply(l.view(now, outage, 0))
	failpoint.Hit("actor.published")
	served := l.serve()
	l.order(l.view(now, outage, served))
	failpoint.Hit("actor.ordered")
	l.publishSupply(l.view(now, outage, served))
	l.warm()
	l.arm(now, outage)
}

// view gathers what the decisions about new connections depend on.
func (l *life) view(now time.Time, outage messages.Outage, served int) view {
	p := l.p
	return view{
		open:     p.gate.Load().open(),
		waiting:  int(p.waiting.Load()),
		served:   served,
		idle:     len(l.stack) + len(p.ready),
		opening:  l.count[opening],
		scouting: l.count[scouting],
		inUse:    l.count[inUse],
		closing:  l.count[outgoing],
		counted:  l.counted(),
		max:      int(p.maxSize.Load()),
		min:      int(p.minSize.Load()),
		minIdle:  p.cfg.MinIdle,
		maxDials: p.cfg.Retry.MaxDials,
		outage:   !outage.Since.IsZero(),
		backoff:  now.Before(outage.NotBefore),
		scout:    p.scoutDue.Load(),
	}
}

func (l *life) counted() int { return len(l.roles) - l.count[vacant] }

// supply's two bits tell callers whether it makes sense to wake the actor.
const (
	supplyRests = 1 << iota // a connection rests
	supplyRoom              // a dial could begin
)

func (l *life) publishSupply(v view) {
	var supply uint32
	if len(l.stack) > 0 {
		supply |= supplyRests
	}
	if v.room() > 0 {
		supply |= supplyRoom
	}
	l.p.supply.Store(supply)
}

// serve offers resting connections to waiters that nothing is on its way to, and returns how many waiters are served.
func (l *life) serve() int {
	p := l.p
	served := len(p.ready)
	for n := int(p.waiting.Load()) - served; n > 0 && len(l.stack) > 0; {
		pushed, full := l.offerTop()
		if full {
			break
		}
		if pushed {
			served++
			n--
		}
	}
	return served
}

// offerTop offers the hottest resting connection. An entry that turns out to be stale is dropped.
func (l *life) offerTop() (pushed, full bool) {
	t := l.stack[len(l.stack)-1]
	s := t.slot
	w := s.word.Load()
	if w.state() != resting || w.tid() != t.tid {
		l.pop()
		return false, false
	}
	if w.has(flagRetire) {
		l.throwOut(s)
		l.note(s)
		return false, false
	}
	if !s.word.swap(w, w.to(free)) {
		return false, false // the word has changed: the next look decides
	}
	failpoint.Hit("actor.offering")
	if l.p.offer(t) {
		l.pop()
		failpoint.Hit("actor.offered")
		return true, false
	}
	if !s.word.swap(w.to(free), w) {
		l.pop() // the holder of an old hint took it meanwhile
		return false, false
	}
	return false, true
}

// order makes slots wanted: for waiters, for the minimum, and for a scout that is due.
func (l *life) order(v view) {
	p := l.p
	placed := 0
	for range v.orders() {
		if !l.want(0) {
			break
		}
		placed++
	}
	v.opening += placed
	v.counted += placed
	switch {
	case v.sendScout():
		if l.want(flagScout) {
			placed++
		}
	case v.stifled():
		p.wantPlace()
	}
	if v.scout {
		p.scoutDue.Store(false)
	}
	if placed > 0 {
		p.tellRetry()
	} else if v.cramped() {
		p.cutSuspect(v.opening+v.scouting > 0)
	}
}

// want turns one empty slot into an order.
func (l *life) want(flag word) bool {
	for _, s := range l.p.all() {
		w := s.word.Load()
		if w.state() == empty && s.word.swap(w, w.to(wanted).with(flag)) {
			failpoint.Hit("actor.wanted")
			l.note(s)
			return true
		}
	}
	return false
}

// warm keeps one connection in ready while nobody waits, so that the next caller need not wake the actor.
func (l *life) warm() {
	for len(l.stack) > 0 && len(l.p.ready) == 0 && l.p.waiting.Load() == 0 {
		if pushed, full := l.offerTop(); pushed || full {
			return
		}
	}
}

// shrinkTo carries a plan out. What a caller changes meanwhile is planned again.
func (l *life) shrinkTo(target int) {
	slots := l.p.all()
	words := make([]word, len(slots))
	coldest := make([]int, len(slots))
	for again := true; again; {
		again = false
		for i, s := range slots {
			words[i], coldest[i] = s.word.Load(), i
		}
		slices.SortStableFunc(coldest, func(a, b int) int {
			return int(slots[a].acquired.Load() - slots[b].acquired.Load())
		})
		for _, step := range shrink(words, coldest, target) {
			if !l.apply(slots[step.slot], step) {
				again = true
			}
		}
	}
}

// apply carries one step out by compare-and-swap; false means that the word has changed.
func (l *life) apply(s *slot, st step) bool {
	failpoint.Hit("actor.shrinking")
	ok := false
	switch st.do {
	case revokeOrder:
		ok = s.word.swap(st.from, st.from.plain().to(empty))
	case doomResting, doomFree:
		if ok = s.word.swap(st.from, st.from.to(doomed)); ok {
			l.p.startCloser(s)
		}
	case retireBusy:
		ok = s.word.swap(st.from, st.from.with(flagRetire))
	}
	l.note(s)
	return ok
}

// arm sets the timer to what happens next by itself.
func (l *life) arm(now time.Time, outage messages.Outage) {
	next := tickEvery
	if len(l.p.ready) > 1 {
		next = trimAfter
	}
	if wait := outage.NotBefore.Sub(now); !outage.NotBefore.IsZero() && wait > 0 {
		next = min(next, wait)
	}
	l.timer.Reset(next)
}
