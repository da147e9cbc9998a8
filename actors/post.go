package actors

import "context"

// Post is Ask for an actor that must not wait: it sends a request to another actor and returns. The answer comes to the
// mailbox of self, as the message that wrap makes of it. Post never waits: if there is no room, it returns ErrFull.
//
// After a nil error, exactly one answer arrives, also if self's mailbox is full then, and also in a later life of self.
// The error that wrap is given is one of those of Ask: ctx bounds how long the answer is waited for, so with the context
// of a life, what is still unanswered at its end is given up, and its next life finds context.Canceled. After an
// error, nothing arrives. An actor may Post to itself.
//
// If self is stopped by the time the answer comes, then Reply.Send returns false: what the answer owns stays with the
// actor that answered. An answer that waits when self is stopped goes the way of Options.OnStop, as messages do: an actor
// that asks for things which must be given back uses StopDrain. wrap runs in the life that takes the answer; a panic in
// it is a crash of self.
func Post[M, R, A any](ctx context.Context, to Ref[M], request func(Reply[R]) M, self Ref[A], wrap func(R, error) A) error {
	if to.box == nil || self.box == nil {
		return ErrNoActor
	}
	if ctx.Err() != nil {
		return to.box.gaveUp(ctx)
	}
	s := new(slot[R]) // not from a pool: nobody waits who could give it back
	s.done.Store(ctx.Done())
	reply := s.reply() // before ctx can end the request
	answer := func() bool {
		return self.box.answer(func() A { return wrap(s.value, s.err) })
	}
	forget := context.AfterFunc(ctx, func() {
		if s.claimLatest() {
			s.err = to.box.gaveUp(ctx)
			answer()
		}
	})
	s.forward = func() bool {
		forget()
		return answer()
	}
	e := seal(reply, request)
	if err := to.box.tryPut(&e); err != nil && s.claimLatest() {
		forget()
		return err
	}
	return nil
}
