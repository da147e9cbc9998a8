package actors_test

import (
	"context"
	"sync"
	"testing"

	"github.com/seed-4ff2b7b9/supervised/actors"
)

// role is a Behavior made of functions; those that are nil do nothing.
type role[M any] struct {
	start  func(ctx context.Context, self actors.Ref[M]) error
	handle func(ctx context.Context, m M) error
	stop   func(ctx context.Context) error
}

func (r role[M]) Start(ctx context.Context, self actors.Ref[M]) error {
	if r.start == nil {
		return nil
	}
	return r.start(ctx, self)
}

func (r role[M]) Handle(ctx context.Context, m M) error { return r.handle(ctx, m) }

func (r role[M]) Stop(ctx context.Context) error {
	if r.stop == nil {
		return nil
	}
	return r.stop(ctx)
}

// played is the life of an actor that plays the same role in each.
func played[M any](r role[M]) func() actors.Behavior[M] {
	return func() actors.Behavior[M] { return r }
}

// handling is an actor that does nothing but handle.
func handling[M any](o actors.Options, handle func(ctx context.Context, m M) error) *actors.Actor[M] {
	return actors.New(o, played(role[M]{handle: handle}))
}

// stage runs an actor, life after life without a pause, until it is closed.
type stage struct {
	cancel context.CancelFunc
	done   sync.WaitGroup
	// ends is how the lives ended; to be read after close.
	ends []error
}

// perform puts the actor on a stage, which is closed with the test at the latest.
func perform[M any](t testing.TB, a *actors.Actor[M]) *stage {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &stage{cancel: cancel}
	s.done.Go(func() {
		for ctx.Err() == nil {
			s.ends = append(s.ends, a.Serve(ctx))
		}
	})
	t.Cleanup(s.close)
	return s
}

// close stops the actor for good, and joins it.
func (s *stage) close() {
	s.cancel()
	s.done.Wait()
}

// question is a message that wants a number.
type question struct {
	n     int
	reply actors.Reply[int]
}

// ask puts a question.
func ask(ctx context.Context, r actors.Ref[question], n int) (int, error) {
	return actors.Ask(ctx, r, func(reply actors.Reply[int]) question { return question{n: n, reply: reply} })
}
