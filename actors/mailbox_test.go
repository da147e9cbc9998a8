package actors_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/actors"
)

func TestZeroRef(t *testing.T) {
	var nobody actors.Ref[question]
	a := handling(actors.Options{}, func(context.Context, question) error { return nil })
	to := func(actors.Reply[int]) question { return question{} }
	back := func(int, error) question { return question{} }
	_, err := ask(t.Context(), nobody, 1)
	require.ErrorIs(t, err, actors.ErrNoActor)
	require.ErrorIs(t, nobody.Tell(t.Context(), question{}), actors.ErrNoActor)
	require.ErrorIs(t, nobody.TryTell(question{}), actors.ErrNoActor)
	require.ErrorIs(t, actors.Post(t.Context(), nobody, to, a.Ref(), back), actors.ErrNoActor)
	require.ErrorIs(t, actors.Post(t.Context(), a.Ref(), to, nobody, back), actors.ErrNoActor)
}

// TestOrderPerSender: many senders, a small mailbox that is full most of the time, and lives that crash: what each
// sender told is handled in its order, each message once.
func TestOrderPerSender(t *testing.T) {
	const senders = 6
	messages := actors.Scale(20_000, 2_000, 2_000)
	type numbered struct{ sender, n int }
	var next [senders]int // belongs to the lives, which follow one another
	total, done := 0, make(chan struct{})
	a := handling(actors.Options{Mailbox: 3}, func(_ context.Context, m numbered) error {
		if next[m.sender] != m.n {
			t.Errorf("sender %d: message %d where %d was due", m.sender, m.n, next[m.sender])
		}
		next[m.sender]++
		if total++; total == senders*messages {
			close(done)
		}
		if total%1000 == 0 {
			return errors.New("a crash now and then")
		}
		return nil
	})
	perform(t, a)
	for sender := range senders {
		go func() {
			for n := range messages {
				if n%3 == 0 && a.Ref().TryTell(numbered{sender, n}) == nil {
					continue
				}
				if err := a.Ref().Tell(context.Background(), numbered{sender, n}); err != nil {
					t.Errorf("sender %d: %v", sender, err)
				}
			}
		}()
	}
	<-done
}

// TestFullMailbox: it takes as many messages as it has room for; then TryTell fails, and Tell waits for its turn, or as
// long as its context lets it.
func TestFullMailbox(t *testing.T) {
	for name, capacity := range map[string]int{"default": 0, "one": 1, "no power of two": 5} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				room := capacity
				if room == 0 {
					room = 64
				}
				step := make(chan struct{})
				var handled []int
				a := handling(actors.Options{Mailbox: capacity}, func(_ context.Context, n int) error {
					<-step
					handled = append(handled, n)
					return nil
				})
				perform(t, a)
				require.NoError(t, a.Ref().TryTell(0))
				synctest.Wait() // in hand now
				for n := range room {
					require.NoError(t, a.Ref().TryTell(n+1))
				}
				require.ErrorIs(t, a.Ref().TryTell(-1), actors.ErrFull)
				require.Equal(t, room, a.Inspect().Mailbox)
				require.Equal(t, room, a.Inspect().Capacity)

				began := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				require.ErrorIs(t, a.Ref().Tell(ctx, -1), context.DeadlineExceeded)
				require.Equal(t, time.Second, time.Since(began))
				require.ErrorIs(t, a.Ref().Tell(ctx, -1), context.DeadlineExceeded, "its context has ended before")

				var waiting sync.WaitGroup
				for n := range 3 {
					waiting.Go(func() {
						if err := a.Ref().Tell(t.Context(), room+1+n); err != nil {
							t.Error(err)
						}
					})
					synctest.Wait()
				}
				ctx, cancel = context.WithCancel(t.Context())
				waiting.Go(func() {
					if err := a.Ref().Tell(ctx, -1); !errors.Is(err, context.Canceled) {
						t.Error(err)
					}
				})
				synctest.Wait()
				waiting.Go(func() {
					if err := a.Ref().Tell(t.Context(), room+4); err != nil {
						t.Error(err)
					}
				})
				synctest.Wait()
				cancel() // leaves from the middle of the queue
				synctest.Wait()

				step <- struct{}{}
				synctest.Wait() // one message on, so one sender in
				require.Equal(t, room, a.Inspect().Mailbox)
				require.ErrorIs(t, a.Ref().TryTell(-1), actors.ErrFull, "nobody overtakes those who wait")
				for range room + 4 {
					step <- struct{}{}
				}
				waiting.Wait()
				synctest.Wait()
				for n, got := range handled {
					require.Equal(t, n, got)
				}
				require.Len(t, handled, room+5)
				require.Zero(t, a.Inspect().Mailbox)
			})
		})
	}
}

// TestStopPassesAFullMailbox: it waits for the handler alone. What waits gets ErrStopped, what was taken ErrCrashed.
func TestStopPassesAFullMailbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handled := 0
		a := handling(actors.Options{Mailbox: 2, Name: "busy"}, func(ctx context.Context, _ question) error {
			handled++
			<-ctx.Done()
			return ctx.Err()
		})
		s := perform(t, a)
		errs := make([]error, 6)
		var group sync.WaitGroup
		for n := range 5 { // one in hand, two in the mailbox, two before it
			group.Go(func() { _, errs[n] = ask(t.Context(), a.Ref(), n) })
			synctest.Wait()
		}
		group.Go(func() { errs[5] = a.Ref().Tell(t.Context(), question{}) })
		synctest.Wait()
		s.close()
		group.Wait()
		require.Equal(t, 1, handled)
		require.ErrorIs(t, errs[0], actors.ErrCrashed)
		for _, err := range errs[1:] {
			require.ErrorIs(t, err, actors.ErrStopped)
			require.NotErrorIs(t, err, actors.ErrCrashed)
			require.ErrorContains(t, err, "busy")
		}
		require.Len(t, s.ends, 1)
		require.ErrorIs(t, s.ends[0], context.Canceled)
		status := a.Inspect()
		require.Equal(t, actors.Stopped, status.State)
		require.Zero(t, status.Crashes)
		require.Zero(t, status.Mailbox)
		require.EqualValues(t, 1, status.Handled)

		_, err := ask(t.Context(), a.Ref(), 9)
		require.ErrorIs(t, err, actors.ErrStopped)
		require.ErrorIs(t, a.Ref().Tell(t.Context(), question{}), actors.ErrStopped)
		require.ErrorIs(t, a.Ref().TryTell(question{}), actors.ErrStopped)
	})
}

// TestStopDrain handles what waits, with a context that is still good, and takes nothing new.
func TestStopDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		step := make(chan struct{})
		var handled []int
		a := handling(actors.Options{OnStop: actors.StopDrain, Mailbox: 3}, func(ctx context.Context, q question) error {
			<-step
			handled = append(handled, q.n)
			q.reply.Send(q.n)
			return ctx.Err()
		})
		s := perform(t, a)
		errs := make([]error, 5)
		var group sync.WaitGroup
		for n := range 5 {
			group.Go(func() { _, errs[n] = ask(t.Context(), a.Ref(), n) })
			synctest.Wait()
		}
		s.cancel()
		synctest.Wait()
		require.ErrorIs(t, a.Ref().TryTell(question{}), actors.ErrStopped)
		for range 4 {
			step <- struct{}{}
		}
		s.close()
		group.Wait()
		require.Equal(t, []int{0, 1, 2, 3}, handled)
		for _, err := range errs[:4] {
			require.NoError(t, err)
		}
		require.ErrorIs(t, errs[4], actors.ErrStopped, "it found no room before the stop")
		require.Zero(t, a.Inspect().Crashes)
	})
}

// TestStopDrainThatCrashes ends there: the rest is thrown out.
func TestStopDrainThatCrashes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		step := make(chan struct{})
		a := handling(actors.Options{OnStop: actors.StopDrain}, func(_ context.Context, q question) error {
			<-step
			panic(q.n)
		})
		s := perform(t, a)
		errs := make([]error, 2)
		var group sync.WaitGroup
		for n := range 2 {
			group.Go(func() { _, errs[n] = ask(t.Context(), a.Ref(), n) })
			synctest.Wait()
		}
		s.cancel()
		step <- struct{}{}
		s.close()
		group.Wait()
		require.ErrorIs(t, errs[0], actors.ErrCrashed)
		require.ErrorIs(t, errs[1], actors.ErrStopped)
	})
}

// TestStopEndsAStart also where the mailbox is to be drained.
func TestStopEndsAStart(t *testing.T) {
	for name, policy := range map[string]actors.StopPolicy{"discard": actors.StopDiscard, "drain": actors.StopDrain} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := actors.New(actors.Options{OnStop: policy}, played(role[question]{
					start: func(ctx context.Context, _ actors.Ref[question]) error { <-ctx.Done(); return ctx.Err() },
				}))
				s := perform(t, a)
				var err error
				var group sync.WaitGroup
				group.Go(func() { _, err = ask(t.Context(), a.Ref(), 1) })
				synctest.Wait()
				require.Equal(t, actors.Starting, a.Inspect().State)
				s.close()
				group.Wait()
				require.ErrorIs(t, err, actors.ErrStopped)
				require.Zero(t, a.Inspect().Crashes)
			})
		})
	}
}

// TestServeAgain: a stopped actor lives again with the same address.
func TestServeAgain(t *testing.T) {
	started := make(chan struct{})
	a := actors.New(actors.Options{}, played(role[question]{
		start:  func(context.Context, actors.Ref[question]) error { started <- struct{}{}; return nil },
		handle: func(_ context.Context, q question) error { q.reply.Send(q.n); return nil },
	}))
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for n := range 3 {
		s := perform(t, a)
		<-started
		got, err := ask(t.Context(), a.Ref(), n)
		require.NoError(t, err)
		require.Equal(t, n, got)
		s.close()
		require.ErrorIs(t, a.Ref().TryTell(question{}), actors.ErrStopped)
	}
	require.EqualValues(t, 3, a.Inspect().Lives)
	require.ErrorIs(t, a.Serve(ended), context.Canceled)
	require.EqualValues(t, 3, a.Inspect().Lives)
}

// TestServeWithAnEndedContext stops an actor that is down, so that nobody waits for a life that will not come.
func TestServeWithAnEndedContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := handling(actors.Options{}, func(context.Context, question) error { return nil })
		var err error
		var group sync.WaitGroup
		group.Go(func() { _, err = ask(t.Context(), a.Ref(), 1) })
		synctest.Wait()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, a.Serve(ended), context.Canceled)
		group.Wait()
		require.ErrorIs(t, err, actors.ErrStopped)
		require.Equal(t, actors.Stopped, a.Inspect().State)
	})
}

// TestOneLifeAtATime: a second Serve does not touch the first.
func TestOneLifeAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := handling(actors.Options{}, func(_ context.Context, q question) error { q.reply.Send(1); return nil })
		perform(t, a)
		synctest.Wait()
		require.ErrorIs(t, a.Serve(t.Context()), actors.ErrRunning)
		_, err := ask(t.Context(), a.Ref(), 1)
		require.NoError(t, err)
		require.EqualValues(t, 1, a.Inspect().Lives)
	})
}

// TestStopUnderLoad: while many tell, ask and wait for room, the actor is stopped and begun again. Every request gets
// an outcome, and a message that was refused was never handled.
func TestStopUnderLoad(t *testing.T) {
	const askers = 4
	rounds := actors.Scale(300, 20, 30)
	var handled sync.Map
	started := make(chan struct{})
	a := actors.New(actors.Options{Mailbox: 4}, played(role[question]{
		start: func(context.Context, actors.Ref[question]) error { started <- struct{}{}; return nil },
		handle: func(_ context.Context, q question) error {
			handled.Store(q.n, true)
			q.reply.Send(q.n)
			return nil
		},
	}))
	over := make(chan struct{})
	var group sync.WaitGroup
	for asker := range askers {
		group.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-over:
					return
				default:
				}
				n := i*askers + asker
				got, err := ask(context.Background(), a.Ref(), n)
				_, was := handled.Load(n)
				switch {
				case err == nil && got == n:
				case errors.Is(err, actors.ErrStopped) && !was:
					runtime.Gosched() // not to spin until the next life
				default:
					t.Errorf("question %d: answer %d, error %v, handled: %v", n, got, err, was)
					return
				}
			}
		})
	}
	for range rounds {
		s := perform(t, a)
		<-started
		_, err := ask(context.Background(), a.Ref(), -1)
		require.NoError(t, err)
		s.close()
	}
	close(over)
	group.Wait()
	require.Zero(t, a.Inspect().Mailbox)
}

// TestNoWakeUpIsLost: few askers, so that the life is about to park whenever a question comes. A lost wake-up hangs.
func TestNoWakeUpIsLost(t *testing.T) {
	rounds := actors.Scale(200_000, 10_000, 50_000)
	a := handling(actors.Options{}, func(_ context.Context, q question) error { q.reply.Send(q.n); return nil })
	perform(t, a)
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			for n := range rounds {
				if got, err := ask(context.Background(), a.Ref(), n); err != nil || got != n {
					t.Errorf("question %d: answer %d, error %v", n, got, err)
				}
			}
		})
	}
	group.Wait()
}
