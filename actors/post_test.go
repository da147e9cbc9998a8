package actors_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/actors"
)

// outcome is what becomes of a Post: a message to the actor that posted.
type outcome struct {
	n   int
	err error
}

func toQuestion(n int) func(actors.Reply[int]) question {
	return func(r actors.Reply[int]) question { return question{n: n, reply: r} }
}

func toOutcome(n int, err error) outcome { return outcome{n, err} }

// collector is an actor that passes its outcomes on.
func collector(o actors.Options, outcomes chan<- outcome) *actors.Actor[outcome] {
	return handling(o, func(_ context.Context, m outcome) error { outcomes <- m; return nil })
}

func TestPost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		boom := errors.New("boom")
		to := handling(actors.Options{Mailbox: 1}, func(_ context.Context, q question) error {
			switch q.n {
			case 1:
				q.reply.Send(10)
			case 2:
				q.reply.Fail(boom)
			case 3:
				panic(boom)
			}
			return nil // else: kept
		})
		outcomes := make(chan outcome, 10)
		self := collector(actors.Options{}, outcomes)
		perform(t, self)
		post := func(ctx context.Context, n int) error {
			return actors.Post(ctx, to.Ref(), toQuestion(n), self.Ref(), toOutcome)
		}
		// Before the other lives: there is room for one.
		require.NoError(t, post(t.Context(), 1))
		require.ErrorIs(t, post(t.Context(), 1), actors.ErrFull)
		s := perform(t, to)
		require.Equal(t, outcome{10, nil}, <-outcomes)

		require.NoError(t, post(t.Context(), 2))
		require.Equal(t, outcome{0, boom}, <-outcomes)

		require.NoError(t, post(t.Context(), 3))
		got := <-outcomes
		require.ErrorIs(t, got.err, actors.ErrCrashed)
		require.ErrorIs(t, got.err, boom)

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		require.NoError(t, post(ctx, 4))
		require.ErrorIs(t, (<-outcomes).err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(began))
		require.ErrorIs(t, post(ctx, 4), context.DeadlineExceeded)

		s.close()
		require.ErrorIs(t, post(t.Context(), 1), actors.ErrStopped)
		synctest.Wait()
		require.Empty(t, outcomes, "one outcome each, and none after an error")
	})
}

// TestPostToAFullMailbox: the answers arrive although the actor that posted has no room, and is down for a while.
func TestPostToAFullMailbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const posts = 200
		to := handling(actors.Options{Mailbox: posts}, func(_ context.Context, q question) error { q.reply.Send(q.n); return nil })
		outcomes := make(chan outcome, posts+2)
		crashed := false
		self := handling(actors.Options{Mailbox: 1}, func(_ context.Context, m outcome) error {
			if m.n == posts/2 && !crashed {
				crashed = true
				return errors.New("in the middle")
			}
			outcomes <- m
			return nil
		})
		require.NoError(t, self.Ref().TryTell(outcome{n: -1}))
		for n := range posts {
			require.NoError(t, actors.Post(t.Context(), to.Ref(), toQuestion(n), self.Ref(), toOutcome))
		}
		perform(t, to)
		synctest.Wait()
		require.Equal(t, posts+1, self.Inspect().Mailbox)
		require.Equal(t, 1, self.Inspect().Capacity)
		require.ErrorIs(t, self.Ref().TryTell(outcome{}), actors.ErrFull)
		perform(t, self)
		synctest.Wait()
		require.Len(t, outcomes, posts, "all but the one in hand at the crash")
		require.EqualValues(t, posts+1, self.Inspect().Handled)
		require.Zero(t, self.Inspect().Mailbox)
	})
}

// TestPostAndTellTakeTurns: a pile of answers does not keep a message waiting.
func TestPostAndTellTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := handling(actors.Options{}, func(_ context.Context, q question) error { q.reply.Send(q.n); return nil })
		outcomes := make(chan outcome, 8)
		self := collector(actors.Options{}, outcomes)
		for n := range 4 {
			require.NoError(t, actors.Post(t.Context(), to.Ref(), toQuestion(n), self.Ref(), toOutcome))
			require.NoError(t, self.Ref().TryTell(outcome{n: 100 + n}))
		}
		perform(t, to)
		synctest.Wait()
		perform(t, self)
		for n := range 4 {
			require.Equal(t, n, (<-outcomes).n)
			require.Equal(t, 100+n, (<-outcomes).n)
		}
	})
}

// TestPostWhenSelfIsStopped: who answers learns that nobody takes it.
func TestPostWhenSelfIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		step, taken := make(chan struct{}), make(chan bool, 3)
		to := handling(actors.Options{}, func(_ context.Context, q question) error {
			<-step
			taken <- q.reply.Send(q.n)
			return nil
		})
		perform(t, to)
		self := collector(actors.Options{}, make(chan outcome, 3))
		s := perform(t, self)
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		require.NoError(t, actors.Post(ctx, to.Ref(), toQuestion(1), self.Ref(), toOutcome))
		require.NoError(t, actors.Post(t.Context(), to.Ref(), toQuestion(2), self.Ref(), toOutcome))
		s.close()
		cancel() // a give-up that finds no taker, either
		synctest.Wait()
		close(step)
		require.False(t, <-taken)
		require.False(t, <-taken)
		require.Zero(t, self.Inspect().Mailbox)
	})
}

// TestPostAnswersAtStop go the way of the other messages.
func TestPostAnswersAtStop(t *testing.T) {
	for name, c := range map[string]struct {
		policy actors.StopPolicy
		want   int
	}{"discard": {actors.StopDiscard, 1}, "drain": {actors.StopDrain, 3}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				to := handling(actors.Options{}, func(_ context.Context, q question) error { q.reply.Send(q.n); return nil })
				perform(t, to)
				step, handled := make(chan struct{}), 0
				self := handling(actors.Options{OnStop: c.policy}, func(context.Context, outcome) error {
					handled++
					<-step
					return nil
				})
				s := perform(t, self)
				for n := range 3 {
					require.NoError(t, actors.Post(t.Context(), to.Ref(), toQuestion(n), self.Ref(), toOutcome))
				}
				synctest.Wait()
				s.cancel()
				synctest.Wait()
				close(step)
				s.close()
				require.Equal(t, c.want, handled)
				require.Zero(t, self.Inspect().Mailbox)
			})
		})
	}
}

// TestPostWrapThatPanics is a crash of the actor that posted, not of the one that answers.
func TestPostWrapThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := handling(actors.Options{}, func(_ context.Context, q question) error { q.reply.Send(q.n); return nil })
		self := collector(actors.Options{}, make(chan outcome, 1))
		perform(t, to)
		perform(t, self)
		require.NoError(t, actors.Post(t.Context(), to.Ref(), toQuestion(1), self.Ref(),
			func(int, error) outcome { panic("wrapped badly") }))
		synctest.Wait()
		require.Zero(t, to.Inspect().Crashes)
		require.EqualValues(t, 1, self.Inspect().Crashes)
		require.Contains(t, self.Inspect().LastErr, "wrapped badly")
	})
}

// TestPostToSelf is no self ask: nobody waits.
func TestPostToSelf(t *testing.T) {
	done := make(chan int, 1)
	var self actors.Ref[question]
	a := actors.New(actors.Options{}, played(role[question]{
		start: func(ctx context.Context, ref actors.Ref[question]) error {
			self = ref
			return actors.Post(ctx, self, toQuestion(1), self, func(n int, err error) question { return question{n: n} })
		},
		handle: func(_ context.Context, q question) error {
			if !q.reply.Send(q.n + 1) {
				done <- q.n
			}
			return nil
		},
	}))
	perform(t, a)
	require.Equal(t, 2, <-done)
}

// TestPostUnderLoad: answers, crashes of either side and deadlines race; each Post has exactly one outcome.
func TestPostUnderLoad(t *testing.T) {
	rounds := actors.Scale(10_000, 1_000, 2_000)
	to := handling(actors.Options{Mailbox: 8}, func(_ context.Context, q question) error {
		if q.n%100 == 0 {
			panic("now and then")
		}
		if q.n%10 != 0 { // else kept until the life ends or the deadline comes
			q.reply.Send(q.n)
		}
		return nil
	})
	seen := make([]int, rounds)
	left, done := rounds, make(chan struct{})
	type told struct{ n int }
	self := handling(actors.Options{Mailbox: 1}, func(_ context.Context, m told) error {
		seen[m.n]++
		if left--; left == 0 {
			close(done)
		}
		if m.n%1000 == 0 {
			panic("here, too")
		}
		return nil
	})
	perform(t, to)
	s := perform(t, self)
	postOnce := func(n int) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.Int64N(60_000)))
		t.Cleanup(cancel) // not before the outcome
		for {
			err := actors.Post(ctx, to.Ref(), toQuestion(n), self.Ref(), func(got int, err error) told {
				if err == nil && got != n {
					t.Errorf("question %d: answer %d", n, got)
				}
				return told{n}
			})
			if err == nil {
				return
			}
			if ctx.Err() != nil {
				require.NoError(t, self.Ref().Tell(context.Background(), told{n})) // no outcome will come
				return
			}
		}
	}
	for n := range rounds {
		postOnce(n)
	}
	<-done
	s.close()
	for n, times := range seen {
		require.Equal(t, 1, times, "question %d", n)
	}
}

// TestPostGivenUp: an answer after the give-up finds no taker.
func TestPostGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept []actors.Reply[int]
		to := handling(actors.Options{}, func(_ context.Context, q question) error { kept = append(kept, q.reply); return nil })
		outcomes := make(chan outcome, 2)
		self := collector(actors.Options{}, outcomes)
		perform(t, to)
		perform(t, self)
		ctx, cancel := context.WithCancel(t.Context())
		for n := range 2 {
			require.NoError(t, actors.Post(ctx, to.Ref(), toQuestion(n), self.Ref(), toOutcome))
		}
		synctest.Wait()
		require.True(t, kept[0].Send(7))
		require.Equal(t, outcome{7, nil}, <-outcomes)
		cancel()
		require.ErrorIs(t, (<-outcomes).err, context.Canceled)
		require.False(t, kept[1].Send(8))
	})
}

// watchedContext counts who waits for its end.
type watchedContext struct {
	context.Context
	done    chan struct{}
	waiting atomic.Int32
}

func (c *watchedContext) Done() <-chan struct{} { return c.done }

func (c *watchedContext) AfterFunc(func()) (stop func() bool) {
	c.waiting.Add(1)
	return func() bool { c.waiting.Add(-1); return true }
}

// TestPostLetsGoOfItsContext with the answer, and when it finds no room: a context that never ends collects nothing.
func TestPostLetsGoOfItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := handling(actors.Options{Mailbox: 1}, func(_ context.Context, q question) error { q.reply.Send(q.n); return nil })
		self := collector(actors.Options{}, make(chan outcome, 1))
		ctx := &watchedContext{Context: context.Background(), done: make(chan struct{})}
		require.NoError(t, actors.Post(ctx, to.Ref(), toQuestion(1), self.Ref(), toOutcome))
		require.EqualValues(t, 1, ctx.waiting.Load())
		require.ErrorIs(t, actors.Post(ctx, to.Ref(), toQuestion(2), self.Ref(), toOutcome), actors.ErrFull)
		require.EqualValues(t, 1, ctx.waiting.Load())
		perform(t, to)
		synctest.Wait()
		require.Zero(t, ctx.waiting.Load())
	})
}
