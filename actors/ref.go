package actors

import "context"

// Ref is the address of an actor that takes messages of type M. It is a value, may be copied and compared, and stays
// valid across restarts: a message that is sent while the actor is down waits in its mailbox for the next life.
// The zero Ref leads to no actor; everything that is sent to it fails with ErrNoActor.
//
// All its methods are safe from any goroutine.
type Ref[M any] struct{ box *mailbox[M] }

// Tell puts m into the mailbox and waits for room if it is full. The messages of one sender are handled in the order in
// which it told them.
//
// Nil means that the mailbox took m, not that it was handled. The errors are ErrStopped, and ctx's own when it ended
// before there was room; m was then not taken. An actor that tells itself never waits, because only it could make room:
// it gets ErrFull.
func (r Ref[M]) Tell(ctx context.Context, m M) error {
	if r.box == nil {
		return ErrNoActor
	}
	return r.box.put(ctx, &envelope[M]{message: m})
}

// TryTell is Tell without waiting: if the mailbox is full, the error is ErrFull.
func (r Ref[M]) TryTell(m M) error {
	if r.box == nil {
		return ErrNoActor
	}
	return r.box.tryPut(&envelope[M]{message: m})
}
