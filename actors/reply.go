package actors

import (
	"sync"
	"sync/atomic"
)

// Reply is where the answer to a request goes. A request carries it inside its message; whoever handles the message
// answers at once, or keeps the Reply and answers later, from any goroutine.
//
// Of all answers and the asker's giving up exactly one wins, by one compare-and-swap: the first Send or Fail that
// returns true is what the asker gets, and no later one does anything. A Reply that is still unanswered when the life
// that took it ends is answered ErrCrashed by the kernel, unless it was detached.
//
// A Reply is a value and may be copied. The zero Reply has no asker: Send and Fail do nothing and return false, so a
// message type may serve Tell as well as Ask.
type Reply[R any] struct {
	slot       *slot[R]
	generation uint64
}

// Send answers with v. False means that nobody will take v: the asker gave up, the request was answered before, or it
// was detached from this Reply; whatever v owns is still the caller's.
func (r Reply[R]) Send(v R) bool {
	if r.slot == nil || !r.slot.claim(r.generation) {
		return false
	}
	r.slot.value = v
	return r.slot.deliver()
}

// Fail answers with err, which should not be nil. False means that the asker gave up or was answered before.
func (r Reply[R]) Fail(err error) bool {
	if err == nil {
		err = errNoReason
	}
	return r.slot != nil && r.slot.fail(r.generation, err)
}

// Detach takes the request away from the life that took it: that life's end no longer answers it, so whoever holds the
// returned Reply must. Hand it to another actor or to a goroutine that outlives the life. The Reply it was called on,
// and every copy of it, is dead afterwards. Detaching an answered request gives a dead Reply.
func (r Reply[R]) Detach() Reply[R] {
	if r.slot == nil || !r.slot.word.CompareAndSwap(r.generation, r.generation+nextGeneration) {
		return Reply[R]{}
	}
	return Reply[R]{slot: r.slot, generation: r.generation + nextGeneration}
}

// Done is closed when the asker's context ends, so that whoever works on the answer can stop: nobody will take it. It is
// nil, and so never closed, if that context cannot end; it is closed once this Reply is dead.
func (r Reply[R]) Done() <-chan struct{} {
	if r.slot == nil {
		return over
	}
	done, _ := r.slot.done.Load().(<-chan struct{})
	if r.slot.word.Load() != r.generation {
		return over // and what was loaded may be of the slot's next use
	}
	return done
}

// over is closed.
var over = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// pending names the ticket of a request and its generation; the zero pending belongs to a message that was told.
type pending struct {
	ticket     *ticket
	generation uint64
}

// waits says whether somebody still waits for the answer.
func (p pending) waits() bool { return p.ticket != nil && p.ticket.word.Load() == p.generation }

// fail answers the request with err, if somebody still waits.
func (p pending) fail(err error) {
	if p.ticket != nil {
		p.ticket.fail(p.generation, err)
	}
}

// slot is where one answer is handed over. Slots of Ask are used again and again, so a Reply names the generation it
// belongs to.
type slot[R any] struct {
	ticket
	value R // written by who claimed the ticket, before deliver; read by the asker after it
}

// reply is for the slot's next request. The slot is in nobody else's hands yet.
func (s *slot[R]) reply() Reply[R] { return Reply[R]{slot: s, generation: s.word.Load()} }

// What a ticket's word is made of: the lowest bit says that the generation was claimed, all others count generations.
// Sixty-three bits do not come around.
const (
	claimed        = 1
	nextGeneration = 2
)

// ticket is the part of a slot that does not depend on the answer's type, so that the kernel can fail a request
// whose message it cannot look into.
type ticket struct {
	// word is {generation, claimed}. The right to answer is a compare-and-swap from a generation to the same one
	// claimed, and so is giving up; detaching, and the slot's next use, move on to the next generation. So a Reply of
	// an earlier use, or one that was detached, cannot claim anything.
	word atomic.Uint64
	// done holds the Done channel of the asker's context. It is stored before the Reply is out.
	done atomic.Value
	// err is the answer if it is an error; same rules as slot.value.
	err error
	// wake tells the asker that its answer is there. It has room for one: a claim never blocks.
	wake chan struct{}
	// forward replaces wake for a Post: it puts the answer into the mailbox of the actor that asked, and is false if
	// that actor is stopped.
	forward func() bool
}

func newTicket() ticket { return ticket{wake: make(chan struct{}, 1)} }

// claim takes the right to answer. Its holder owes a deliver.
func (t *ticket) claim(generation uint64) bool {
	return t.word.CompareAndSwap(generation, generation+claimed)
}

// deliver hands the answer to the asker after a claim.
func (t *ticket) deliver() bool {
	if t.forward != nil {
		return t.forward()
	}
	t.wake <- struct{}{}
	return true
}

func (t *ticket) fail(generation uint64, err error) bool {
	if !t.claim(generation) {
		return false
	}
	t.err = err
	return t.deliver()
}

// claimLatest is how the asker's side ends the request, whatever generation it has come to: giving up is one claim among
// the others. False means that an answer was quicker. It goes round again only when a holder detached in between.
func (t *ticket) claimLatest() bool {
	for {
		generation := t.word.Load()
		if generation&claimed != 0 {
			return false
		}
		if t.claim(generation) {
			return true
		}
	}
}

// take is the answer, after the claim of another and wake, or after the asker's own claim. It makes the slot ready for
// its next generation, so no Reply of this one can do anything any more.
func (s *slot[R]) take() (R, error) {
	v, err := s.value, s.err
	var none R
	s.value, s.err = none, nil
	s.word.Add(nextGeneration - claimed)
	return v, err
}

// slotPool keeps the slots of one answer type that nobody uses. The first is always at hand: to take and return it costs
// half as much as a sync.Pool, which serves those who ask at the same time.
type slotPool[R any] struct {
	busy  atomic.Bool // somebody uses first
	first slot[R]
	idle  sync.Pool
}

func newSlotPool[R any]() *slotPool[R] {
	return &slotPool[R]{first: slot[R]{ticket: newTicket()}}
}

func (p *slotPool[R]) get() *slot[R] {
	if p.busy.CompareAndSwap(false, true) {
		return &p.first
	}
	if s, ok := p.idle.Get().(*slot[R]); ok {
		return s
	}
	return &slot[R]{ticket: newTicket()}
}

func (p *slotPool[R]) put(s *slot[R]) {
	if s == &p.first {
		p.busy.Store(false)
		return
	}
	p.idle.Put(s)
}

// slotPools holds a mailbox's pools, one for each answer type it was asked for. These are few, so to look through them
// is a few comparisons, where a map for all mailboxes and types costs 20 ns.
type slotPools struct{ list atomic.Pointer[[]any] }

// poolOf finds the pool for R, or makes it.
func poolOf[R any](pools *slotPools) *slotPool[R] {
	for {
		list := pools.list.Load()
		var known []any
		if list != nil {
			known = *list
		}
		for _, p := range known {
			if p, ok := p.(*slotPool[R]); ok {
				return p
			}
		}
		p := newSlotPool[R]()
		grown := append(known[:len(known):len(known)], any(p))
		if pools.list.CompareAndSwap(list, &grown) {
			return p
		}
	}
}
