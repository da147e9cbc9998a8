package actors_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/actors"
)

// TestAnswers: a value, an error, an error without a reason; only the first counts, and a Reply without an asker is
// harmless.
func TestAnswers(t *testing.T) {
	boom := errors.New("boom")
	a := handling(actors.Options{}, func(_ context.Context, q question) error {
		switch q.n {
		case 0:
			require.False(t, q.reply.Send(1), "nobody asked")
			require.False(t, q.reply.Fail(boom))
			require.False(t, q.reply.Detach().Send(1))
		case 1:
			require.True(t, q.reply.Send(10))
			require.False(t, q.reply.Send(11))
			require.False(t, q.reply.Fail(boom))
			require.False(t, q.reply.Detach().Send(12), "answered before")
		case 2:
			require.True(t, q.reply.Fail(boom))
			require.False(t, q.reply.Send(20))
		case 3:
			require.True(t, q.reply.Fail(nil))
		case 4:
			detached := q.reply.Detach()
			require.False(t, q.reply.Send(40), "detached")
			again := detached.Detach()
			require.False(t, detached.Fail(boom))
			require.True(t, again.Send(44))
		}
		return nil
	})
	perform(t, a)
	require.NoError(t, a.Ref().Tell(t.Context(), question{}))
	got, err := ask(t.Context(), a.Ref(), 1)
	require.NoError(t, err)
	require.Equal(t, 10, got)
	_, err = ask(t.Context(), a.Ref(), 2)
	require.ErrorIs(t, err, boom)
	_, err = ask(t.Context(), a.Ref(), 3)
	require.Error(t, err)
	got, err = ask(t.Context(), a.Ref(), 4)
	require.NoError(t, err)
	require.Equal(t, 44, got)
}

// TestAnswerTypes: one actor may answer with many types.
func TestAnswerTypes(t *testing.T) {
	type request struct {
		text actors.Reply[string]
		flag actors.Reply[bool]
		err  actors.Reply[error]
	}
	a := handling(actors.Options{}, func(_ context.Context, r request) error {
		r.text.Send("text")
		r.flag.Send(true)
		r.err.Send(nil)
		return nil
	})
	perform(t, a)
	for range 3 {
		text, err := actors.Ask(t.Context(), a.Ref(), func(r actors.Reply[string]) request { return request{text: r} })
		require.NoError(t, err)
		require.Equal(t, "text", text)
		flag, err := actors.Ask(t.Context(), a.Ref(), func(r actors.Reply[bool]) request { return request{flag: r} })
		require.NoError(t, err)
		require.True(t, flag)
		none, err := actors.Ask(t.Context(), a.Ref(), func(r actors.Reply[error]) request { return request{err: r} })
		require.NoError(t, err)
		require.NoError(t, none)
	}
}

// TestAskWaitsForTheNextLife while the actor is down.
func TestAskWaitsForTheNextLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := handling(actors.Options{}, func(_ context.Context, q question) error {
			if q.n == 0 {
				return errors.New("down it goes")
			}
			q.reply.Send(q.n)
			return nil
		})
		require.NoError(t, a.Ref().TryTell(question{}))
		require.Error(t, a.Serve(t.Context()))

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := ask(ctx, a.Ref(), 1)
		require.ErrorIs(t, err, context.DeadlineExceeded)

		var got int
		var group sync.WaitGroup
		group.Go(func() { got, err = ask(t.Context(), a.Ref(), 2) })
		time.Sleep(time.Hour) // of fake time: it is still down
		perform(t, a)
		group.Wait()
		require.NoError(t, err)
		require.Equal(t, 2, got)
	})
}

// TestSelfAsk: an actor that waits for itself is told so, by any context of its life; nobody else is.
func TestSelfAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var self actors.Ref[question]
		var errs []error
		asks := func(ctx context.Context) {
			derived, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			_, err := ask(derived, self, 1)
			errs = append(errs, err)
		}
		a := actors.New(actors.Options{Mailbox: 1}, played(role[question]{
			start: func(ctx context.Context, ref actors.Ref[question]) error { self = ref; asks(ctx); return nil },
			handle: func(ctx context.Context, _ question) error {
				asks(ctx)
				require.NoError(t, self.Tell(ctx, question{}))
				require.ErrorIs(t, self.Tell(ctx, question{}), actors.ErrFull, "it cannot wait for itself to make room")
				panic("now Stop")
			},
			stop: func(ctx context.Context) error { asks(ctx); return nil },
		}))
		require.NoError(t, a.Ref().TryTell(question{}))
		require.Error(t, a.Serve(t.Context()))
		require.Len(t, errs, 3)
		for _, err := range errs {
			require.ErrorIs(t, err, actors.ErrSelfAsk)
		}
	})
}

// TestActorAsksAnother, from its handler, with its life's context.
func TestActorAsksAnother(t *testing.T) {
	back := handling(actors.Options{}, func(_ context.Context, q question) error { q.reply.Send(q.n * 2); return nil })
	front := handling(actors.Options{}, func(ctx context.Context, q question) error {
		n, err := ask(ctx, back.Ref(), q.n)
		q.reply.Send(n + 1)
		return err
	})
	perform(t, back)
	perform(t, front)
	got, err := ask(t.Context(), front.Ref(), 4)
	require.NoError(t, err)
	require.Equal(t, 9, got)
}

// TestDone: whoever holds a reply learns that its asker gave up, also after Detach, and never of another asker.
func TestDone(t *testing.T) {
	kept := make(chan actors.Reply[int], 1)
	a := handling(actors.Options{}, func(_ context.Context, q question) error {
		if q.n == 0 {
			require.Nil(t, q.reply.Done(), "this asker's context cannot end")
			q.reply.Send(0)
			require.True(t, isOver(q.reply))
			return nil
		}
		reply := q.reply.Detach()
		require.True(t, isOver(q.reply), "detached")
		require.False(t, isOver(reply))
		kept <- reply
		return nil
	})
	perform(t, a)
	require.True(t, isOver(actors.Reply[int]{}))
	for range 100 {
		_, err := ask(context.Background(), a.Ref(), 0)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		gaveUp := make(chan error, 1)
		go func() {
			_, err := ask(ctx, a.Ref(), 1)
			gaveUp <- err
		}()
		reply := <-kept
		cancel()
		<-reply.Done()
		require.ErrorIs(t, <-gaveUp, context.Canceled)
		require.True(t, isOver(reply), "whoever uses the slot now")
	}
}

func isOver(r actors.Reply[int]) bool {
	select {
	case <-r.Done():
		return true
	default:
		return false
	}
}

// TestNothingIsLost: askers give up at any instant, while an actor hands out a few things of which each belongs to one
// holder at a time. When Send says false the thing is still the actor's: so in the end none is missing, and none was
// ever in two hands.
func TestNothingIsLost(t *testing.T) {
	const things, askers = 4, 16
	rounds := actors.Scale(20_000, 500, 1_000)
	type message struct {
		want actors.Reply[int]
		back int // 1 and up
	}
	var free []int // these two belong to the actor
	var waiting []actors.Reply[int]
	for thing := range things {
		free = append(free, thing+1)
	}
	a := handling(actors.Options{}, func(_ context.Context, m message) error {
		if m.back > 0 {
			free = append(free, m.back)
		} else {
			waiting = append(waiting, m.want)
		}
		for len(free) > 0 && len(waiting) > 0 {
			if waiting[0].Send(free[0]) {
				free = free[1:]
			}
			waiting = waiting[1:]
		}
		return nil
	})
	s := perform(t, a)
	var held [things + 1]atomic.Bool
	var got, gaveUp atomic.Int64
	var group sync.WaitGroup
	for range askers {
		group.Go(func() {
			for range rounds {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.Int64N(60_000)))
				thing, err := actors.Ask(ctx, a.Ref(), func(r actors.Reply[int]) message { return message{want: r} })
				cancel()
				if err != nil {
					gaveUp.Add(1)
					continue
				}
				got.Add(1)
				if held[thing].Swap(true) {
					t.Errorf("thing %d is in two hands", thing)
				}
				held[thing].Store(false)
				if err := a.Ref().Tell(context.Background(), message{back: thing}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	// A last request is behind everything that was told before.
	thing, err := actors.Ask(t.Context(), a.Ref(), func(r actors.Reply[int]) message { return message{want: r} })
	require.NoError(t, err)
	require.NoError(t, a.Ref().Tell(t.Context(), message{back: thing}))
	_, err = actors.Ask(t.Context(), a.Ref(), func(r actors.Reply[int]) message { return message{want: r} })
	require.NoError(t, err)
	s.close()
	require.Len(t, free, things-1, "and one is ours")
	require.Positive(t, got.Load())
	require.Positive(t, gaveUp.Load())
}

// TestAskAllocatesNothing for a message that is a struct, with and without a context that can end.
func TestAskAllocatesNothing(t *testing.T) {
	if actors.RaceEnabled {
		t.Skip("the race detector makes sync.Pool forget at random")
	}
	a := handling(actors.Options{}, func(_ context.Context, q question) error { q.reply.Send(q.n); return nil })
	perform(t, a)
	for name, ctx := range map[string]context.Context{"background": context.Background(), "cancellable": t.Context()} {
		require.Zero(t, testing.AllocsPerRun(5_000, func() {
			if _, err := ask(ctx, a.Ref(), 1); err != nil {
				t.Error(err)
			}
		}), name)
		require.Zero(t, testing.AllocsPerRun(5_000, func() {
			if err := a.Ref().Tell(ctx, question{}); err != nil {
				t.Error(err)
			}
			if _, err := ask(ctx, a.Ref(), 1); err != nil { // so that Tell does not find the mailbox full
				t.Error(err)
			}
		}), name)
	}
}
