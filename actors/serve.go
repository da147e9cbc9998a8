package actors

import (
	"context"
	"errors"
	"time"

	"github.com/thejerf/suture/v4"
)

// Serve runs one life: Start, then Handle for each message, until ctx ends or the life crashes, and then Stop. A crash
// is returned as an error, a panic or a runtime.Goexit as a *PanicError; an ordered stop returns the error of ctx.
//
// After a crash the mailbox keeps its messages for the next Serve. When ctx has ended, the actor is stopped for good:
// the messages that wait go the way of Options.OnStop, and new ones get ErrStopped, until another Serve begins. A Serve
// with a ctx that has ended begins no life and only does that; a supervisor calls it so for an actor that it will not
// start again after a crash. A Handle that returned suture.ErrDoNotRestart or suture.ErrTerminateSupervisorTree stops
// the actor for good as well.
//
// Serve returns when the life and its Stop have ended, however long they take. It is not called again before that; if
// it is, it returns ErrRunning.
func (a *Actor[M]) Serve(ctx context.Context) error {
	if !a.serving.CompareAndSwap(false, true) {
		return ErrRunning
	}
	defer a.serving.Store(false)
	if ctx.Err() != nil {
		a.retire()
		return ctx.Err()
	}
	a.box.open()
	a.lives.Add(1)
	l, end := a.live(ctx)
	if end.crashed {
		a.crashes.Add(1)
		a.lastCrash.Store(&crash{text: end.text, at: time.Now()})
		a.log(end)
	}
	if ctx.Err() != nil || end.final {
		a.retire()
	} else {
		a.pulse.enter(Down)
	}
	l.abandon(&CrashedError{Actor: a.String(), Err: end.cause}) // last, so that who is told finds all of this done
	return end.err
}

// retire stops the actor for good.
func (a *Actor[M]) retire() {
	a.box.close()
	a.pulse.enter(Stopped)
}

// ending is how a life ended.
type ending struct {
	err     error  // what Serve returns
	cause   error  // what unanswered requests are told
	text    string // err's, if it crashed
	crashed bool
	final   bool // the actor asked not to be started again
}

// live runs one life, and its Stop.
func (a *Actor[M]) live(ctx context.Context) (*life[M], ending) {
	a.pulse.enter(Starting)
	lifeCtx, cancel := context.WithCancel(context.WithValue(context.WithoutCancel(ctx), selfKey{}, a.box))
	l := &life[M]{actor: a, box: a.box, ctx: lifeCtx}
	r := begin(l.run)
	a.attend(ctx, r, cancel)
	cancel()
	a.pulse.calm()
	a.pulse.enter(Stopping)
	return l, judge(ctx, r.err, l.stop())
}

// attend waits for the end of a life, and passes an ordered stop on to it.
func (a *Actor[M]) attend(ctx context.Context, r *run, cancel context.CancelFunc) {
	stop := ctx.Done()
	for {
		select {
		case <-r.done:
			return
		case <-a.pulse.timer.C:
			a.pulse.sample()
		case <-stop:
			stop = nil
			a.box.stop()
			if a.options.OnStop != StopDrain || a.pulse.phase.load().state() == Starting {
				cancel() // a Start is never worth waiting for
			}
		}
	}
}

// judge tells how a life ended whose run and whose Stop returned these errors. They are the user's own, and so are
// their methods: they are asked here, contained, for the first time, and a panic in one of them is a crash like any
// other. What judge returns can be printed by anybody without danger.
func judge(ctx context.Context, lifeErr, stopErr error) ending {
	var end ending
	failure := contained(func() error {
		end = sentence(ctx, lifeErr, stopErr)
		return nil
	})
	for failure != nil { // ends: a PanicError whose value cannot be printed becomes one with ErrGoexit
		end = ending{err: failure, cause: failure, crashed: true}
		failure = contained(func() error {
			end.text = end.err.Error()
			return nil
		})
	}
	return end
}

func sentence(ctx context.Context, lifeErr, stopErr error) ending {
	var p *PanicError
	panicked := errors.As(lifeErr, &p)
	final := errors.Is(lifeErr, suture.ErrDoNotRestart) || errors.Is(lifeErr, suture.ErrTerminateSupervisorTree)
	ordered := lifeErr == nil || !panicked && ctx.Err() != nil && errors.Is(lifeErr, ctx.Err())
	switch {
	case ordered && stopErr == nil:
		return ending{err: ctx.Err(), cause: errOrderedStop}
	case final && !panicked && stopErr == nil:
		return ending{err: lifeErr, cause: lifeErr, final: true}
	case ordered:
		lifeErr = stopErr
	case stopErr != nil:
		lifeErr = errors.Join(lifeErr, stopErr)
	}
	return ending{err: lifeErr, cause: lifeErr, text: lifeErr.Error(), crashed: true, final: final}
}

// log tells of a crash. A log whose writer or hook panics loses the line: it must not keep anybody from being told.
func (a *Actor[M]) log(end ending) {
	if a.options.Logger == nil {
		return
	}
	defer func() { _ = recover() }()
	event := a.options.Logger.Error().Str("event", "actor_crashed").Str("actor", a.String()).Uint64("life", a.lives.Load()).Str("cause", end.text)
	var p *PanicError
	if errors.As(end.err, &p) {
		event.Bytes("stack", p.Stack)
	}
	event.Msg("actor crashed")
}
