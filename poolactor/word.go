package poolactor

import (
	"sync/atomic"

	"github.com/seed-4ff2b7b9/supervised/internal/failpoint"
)

// state is what a slot is in; the word that carries it is the truth about the slot, whatever a hint says.
type state uint8

// The states of a slot, and who may change a word in that state (always by compare-and-swap). Beside that, whoever wants a
// connection replaced adds flagRetire where somebody is at work on it: the actor, the janitor, an Evict, the end of the pool.
const (
	empty    state = iota // no connection, no order                 the actor
	wanted                // a dial was ordered                      the dialer; the actor, revoking
	dialing               // a dial is under way                     its dialer; the next life of it
	opened                // a connection waits to be taken up       the actor; a checker taking it
	failed                // a dial ended without a connection       the actor
	resting               // on the actor's stack                    the actor; a checker taking it
	free                  // offered, a hint is on its way           anybody
	leased                // a caller holds it                       its holder; the leak watch; whoever revokes
	checking              // a checker asks whether it is alive      its checker, or the caller it works for
	cleaning              // a cleaner makes it fit for reuse        its cleaner
	broken                // came back unfit                         the actor
	doomed                // is to be closed                         a closer
	closing               // a closer is at work                     that closer
	gone                  // the connection is no more               the actor
)

var stateNames = [...]string{
	"empty", "wanted", "dialing", "opened", "failed", "resting", "free", "leased", "checking", "cleaning", "broken",
	"doomed", "closing", "gone",
}

func (s state) String() string { return stateNames[s] }

// hasConnection tells whether a slot in this state has an open connection that can still serve callers.
func (s state) hasConnection() bool {
	switch s {
	case opened, resting, free, leased, checking, cleaning:
		return true
	default:
		return false
	}
}

// The flags of a word. They are wishes that must survive a crash, so they stand in the word and nowhere else.
const (
	flagRetire  word = 1 << (4 + iota) // do not hand out again: close when it comes back
	flagRevoked                        // taken away from its holder: what runs on it is to be cancelled
	flagScout                          // the order was placed in spite of the backoff
	flagSevere                         // somebody may still be using the connection: close the socket, touch nothing else
)

const (
	stateMask word = 1<<4 - 1
	flagsMask word = 0xf << 4
	tidShift       = 8
	tidMask   word = (1<<16 - 1) << tidShift
	genShift       = 24
)

// word is the whole truth about a slot in 64 bits: generation (40) | token id (16) | flags (4) | state (4).
// The generation grows with every lease, the token id with every token; both wrap, after 10^12 leases and 65 536 tokens.
type word uint64

func (w word) state() state        { return state(w & stateMask) }
func (w word) has(flag word) bool  { return w&flag != 0 }
func (w word) tid() uint16         { return uint16(w >> tidShift) }
func (w word) gen() uint64         { return uint64(w >> genShift) }
func (w word) to(s state) word     { return w&^stateMask | word(s) }
func (w word) with(flag word) word { return w | flag }
func (w word) plain() word         { return w &^ flagsMask }

// nextToken is the word with the next token id: every hint that carries an older one is stale.
func (w word) nextToken() word { return w&^tidMask | (w+1<<tidShift)&tidMask }

// lease is the word of a new lease: state leased, the next generation.
func (w word) lease() word { return w.to(leased) + 1<<genShift }

// atomicWord is a word that changes by compare-and-swap only.
type atomicWord struct{ v atomic.Uint64 }

func (a *atomicWord) Load() word { return word(a.v.Load()) }

func (a *atomicWord) swap(from, to word) bool {
	failpoint.Hit("word.changing")
	return a.v.CompareAndSwap(uint64(from), uint64(to))
}

// move swaps the state while the word is in one of the given states, whatever flags arrive meanwhile, and returns the
// word it left and whether it did.
func (a *atomicWord) move(to state, from ...state) (word, bool) {
	for {
		w := a.Load()
		if !w.state().in(from) {
			return w, false
		}
		if a.swap(w, w.to(to)) {
			return w, true
		}
	}
}

// flag adds a flag while the word is in one of the given states, and tells whether the flag is set now.
func (a *atomicWord) flag(flag word, in ...state) bool {
	for {
		w := a.Load()
		if !w.state().in(in) {
			return false
		}
		if w.has(flag) || a.swap(w, w.with(flag)) {
			return true
		}
	}
}

func (s state) in(states []state) bool {
	for _, x := range states {
		if s == x {
			return true
		}
	}
	return false
}

// gate is the pool-wide word: verification epoch | closed | suspended. A connection may be handed out while its own
// gate value, read before it was last verified, equals the pool's.
type gate uint64

const (
	gateSuspended gate = 1 << 0
	gateClosed    gate = 1 << 1
	gateEpoch     gate = 1 << 2
)

func (g gate) open() bool      { return g&(gateSuspended|gateClosed) == 0 }
func (g gate) closed() bool    { return g&gateClosed != 0 }
func (g gate) suspended() bool { return g&gateSuspended != 0 }
func (g gate) epoch() gate     { return g &^ (gateSuspended | gateClosed) }

type atomicGate struct{ v atomic.Uint64 }

func (a *atomicGate) Load() gate     { return gate(a.v.Load()) }
func (a *atomicGate) set(bit gate)   { a.v.Or(uint64(bit)) }
func (a *atomicGate) clear(bit gate) { a.v.And(^uint64(bit)) }

// distrust begins a new epoch, unless one began since the given value was read.
func (a *atomicGate) distrust(since gate) bool {
	for {
		g := a.Load()
		if g.epoch() != since.epoch() {
			return false
		}
		failpoint.Hit("word.changing")
		if a.v.CompareAndSwap(uint64(g), uint64(g+gateEpoch)) {
			return true
		}
	}
}
