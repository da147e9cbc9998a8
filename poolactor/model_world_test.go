package poolactor

import (
	"cmp"
	"slices"
)

// world is one state of the model. It is comparable, has no pointers, and fields that mean nothing at the moment are
// zero, so that equal situations are equal values.
type world struct {
	slots   [2]modelWord
	hot     hintOf
	hasHot  bool
	ready   [2]hintOf
	inReady uint8
	hints   [2]hintOf
	inHints uint8

	demand, kick, rescan bool
	dialsWanted          bool // the retry actor's mailbox
	supply               uint8
	max                  uint8
	shut                 bool // the gate, by a Suspend
	outage               outageOf
	asked, applied       bool // a shrink

	callers            [4]caller
	actor              modelActor
	retry              worker
	checker            worker
	closers            [2]worker
	resizer, suspender askerAt

	left budget
	// wrong is what a move itself has broken.
	wrong blunder
}

// modelWord is the state and the flags of a slot's word.
type modelWord uint8

func (w modelWord) word() word   { return word(w) }
func (w modelWord) state() state { return word(w).state() }
func (w modelWord) to(s state) modelWord {
	return modelWord(word(w).to(s))
}

// hintOf is a token on its way: of which slot, and whether it is the slot's current one no more. A hint without a token
// is as good as a stale one.
type hintOf struct {
	slot  uint8
	stale bool
}

type outageOf uint8

const (
	serverIsUp outageOf = iota
	attemptIsDue
	attemptIsLater // backoff
)

// budget is what may still happen that nobody is bound to do.
type budget struct{ crashes, deaths, failures, checks, ticks, refusals uint8 }

type blunder uint8

const (
	noBlunder blunder = iota
	dialBeyondMax
	stackedTwice
	leaseOfSuspended
)

var blunders = [...]string{
	noBlunder:        "",
	dialBeyondMax:    "a dial begins although max is reached",
	stackedTwice:     "a connection lies on the stack twice",
	leaseOfSuspended: "a lease is granted after Suspend has returned",
}

// caller is one call of Acquire with its Release.
type caller struct {
	at      callerAt
	slot    uint8 // of the token in hand
	stale   bool  // that token is not current any more
	slow    bool  // in wait
	counted bool  // in waiting
	claimed bool  // the slot is this caller's
	first   bool  // had its turn before, or was let down: listens on again
	back    bool  // waits on after the hand-back
	place   uint8 // among the blocked receivers, from 1
}

func (c caller) compare(d caller) int {
	bit := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	pack := func(c caller) int {
		return int(c.at)<<10 | int(c.place)<<7 | int(c.slot)<<6 | bit(c.stale)<<5 | bit(c.slow)<<4 |
			bit(c.counted)<<3 | bit(c.claimed)<<2 | bit(c.first)<<1 | bit(c.back)
	}
	return cmp.Compare(pack(c), pack(d))
}

// canonical is the world with its callers in order: it does not matter who is who.
func (w world) canonical() world {
	slices.SortFunc(w.callers[:], caller.compare)
	return w
}

func (m *model) start() world {
	w := world{
		max:  uint8(m.max),
		left: budget{uint8(m.crashes), uint8(m.deaths), uint8(m.failures), uint8(m.checks), uint8(m.ticks), uint8(m.refusals)},
	}
	for i := range w.callers {
		if i >= m.callers {
			w.callers[i].at = callerDone
		}
	}
	for i := range m.open {
		w.slots[i] = w.slots[i].to(resting)
	}
	if m.shrinks == 0 {
		w.resizer = askerDone
	}
	if m.suspends == 0 {
		w.suspender = askerDone
	}
	return w
}

func (w *world) waiting() int {
	n := 0
	for _, c := range w.callers {
		if c.counted {
			n++
		}
	}
	return n
}

// count is how many slots are in a state, counted how many count against max.
func (w *world) count(s state) int {
	n := 0
	for _, x := range w.slots {
		if x.state() == s {
			n++
		}
	}
	return n
}

func (w *world) counted() int {
	n := 0
	for _, x := range w.slots {
		if roleOf(x.word()) != vacant {
			n++
		}
	}
	return n
}

// nextToken makes every hint of the slot that is on its way stale.
func (w *world) nextToken(slot uint8) {
	w.hot.stale = w.hot.stale || w.hasHot && w.hot.slot == slot
	for i := range w.inReady {
		w.ready[i].stale = w.ready[i].stale || w.ready[i].slot == slot
	}
	for i := range w.inHints {
		w.hints[i].stale = w.hints[i].stale || w.hints[i].slot == slot
	}
	for i := range w.callers {
		if c := &w.callers[i]; c.at.hasHint() && c.slot == slot {
			c.stale = true
		}
	}
}

// takeHot is Pool.takeHot.
func (w *world) takeHot() (h hintOf, ok bool) {
	h, ok = w.hot, w.hasHot
	w.hot, w.hasHot = hintOf{}, false
	return h, ok
}

// receive takes from ready without blocking.
func (w *world) receive() (h hintOf, ok bool) {
	if w.inReady == 0 {
		return hintOf{}, false
	}
	h = w.ready[0]
	w.ready = [2]hintOf{w.ready[1]}
	w.inReady--
	return h, true
}

// sendAgain hands a token to whoever is blocked on again.
func (w *world) sendAgain(h hintOf) bool {
	return w.hand(h, func(c caller) bool { return c.first })
}

// sendReady hands a token to the longest blocked receiver, or lays it into ready; false: ready is full.
func (m *model) sendReady(w *world, h hintOf) bool {
	if w.hand(h, func(caller) bool { return true }) {
		return true
	}
	if int(w.inReady) == m.ready {
		return false
	}
	w.ready[w.inReady] = h
	w.inReady++
	return true
}

func (w *world) hand(h hintOf, to func(caller) bool) bool {
	longest := -1
	for i, c := range w.callers {
		if c.place > 0 && to(c) && (longest < 0 || c.place < w.callers[longest].place) {
			longest = i
		}
	}
	if longest < 0 {
		return false
	}
	w.unblock(longest)
	c := &w.callers[longest]
	c.at, c.slot, c.stale = callerClaims, h.slot, h.stale
	return true
}

// block puts a caller at the end of the receivers' queue.
func (w *world) block(i int) {
	last := uint8(0)
	for _, c := range w.callers {
		last = max(last, c.place)
	}
	w.callers[i].at, w.callers[i].place = callerBlocked, last+1
}

func (w *world) unblock(i int) {
	place := w.callers[i].place
	w.callers[i].place = 0
	for j := range w.callers {
		if w.callers[j].place > place {
			w.callers[j].place--
		}
	}
}

// tellAt is where somebody is in tell; the zero value is at its beginning.
type tellAt uint8

const (
	tellHint tellAt = iota
	tellRescan
	tellKick
	tellDone
)

// tell is the next move of Pool.tell.
func (m *model) tellNext(w *world, at tellAt, h hintOf) (next tellAt, what string) {
	switch at {
	case tellHint:
		if int(w.inHints) < m.hints {
			w.hints[w.inHints] = h
			w.inHints++
			return tellDone, "tell: hints <-"
		}
		if m.without == rescanWhenHintsAreFull {
			return tellDone, "tell: hints are full"
		}
		return tellRescan, "tell: hints are full"
	case tellRescan:
		w.rescan = true
		return tellKick, "tell: rescan.Store"
	default:
		w.kick = true
		return tellDone, "wake: kick <-"
	}
}
