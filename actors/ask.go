package actors

import "context"

// Ask sends a request and waits for its answer. The function request puts the Reply into a message; it runs at once, in
// the caller's goroutine. Ask allocates nothing unless M is an interface, which boxes its message.
//
// The error is what the actor answered with Reply.Fail, or
//   - ErrStopped: the actor is stopped, and never handled the message;
//   - ErrCrashed, in a *CrashedError: the life that took the message ended without an answer, so its effect is unknown;
//   - the error of ctx, which ended first: Reply.Send then returns false, and the effect is unknown;
//   - ErrSelfAsk: ctx came from a life of this very actor, which would wait for itself. That includes goroutines which
//     the life began and gave its context: they use Tell;
//   - ErrNoActor for the zero Ref.
//
// While the actor is down between two lives, Ask waits for the next one.
func Ask[M, R any](ctx context.Context, r Ref[M], request func(Reply[R]) M) (R, error) {
	var none R
	if r.box == nil {
		return none, ErrNoActor
	}
	if r.box.isSelf(ctx) {
		return none, ErrSelfAsk
	}
	slots := poolOf[R](&r.box.slots)
	s := slots.get()
	s.done.Store(ctx.Done())
	e := seal(s.reply(), request)
	err := r.box.put(ctx, &e)
	if err == nil {
		// To yield the processor here first would save a tenth on an idle machine, and cost milliseconds on a busy one,
		// where whoever yields is put behind all others.
		if done := ctx.Done(); done == nil {
			<-s.wake // 100 ns less than a select
		} else {
			select {
			case <-s.wake:
			case <-done:
				err = r.box.gaveUp(ctx)
			}
		}
	}
	if err != nil {
		if s.claimLatest() {
			s.err = err
		} else {
			<-s.wake // an answer was quicker
		}
	}
	v, err := s.take()
	slots.put(s)
	return v, err
}

// seal makes the message of a request and its envelope.
func seal[M, R any](reply Reply[R], request func(Reply[R]) M) envelope[M] {
	return envelope[M]{
		message: request(reply),
		asked:   pending{ticket: &reply.slot.ticket, generation: reply.generation},
	}
}
