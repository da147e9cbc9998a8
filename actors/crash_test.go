package actors_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"github.com/thejerf/suture/v4"

	"github.com/seed-4ff2b7b9/supervised/actors"
)

// crasher answers a question and panics. One question in eleven makes it panic without an answer.
type crasher struct{}

func unanswered(n int) bool { return n%11 == 0 }

func (crasher) Start(context.Context, actors.Ref[question]) error { return nil }

func (crasher) Handle(_ context.Context, q question) error {
	if !unanswered(q.n) {
		q.reply.Send(-q.n)
	}
	panic("after the answer, or instead of it")
}

// askCrasher wants the answer to its own question from each life, or to be told that there is none.
func askCrasher(t *testing.T, r actors.Ref[question], first, rounds int) {
	for n := first; n < first+rounds; n++ {
		got, err := ask(context.Background(), r, n)
		if unanswered(n) {
			if !errors.Is(err, actors.ErrCrashed) {
				t.Errorf("question %d, unanswered: answer %d, error %v", n, got, err)
				return
			}
		} else if err != nil || got != -n {
			t.Errorf("question %d: answer %d, error %v", n, got, err)
			return
		}
	}
}

// TestReplyThenPanic: a million lives crash right after their answer, and a hundred thousand without one, while many ask
// at once through the same pooled slots. Whoever asks gets the answer to his own question, or ErrCrashed if there was
// none, and nothing of anybody else's.
//
// A crash costs 27 µs of processor time, nearly half of it for the stack, so two actors share the work. Under the race
// detector, where it costs 60 µs, a hundred thousand lives crash after their answer, and with -short twenty thousand.
func TestReplyThenPanic(t *testing.T) {
	const crashers, askers = 2, 8 // askers of each
	rounds := actors.Scale(1_100_000, 110_000, 22_000) / (crashers * askers)
	ctx, stop := context.WithCancel(t.Context())
	var living, asking sync.WaitGroup
	all := make([]*actors.Actor[question], crashers)
	for i := range all {
		a := actors.New(actors.Options{}, func() actors.Behavior[question] { return crasher{} })
		all[i] = a
		living.Go(func() { // not on a stage, which would keep every stack
			for ctx.Err() == nil {
				_ = a.Serve(ctx)
			}
		})
		for asker := range askers {
			first := (i*askers + asker) * rounds
			asking.Go(func() { askCrasher(t, a.Ref(), first, rounds) })
		}
	}
	asking.Wait()
	stop()
	living.Wait()
	for _, a := range all {
		require.EqualValues(t, askers*rounds, a.Inspect().Crashes)
		require.EqualValues(t, askers*rounds, a.Inspect().Handled)
	}
}

// unprintable panics when it is printed, and says how.
type unprintable struct{ how func() }

func (u unprintable) Error() string  { u.how(); return "" }
func (u unprintable) String() string { u.how(); return "" }

// TestEveryWayToCrash: each ends the life, is counted, comes out of Serve as an error that can be printed, and leaves
// an actor that lives again.
func TestEveryWayToCrash(t *testing.T) {
	boom := errors.New("boom")
	panics := func() { panic(boom) }
	for name, c := range map[string]struct {
		role  role[int]
		life  func() actors.Behavior[int] // instead of role
		cause error
		panic bool
	}{
		"error from Handle":  {role: role[int]{handle: func(context.Context, int) error { return boom }}, cause: boom},
		"panic in Handle":    {role: role[int]{handle: func(context.Context, int) error { panic(boom) }}, cause: boom, panic: true},
		"Goexit in Handle":   {role: role[int]{handle: func(context.Context, int) error { runtime.Goexit(); return nil }}, cause: actors.ErrGoexit, panic: true},
		"error from Start":   {role: role[int]{start: func(context.Context, actors.Ref[int]) error { return boom }}, cause: boom},
		"panic in Start":     {role: role[int]{start: func(context.Context, actors.Ref[int]) error { panic(boom) }}, cause: boom, panic: true},
		"Goexit in Start":    {role: role[int]{start: func(context.Context, actors.Ref[int]) error { runtime.Goexit(); return nil }}, cause: actors.ErrGoexit, panic: true},
		"panic in the maker": {life: func() actors.Behavior[int] { panic(boom) }, cause: boom, panic: true},
		"no behavior":        {life: func() actors.Behavior[int] { return nil }, panic: true},
		"panic in String":    {life: func() actors.Behavior[int] { return namedRole{name: func() string { panic(boom) }} }, cause: boom, panic: true},
		"Goexit in String":   {life: func() actors.Behavior[int] { return namedRole{name: func() string { runtime.Goexit(); return "" }} }, cause: actors.ErrGoexit, panic: true},
		"panic in Error": {
			role:  role[int]{handle: func(context.Context, int) error { return unprintable{panics} }},
			cause: boom, panic: true,
		},
		"Goexit in Error": {
			role:  role[int]{handle: func(context.Context, int) error { return unprintable{runtime.Goexit} }},
			cause: actors.ErrGoexit, panic: true,
		},
		"panic with a value that panics": {
			role:  role[int]{handle: func(context.Context, int) error { panic(unprintable{panics}) }},
			panic: true,
		},
		"panic with a value that calls Goexit": {
			role:  role[int]{handle: func(context.Context, int) error { panic(unprintable{runtime.Goexit}) }},
			cause: actors.ErrGoexit, panic: true,
		},
		"panic of nil": {role: role[int]{handle: func(context.Context, int) error { panic(nil) }}, panic: true}, //nolint:govet // that is the case
	} {
		t.Run(name, func(t *testing.T) {
			life := c.life
			if life == nil {
				life = played(c.role)
			}
			a := actors.New(actors.Options{}, life)
			require.NoError(t, a.Ref().TryTell(1))
			require.NoError(t, a.Ref().TryTell(2))
			for crashes := 1; crashes <= 2; crashes++ {
				err := a.Serve(context.Background())
				require.Error(t, err)
				require.NotEmpty(t, err.Error())
				if c.cause != nil {
					require.ErrorIs(t, err, c.cause)
				}
				var p *actors.PanicError
				require.Equal(t, c.panic, errors.As(err, &p))
				if c.panic {
					require.Contains(t, string(p.Stack), "goroutine ")
				}
				status := a.Inspect()
				require.EqualValues(t, crashes, status.Crashes)
				require.EqualValues(t, crashes, status.Lives)
				require.Equal(t, actors.Down, status.State)
				require.Equal(t, err.Error(), status.LastErr)
				require.False(t, status.LastErrAt.IsZero())
			}
		})
	}
}

// namedRole is a behavior whose String names the actor.
type namedRole struct {
	role[int]
	name func() string
}

func (n namedRole) String() string { return n.name() }

// TestStopAtEveryEnd: Stop follows a life however it ended, with a context that is still good while the life's is not.
func TestStopAtEveryEnd(t *testing.T) {
	boom := errors.New("boom")
	for name, r := range map[string]role[int]{
		"error from Start": {start: func(context.Context, actors.Ref[int]) error { return boom }},
		"panic in Start":   {start: func(context.Context, actors.Ref[int]) error { panic(boom) }},
		"error":            {handle: func(context.Context, int) error { return boom }},
		"panic":            {handle: func(context.Context, int) error { panic(boom) }},
		"Goexit":           {handle: func(context.Context, int) error { runtime.Goexit(); return nil }},
	} {
		t.Run(name, func(t *testing.T) {
			stops := 0
			var lifeEnds <-chan struct{}
			start := r.start
			r.start = func(ctx context.Context, self actors.Ref[int]) error {
				lifeEnds = ctx.Done()
				if start != nil {
					return start(ctx, self)
				}
				return nil
			}
			r.stop = func(ctx context.Context) error {
				stops++
				require.NoError(t, ctx.Err())
				<-lifeEnds
				return nil
			}
			a := actors.New(actors.Options{}, played(r))
			require.NoError(t, a.Ref().TryTell(1))
			require.Error(t, a.Serve(context.Background()))
			require.Equal(t, 1, stops)
		})
	}
}

// TestStopThatFails counts as a crash, and hides no other cause.
func TestStopThatFails(t *testing.T) {
	boom, worse := errors.New("boom"), errors.New("worse")
	for name, stop := range map[string]func(context.Context) error{
		"error":  func(context.Context) error { return worse },
		"panic":  func(context.Context) error { panic(worse) },
		"Goexit": func(context.Context) error { defer func() { _ = recover() }(); runtime.Goexit(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			cause := worse
			if name == "Goexit" {
				cause = actors.ErrGoexit
			}
			a := actors.New(actors.Options{}, played(role[int]{
				handle: func(context.Context, int) error { return boom },
				stop:   stop,
			}))
			require.NoError(t, a.Ref().TryTell(1))
			err := a.Serve(context.Background())
			require.ErrorIs(t, err, boom)
			require.ErrorIs(t, err, cause)

			ctx, cancel := context.WithCancel(context.Background())
			cancelled := actors.New(actors.Options{}, played(role[int]{
				start: func(context.Context, actors.Ref[int]) error { cancel(); return nil },
				stop:  stop,
			}))
			require.ErrorIs(t, cancelled.Serve(ctx), cause)
			require.EqualValues(t, 1, cancelled.Inspect().Crashes)
			require.Equal(t, actors.Stopped, cancelled.Inspect().State)
		})
	}
}

// TestServeHere: the life runs in the goroutine that serves it. A Goexit ends that, after the life has been brought to
// its end, and what Serve would return is known all the same.
func TestServeHere(t *testing.T) {
	boom, worse := errors.New("boom"), errors.New("worse")
	for name, c := range map[string]struct {
		handle  func()
		cause   error
		returns bool
	}{
		"panic":  {func() { panic(boom) }, boom, true},
		"Goexit": {runtime.Goexit, actors.ErrGoexit, false},
	} {
		t.Run(name, func(t *testing.T) {
			serves := false
			a := actors.New(actors.Options{}, played(role[question]{
				handle: func(_ context.Context, q question) error {
					if q.n == 0 {
						defer func() { serves = strings.Contains(string(debug.Stack()), "TestServeHere") }()
						c.handle()
					}
					q.reply.Send(q.n)
					return nil
				},
				stop: func(context.Context) error { return worse },
			}))
			asked := make(chan error, 1)
			go func() {
				_, err := ask(context.Background(), a.Ref(), 0)
				asked <- err
			}()
			returned := false
			var err error
			var serving sync.WaitGroup
			serving.Go(func() {
				a.ServeHere(context.Background(), &err)
				returned = true
			})
			serving.Wait()
			require.Equal(t, c.returns, returned)
			require.True(t, serves)
			require.ErrorIs(t, err, c.cause)
			require.ErrorIs(t, err, worse)
			var p *actors.PanicError
			require.ErrorAs(t, err, &p)
			require.Contains(t, string(p.Stack), "crash_test.go")
			crashed := <-asked
			require.ErrorIs(t, crashed, actors.ErrCrashed)
			require.ErrorIs(t, crashed, c.cause)
			status := a.Inspect()
			require.Equal(t, actors.Down, status.State)
			require.Equal(t, err.Error(), status.LastErr)

			perform(t, a)
			n, err := ask(t.Context(), a.Ref(), 7)
			require.NoError(t, err)
			require.Equal(t, 7, n)
		})
	}
}

// TestKeptReply: what a life keeps to answer later is answered when its life ends, with the cause; what it detached or
// answered is not touched.
func TestKeptReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		boom := errors.New("boom")
		var outlives actors.Reply[int]
		a := handling(actors.Options{Name: "keeper"}, func(_ context.Context, q question) error {
			switch q.n {
			case 1: // kept, and forgotten
			case 2:
				outlives = q.reply.Detach()
			case 3:
				return boom
			}
			return nil
		})
		perform(t, a)
		errs := make([]error, 4)
		answers := make([]int, 4)
		var group sync.WaitGroup
		for n := 1; n <= 3; n++ {
			group.Go(func() { answers[n], errs[n] = ask(t.Context(), a.Ref(), n) })
			synctest.Wait()
		}
		require.True(t, outlives.Send(22), "a detached request waits for its holder")
		group.Wait()
		require.NoError(t, errs[2])
		require.Equal(t, 22, answers[2])
		for _, err := range []error{errs[1], errs[3]} {
			var crashed *actors.CrashedError
			require.ErrorIs(t, err, actors.ErrCrashed)
			require.ErrorIs(t, err, boom)
			require.ErrorAs(t, err, &crashed)
			require.Equal(t, "keeper", crashed.Actor)
			require.ErrorContains(t, err, "keeper")
			require.ErrorContains(t, err, "boom")
		}
	})
}

// TestKeptReplyAtAnOrderedStop is answered ErrCrashed, too: the request was taken, its effect is unknown. Stop may
// answer it before.
func TestKeptReplyAtAnOrderedStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kept []question
		a := actors.New(actors.Options{}, played(role[question]{
			handle: func(_ context.Context, q question) error { kept = append(kept, q); return nil },
			stop:   func(context.Context) error { kept[0].reply.Send(10); return nil },
		}))
		s := perform(t, a)
		var group sync.WaitGroup
		var answer int
		var first, second error
		group.Go(func() { answer, first = ask(t.Context(), a.Ref(), 1) })
		synctest.Wait()
		group.Go(func() { _, second = ask(t.Context(), a.Ref(), 2) })
		synctest.Wait()
		s.close()
		group.Wait()
		require.NoError(t, first)
		require.Equal(t, 10, answer)
		require.ErrorIs(t, second, actors.ErrCrashed)
		require.NotErrorIs(t, second, actors.ErrStopped)
	})
}

// TestMailboxSurvivesACrash: the message in hand is not handled again, all others are, by a life with fresh state.
func TestMailboxSurvivesACrash(t *testing.T) {
	type counted struct{ life, n int }
	lives := 0
	handled := make(chan counted, 10)
	a := actors.New(actors.Options{}, func() actors.Behavior[int] {
		lives++
		life := lives
		return role[int]{handle: func(_ context.Context, n int) error {
			handled <- counted{life, n}
			if n == 2 {
				panic("in hand")
			}
			return nil
		}}
	})
	for n := range 5 {
		require.NoError(t, a.Ref().Tell(t.Context(), n))
	}
	s := perform(t, a)
	for _, want := range []counted{{1, 0}, {1, 1}, {1, 2}, {2, 3}, {2, 4}} {
		require.Equal(t, want, <-handled)
	}
	s.close()
	require.Len(t, s.ends, 2)
	require.ErrorIs(t, s.ends[1], context.Canceled)
}

// TestCrashIsLogged: once, with the actor, the cause and the place.
func TestCrashIsLogged(t *testing.T) {
	var out strings.Builder
	logger := zerolog.New(&out)
	a := handling(actors.Options{Name: "chatty", Logger: &logger}, func(_ context.Context, n int) error {
		if n == 1 {
			return errors.New("just an error")
		}
		panic("all over")
	})
	require.NoError(t, a.Ref().TryTell(1))
	require.NoError(t, a.Ref().TryTell(2))
	require.Error(t, a.Serve(context.Background()))
	require.NotContains(t, out.String(), `"stack"`)
	require.Error(t, a.Serve(context.Background()))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 2)
	for _, part := range []string{`"level":"error"`, `"actor":"chatty"`, `"life":2`, "all over", "crash_test.go"} {
		require.Contains(t, lines[1], part)
	}
}

// TestAPanickingLogKeepsNothingFromAnybody: whoever asked is told of the crash, and the actor is only down.
func TestAPanickingLogKeepsNothingFromAnybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger := zerolog.New(io.Discard).Hook(zerolog.HookFunc(func(*zerolog.Event, zerolog.Level, string) { panic("no paper") }))
		a := handling(actors.Options{Logger: &logger}, func(context.Context, question) error { return errors.New("oh") })
		asked := make(chan error, 1)
		go func() {
			_, err := ask(t.Context(), a.Ref(), 1)
			asked <- err
		}()
		synctest.Wait()
		require.EqualError(t, a.Serve(t.Context()), "oh")
		require.ErrorIs(t, <-asked, actors.ErrCrashed)
		require.Equal(t, actors.Down, a.Inspect().State)
	})
}

// TestDoneForGood: a handler ends its actor with suture's sentinel, which is no crash unless it was thrown.
func TestDoneForGood(t *testing.T) {
	for name, c := range map[string]struct {
		handle  func(context.Context, question) error
		crashes int
	}{
		"returned": {func(context.Context, question) error { return suture.ErrDoNotRestart }, 0},
		"tree":     {func(context.Context, question) error { return suture.ErrTerminateSupervisorTree }, 0},
		"thrown":   {func(context.Context, question) error { panic(suture.ErrDoNotRestart) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := handling(actors.Options{}, c.handle)
				var group sync.WaitGroup
				var inHand, waiting error
				group.Go(func() { _, inHand = ask(t.Context(), a.Ref(), 1) })
				synctest.Wait()
				group.Go(func() { _, waiting = ask(t.Context(), a.Ref(), 2) })
				synctest.Wait()
				err := a.Serve(context.Background())
				require.True(t, errors.Is(err, suture.ErrDoNotRestart) || errors.Is(err, suture.ErrTerminateSupervisorTree))
				group.Wait()
				require.ErrorIs(t, inHand, actors.ErrCrashed)
				require.ErrorIs(t, waiting, actors.ErrStopped)
				require.EqualValues(t, c.crashes, a.Inspect().Crashes)
				require.Equal(t, actors.Stopped, a.Inspect().State)
			})
		})
	}
}
