package poolactor

import (
	"runtime"
	"sync/atomic"

	"github.com/seed-4ff2b7b9/supervised/internal/backend"
)

// slot is the place of one connection. Slots outlive every life of the actor and are never moved or removed.
//
// The word is the truth. The fields beside it are written by whoever owns the word's state and may be read by anybody
// at any time; times are nanoseconds since the pool was made.
type slot struct {
	pool  *Pool
	index int
	word  atomicWord
	// use fences the connection: generation<<1 | busy. Only the lease of that generation can set the busy bit, and a
	// connection whose bit is set is not touched by anybody else, but for its socket.
	use atomic.Uint64
	// ok is the gate's epoch that was read before the connection was last verified.
	ok atomic.Uint64
	// proved is when the server last answered on this connection.
	proved atomic.Int64
	// acquired is when the current or the last lease began; of a leased slot it is true once that is granted.
	acquired atomic.Int64
	// created is when the connection was opened, expires when it is to be replaced (0: never).
	created, expires atomic.Int64
	// notice is what an Evict wants of a connection; that of a connection before this one means nothing.
	notice atomic.Pointer[notice]
	// tended is when the check, the cleaning or the dial that goes on began.
	tended atomic.Int64
	conn   atomic.Pointer[backend.Conn]
	label  atomic.Pointer[string]
	stack  atomic.Pointer[callStack]
	// warned is the generation of the last lease that was told to be held for long.
	warned atomic.Uint64
	// 128 bytes in all, which keeps neighbours off each other's cache lines.
}

// token is what travels in hints and in leases. The pool refers to it only while its slot is not leased, so a lease
// that is dropped without Release takes its token along, and the cleanup on the token finds it: leak detection costs
// nothing per acquire.
type token struct {
	slot *slot
	tid  uint16
}

// newToken makes a token that the leak watch watches.
func newToken(s *slot, tid uint16) *token {
	t := &token{slot: s, tid: tid}
	runtime.AddCleanup(t, reclaim, lostLease{slot: s, tid: tid})
	return t
}

// lostLease is what the leak watch knows of a token that nobody refers to any more.
type lostLease struct {
	slot *slot
	tid  uint16
}

// reclaim takes back the connection of a forgotten lease. Its state is unknown, so it is closed.
func reclaim(l lostLease) {
	s, p := l.slot, l.slot.pool
	for {
		w := s.word.Load()
		if w.state() != leased || w.tid() != l.tid {
			return
		}
		e := p.leaseEvent(EventForgotten, s, w) // before the swap: what stands in the slot may be another's after it
		if s.word.swap(w, w.to(broken).with(flagSevere)) {
			p.forgottenLeases.Add(1)
			p.publish(e)
			p.tell(hint{slot: s})
			return
		}
	}
}

// offered tells whether the slot can be claimed with this token.
func (t *token) offered() bool {
	w := t.slot.word.Load()
	return w.state() == free && w.tid() == t.tid
}

// claim takes an offered slot. A stale token (the slot is elsewhere, or has a newer token) claims nothing.
func (t *token) claim() (gen uint64, ok bool) {
	for {
		w := t.slot.word.Load()
		if w.state() != free || w.tid() != t.tid {
			return 0, false
		}
		if n := w.lease(); t.slot.word.swap(w, n) {
			return n.gen(), true
		}
	}
}

// open lets the lease gen use the connection. What is known about the lease is in the slot by then.
func (s *slot) open(gen uint64) { s.use.Store(gen << 1) }

// granted tells whether the lease of a leased word has been granted: before, what stands beside the word may still be
// that of an earlier lease.
func (s *slot) granted(w word) bool { return s.use.Load()>>1 == w.gen() }

// isOf tells whether the slot is leased to the lease gen.
func (s *slot) isOf(gen uint64) bool {
	w := s.word.Load()
	return w.state() == leased && w.gen() == gen
}

// take ends the lease gen, whatever flags its word has; false if it was over.
func (s *slot) take(gen uint64, to state, flags word) bool {
	for {
		w := s.word.Load()
		if w.state() != leased || w.gen() != gen {
			return false
		}
		if s.word.swap(w, w.to(to).with(flags)) {
			return true
		}
	}
}

// begin takes the connection for one statement of the lease gen.
func (s *slot) begin(gen uint64) bool { return s.use.CompareAndSwap(gen<<1, gen<<1|1) }

// end gives the connection back to the lease gen; false if somebody else has the slot by now.
func (s *slot) end(gen uint64) bool { return s.use.CompareAndSwap(gen<<1|1, gen<<1) }
