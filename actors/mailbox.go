package actors

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// envelope carries a message through a mailbox. The reply slot lies inside the message, where the kernel cannot see it,
// so a request's envelope names it once more.
type envelope[M any] struct {
	message M
	asked   pending
}

// mailbox is the part of an actor that outlives its lives, and the only part that others hold.
//
// It is a ring with many writers and one reader. Writers take turns under mu; the life that reads takes no lock while
// there is something to read, and parks when there is nothing. A Go channel would take both sides a lock per message (a
// Tell and its handling take 0.85 of a bare channel's time this way), cannot tell a sender whether its message was taken
// when the actor is stopped at that moment, and gives a stop no way past a full one.
type mailbox[M any] struct {
	name  atomic.Pointer[string]
	slots slotPools
	ring  []envelope[M] // a power of two, at least capacity
	// capacity is how many messages may wait.
	capacity uint64
	// wake ends the parking of the life. A token that nobody needed is harmless: the life looks again.
	wake chan struct{}

	mu   sync.Mutex
	gate gate
	// knownTaken is how many the reader had taken when last looked at, so that writers touch the reader's memory only
	// when the ring seems full.
	knownTaken uint64
	// senders wait for room. While there are any, signalRoom is set and nobody else may put a message in.
	senders     senders[M]
	idleSenders sync.Pool // of *sender[M]
	// answers are what this actor asked for with Post. While there are any, signalAnswers is set. They need no room,
	// because the actor has ordered each of them; an answer waits as the function that makes it a message, so that a
	// panic in it is this actor's crash and not the answering one's.
	answers []func() M

	_ [64]byte // writers and reader do not share a cache line
	// tail is how many messages were ever put in; it moves under mu. The ring holds those that phase has not taken.
	tail    atomic.Uint64
	signals atomic.Uint32

	_     [64]byte
	phase atomicPhase
	_     [64]byte
}

// gate is what a mailbox does with messages that come in.
type gate int

const (
	gateOpen    gate = iota // takes them
	gateClosing             // refuses them; the life may still handle those that wait
	gateClosed              // refuses them, and holds none
)

// Signals tell the life about what is not in the ring. Each is set before the phase is looked at, and the life looks at
// them after it changed its phase to Waiting: so one of the two sees the other.
const (
	signalStop uint32 = 1 << iota
	signalAnswers
	signalRoom
)

func newMailbox[M any](name string, capacity int) *mailbox[M] {
	size := 1
	for size < capacity {
		size *= 2
	}
	b := &mailbox[M]{
		ring:     make([]envelope[M], size),
		capacity: uint64(capacity),
		wake:     make(chan struct{}, 1),
	}
	b.name.Store(&name)
	return b
}

// put waits for room as long as ctx lets it.
func (b *mailbox[M]) put(ctx context.Context, e *envelope[M]) error {
	if ctx.Err() != nil {
		return b.gaveUp(ctx)
	}
	if err := b.tryPut(e); err == nil || !errors.Is(err, ErrFull) {
		return err
	}
	if b.isSelf(ctx) {
		return ErrFull // nobody else makes room
	}
	return b.putWaiting(ctx, e)
}

// tryPut does not wait: it returns ErrFull if there is no room.
func (b *mailbox[M]) tryPut(e *envelope[M]) error {
	b.mu.Lock()
	if b.gate != gateOpen {
		b.mu.Unlock()
		return b.stopped()
	}
	if b.senders.first != nil || !b.hasRoom() {
		b.mu.Unlock()
		return ErrFull
	}
	b.push(e)
	b.mu.Unlock()
	b.wakeParked()
	return nil
}

// hasRoom needs mu.
func (b *mailbox[M]) hasRoom() bool {
	tail := b.tail.Load()
	if tail-b.knownTaken < b.capacity {
		return true
	}
	b.knownTaken = b.phase.load().taken()
	return tail-b.knownTaken < b.capacity
}

// push needs room, and mu. wakeParked follows it.
func (b *mailbox[M]) push(e *envelope[M]) {
	tail := b.tail.Load()
	b.ring[tail&uint64(len(b.ring)-1)] = *e
	b.tail.Store(tail + 1)
}

// take is the message at that position, for the life that reads, which then moves its phase on.
func (b *mailbox[M]) take(position uint64, e *envelope[M]) {
	cell := &b.ring[position&uint64(len(b.ring)-1)]
	*e = *cell
	*cell = envelope[M]{}
}

// wakeParked wakes the life if it parks, or is about to. It follows each change that a life must notice.
func (b *mailbox[M]) wakeParked() {
	if b.phase.load().state() != Waiting {
		return
	}
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// open lets messages in, for a new life.
func (b *mailbox[M]) open() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gate = gateOpen
	b.signals.And(^signalStop)
}

// stop lets no more messages in, and tells the life to end.
func (b *mailbox[M]) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refuse(gateClosing)
	b.signals.Or(signalStop)
	b.wakeParked()
}

// close lets no more messages in, and throws out those that wait; no life reads meanwhile. Requests fail outside of the
// lock, because that can lead into another mailbox, and from there back here.
func (b *mailbox[M]) close() {
	thrownOut := b.empty()
	for _, asked := range thrownOut {
		asked.fail(b.stopped())
	}
}

func (b *mailbox[M]) empty() (asked []pending) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refuse(gateClosed)
	b.answers = nil
	b.signals.And(^signalAnswers)
	taken := b.phase.load().taken()
	var e envelope[M]
	for at := taken; at != b.tail.Load(); at++ {
		if b.take(at, &e); e.asked.ticket != nil {
			asked = append(asked, e.asked)
		}
	}
	b.tail.Store(taken)
	return asked
}

// refuse lets no more messages in, and sends those away who wait for room. It needs mu.
func (b *mailbox[M]) refuse(g gate) {
	b.gate = g
	for b.senders.first != nil {
		b.senders.dismiss(b.stopped())
	}
	b.signals.And(^signalRoom)
}

// waiting is how many messages wait.
func (b *mailbox[M]) waiting() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return int(b.tail.Load()-b.phase.load().taken()) + len(b.answers)
}

// answer takes the answer to a Post. False means that the actor is stopped.
func (b *mailbox[M]) answer(message func() M) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gate != gateOpen {
		return false
	}
	b.answers = append(b.answers, message)
	b.signals.Or(signalAnswers)
	b.wakeParked()
	return true
}

// nextAnswer is the oldest answer that waits. The life calls it only while signalAnswers is set.
func (b *mailbox[M]) nextAnswer() func() M {
	b.mu.Lock()
	defer b.mu.Unlock()
	answer := b.answers[0]
	b.answers[0] = nil
	if b.answers = b.answers[1:]; len(b.answers) == 0 {
		b.answers = nil
		b.signals.And(^signalAnswers)
	}
	return answer
}

func (b *mailbox[M]) stopped() error { return fmt.Errorf("%w: %s", ErrStopped, *b.name.Load()) }

func (b *mailbox[M]) gaveUp(ctx context.Context) error {
	return fmt.Errorf("actors: waiting for %s: %w", *b.name.Load(), ctx.Err())
}

// selfKey is the context key of the mailbox whose life the context belongs to.
type selfKey struct{}

// isSelf says whether ctx was given out by a life of this very actor.
func (b *mailbox[M]) isSelf(ctx context.Context) bool { return ctx.Value(selfKey{}) == any(b) }
