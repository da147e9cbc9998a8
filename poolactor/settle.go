package poolactor

import (
	"slices"
	"time"

	"github.com/seed-4ff2b7b9/supervised/internal/failpoint"
	"github.com/seed-4ff2b7b9/supervised/messages"
)

// This file is how the actor ends every round: who is served, what is ordered, and what the callers are told about it.

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
	if l.stale {
		l.sift()
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
		idle:     p.unused(),
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

// unused counts the connections that nobody uses, wherever they are. The actor's stack would not do: an audit leaves out of
// it what is being checked. Only MinIdle asks for it.
func (p *Pool) unused() (n int) {
	if p.cfg.MinIdle <= 0 {
		return 0
	}
	for _, s := range p.all() {
		if w := s.word.Load(); w.state().in(unleased) && !w.has(flagRetire) {
			n++
		}
	}
	return n
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
