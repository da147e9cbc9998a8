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
func (a *Actor[M]) Serve(ctx context.Context) (err error) {
	_ = contained(func() error {
		a.ServeHere(ctx, &err)
		return nil
	})
	return err
}

// ServeHere is Serve in the caller's own goroutine, for a supervisor that can bear a runtime.Goexit in a service: it
// spares the goroutine in which Serve contains that. A Goexit goes on when the life has been brought to its end, so this
// function does not return then, and err, to which everything is written that Serve returns, tells what it was.
func (a *Actor[M]) ServeHere(ctx context.Context, err *error) {
	if !a.serving.CompareAndSwap(false, true) {
		*err = ErrRunning
		return
	}
	defer a.serving.Store(false)
	if ctx.Err() != nil {
		a.retire()
		*err = ctx.Err()
		return
	}
	a.box.open()
	a.lives.Add(1)
	a.pulse.enter(Starting)
	lifeCtx, cancel := context.WithCancel(context.WithValue(context.WithoutCancel(ctx), selfKey{}, a.box))
	l := &life[M]{actor: a, box: a.box, ctx: lifeCtx}
	endWatch := a.watch(ctx, cancel)
	var failure error
	returned := false
	defer func() {
		failure = outcome(returned, recover(), failure)
		endWatch()
		cancel()
		*err = a.conclude(ctx, l, failure)
	}()
	failure = l.run()
	returned = true
}

// watch passes an ordered stop on to the life. What it returns ends the watch, and joins it.
func (a *Actor[M]) watch(ctx context.Context, cancel context.CancelFunc) (end func()) {
	passedOn := make(chan struct{})
	unwatch := context.AfterFunc(ctx, func() {
		defer close(passedOn)
		a.box.stop()
		if a.options.OnStop != StopDrain || a.pulse.phase.load().state() == Starting {
			cancel() // a Start is never worth waiting for
		}
	})
	return func() {
		if !unwatch() {
			<-passedOn
		}
	}
}

// conclude brings a life that has ended in failure, or as it was told if that is nil, to its end, and returns what Serve
// does.
func (a *Actor[M]) conclude(ctx context.Context, l *life[M], failure error) error {
	a.pulse.calm()
	a.pulse.enter(Stopping)
	end := judge(ctx, failure, l.stop())
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
