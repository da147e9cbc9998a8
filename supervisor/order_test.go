package supervisor_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

func TestStartFollowsReadinessAndStopReversesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		slow := func(name string, d time.Duration) supervisor.Child {
			c := s.child(name)
			playing := c.Ready
			c.Ready = func(ctx context.Context) error {
				if err := playing(ctx); err != nil {
					return err
				}
				defer s.note("ready", name)
				return after(d, returns(nil))(ctx)
			}
			return c
		}
		tree := start(t,
			group("data", supervisor.OneForOne, slow("a", 3*time.Second)),
			group("upkeep", supervisor.OneForOne, slow("b", 2*time.Second), group("deep", supervisor.OneForAll, slow("c", time.Second), slow("d", time.Second)).Child(), slow("e", 0)),
			group("edge", supervisor.OneForOne, slow("f", time.Second)))
		require.Equal(t, []string{
			"start a", "ready a", "start b", "ready b", "start c", "ready c", "start d", "ready d", "start e", "ready e", "start f", "ready f",
		}, s.take())
		require.Equal(t, 8*time.Second, time.Since(s.began), "Start returned when the last was ready")
		stop(t, tree)
		require.Equal(t, []string{"end f", "end e", "end d", "end c", "end b", "end a"}, s.take())
	})
}

func TestStopWaitsForEachBeforeTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		tree := start(t, group("g", supervisor.OneForOne, s.child("a", takes(time.Second)), s.child("b", takes(2*time.Second))), group("h", supervisor.OneForOne, s.child("c", takes(4*time.Second))))
		began := time.Now()
		stop(t, tree)
		require.Equal(t, 7*time.Second, time.Since(began))
		require.NoError(t, tree.Err())
	})
}

func TestWhatDoesNotStopInTimeIsReportedAndTheRestIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		hang := func(name string, d time.Duration) supervisor.Child {
			c := s.child(name, held(t))
			c.StopTimeout = d
			return c
		}
		tree := start(t, group("g", supervisor.OneForOne, s.child("a"), hang("b", time.Second)),
			group("h", supervisor.OneForOne, group("i", supervisor.OneForOne, hang("c", 2*time.Second)).Child(), hang("d", 0), s.child("e")))
		lines := told(tree)
		began := time.Now()
		err := tree.Stop(context.Background())
		require.Equal(t, 13*time.Second, time.Since(began), "each its own StopTimeout, by default ten seconds")
		var late *supervisor.StopError
		require.ErrorAs(t, err, &late)
		require.Equal(t, []string{"root/g/b", "root/h/i/c", "root/h/d"}, late.Paths)
		require.EqualError(t, err, "supervisor: did not stop in time: root/g/b, root/h/i/c, root/h/d")
		require.Equal(t, err, tree.Err())
		require.Equal(t, err, tree.Stop(context.Background()), "whoever asks gets the same answer")
		require.Equal(t, supervisor.StateStuck, at(t, tree, "root/h/d").State)
		require.Equal(t, supervisor.StateStopped, at(t, tree, "root/h/i").State)
		require.Equal(t, []string{
			"root/h/e stopped", "root/h/d did not stop in time", "root/h/i/c did not stop in time", "root/h/i stopped", "root/h stopped",
			"root/g/b did not stop in time", "root/g/a stopped", "root/g stopped", "root stopped",
		}, lines())
	})
}

func TestStopDuringBackoffIsImmediate(t *testing.T) {
	for _, strategy := range []supervisor.Strategy{supervisor.OneForOne, supervisor.RestForOne, supervisor.OneForAll} {
		t.Run(strategy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage()
				slow := supervisor.Restart{Initial: time.Hour, Max: time.Hour}
				tree := start(t, group("g", strategy, s.child("a"), with(s.child("b", crashes), slow), s.child("c")))
				pass(time.Minute)
				require.Equal(t, supervisor.StateBackoff, at(t, tree, "root/g/b").State)
				began := time.Now()
				stop(t, tree)
				require.Zero(t, time.Since(began))
				require.Equal(t, supervisor.StateStopped, at(t, tree, "root/g").State)
			})
		})
	}
}

func TestStopDuringStart(t *testing.T) {
	for name, c := range map[string]struct {
		interrupt func(ctx context.Context, tree *supervisor.Tree, cancel context.CancelFunc) error
		want      error
	}{
		"by Stop":                 {func(ctx context.Context, tree *supervisor.Tree, _ context.CancelFunc) error { return tree.Stop(ctx) }, supervisor.ErrStopped},
		"by the end of a context": {func(_ context.Context, _ *supervisor.Tree, cancel context.CancelFunc) error { cancel(); return nil }, context.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage()
				b := s.child("b")
				b.Ready = runs // never
				tree, err := supervisor.New(supervisor.Config{}, group("g", supervisor.OneForOne, s.child("a"), b, s.child("c")))
				require.NoError(t, err)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var interruption error
				var done sync.WaitGroup
				done.Go(func() {
					pass(time.Minute)
					interruption = c.interrupt(context.Background(), tree, cancel)
				})
				require.ErrorIs(t, tree.Start(ctx), c.want)
				done.Wait()
				require.NoError(t, interruption)
				require.Equal(t, time.Minute, time.Since(s.began))
				require.Equal(t, []string{"start a", "start b", "end b", "end a"}, s.take())
				require.Equal(t, supervisor.StatePending, at(t, tree, "root/g/c").State, "its turn never came")
				<-tree.Done()
				require.NoError(t, tree.Err())
			})
		})
	}
}

func TestAStartThatCannotBeStoppedSaysBoth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		c := s.child("c", held(t))
		c.Ready = runs
		tree, err := supervisor.New(supervisor.Config{}, group("g", supervisor.OneForOne, c))
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err = tree.Start(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "root was not ready in time")
		require.ErrorContains(t, err, "did not stop in time: root/g/c")
	})
}

func TestStopTwiceAndByMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		tree := start(t, group("g", supervisor.OneForOne, s.child("a", takes(time.Second)), s.child("b", takes(time.Second))))
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if err := tree.Stop(context.Background()); err != nil {
					s.note(err.Error())
				}
				s.note("stopped")
			})
		}
		all.Wait()
		stop(t, tree)
		require.Equal(t, []string{
			"start a", "start b", "end b", "end a",
			"stopped", "stopped", "stopped", "stopped", "stopped", "stopped", "stopped", "stopped",
		}, s.take())
		require.Equal(t, 2*time.Second, time.Since(s.began))
	})
}

func TestAStopperWithoutPatienceIsToldWhatStillRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		tree := start(t, group("g", supervisor.OneForOne, s.child("a", takes(time.Second)), s.child("b", takes(5*time.Second)), s.child("c")))
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		err := tree.Stop(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		var late *supervisor.StopError
		require.ErrorAs(t, err, &late)
		require.Equal(t, []string{"root/g/a", "root/g/b"}, late.Paths)
		require.EqualError(t, err, "supervisor: did not stop in time: root/g/a, root/g/b: context deadline exceeded")
		<-tree.Done()
		require.Equal(t, 6*time.Second, time.Since(s.began), "the stop went on")
		require.NoError(t, tree.Err())
	})
}

// suture is silent about what happens while it stops.
func TestFailuresInStoppingAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		var out bytes.Buffer
		log := zerolog.New(zerolog.SyncWriter(&out)).Level(zerolog.WarnLevel)
		ending := func(end act) act {
			return func(ctx context.Context) error { <-ctx.Done(); return end(ctx) }
		}
		tree, err := supervisor.New(supervisor.Config{Logger: &log}, group("g", supervisor.OneForOne,
			s.child("well"), s.child("nil", takes(0)), s.child("error", ending(fails)), s.child("panic", ending(panics)), s.child("exit", ending(exits))))
		require.NoError(t, err)
		require.NoError(t, tree.Start(t.Context()))
		require.Empty(t, out.String())
		stop(t, tree)
		lines := bytes.Split(bytes.TrimSpace(out.Bytes()), []byte("\n"))
		require.Len(t, lines, 3)
		require.Contains(t, string(lines[0]), `"level":"error","event":"stopped","actor":"root/g/exit"`)
		require.Contains(t, string(lines[1]), `"level":"error","event":"stopped","actor":"root/g/panic","restarts":0,"cause":"panic: kaboom","stack":"goroutine`)
		require.Contains(t, string(lines[2]), `"level":"warn","event":"stopped","actor":"root/g/error","restarts":0,"cause":"broken","message":"stopped"`)
	})
}

func TestALogThatPanicsChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		log := zerolog.New(io.Discard).Hook(zerolog.HookFunc(func(*zerolog.Event, zerolog.Level, string) { panic("no paper") }))
		tree, err := supervisor.New(supervisor.Config{Logger: &log}, group("g", supervisor.OneForOne, with(s.child("c", crashes, runs), supervisor.Restart{Initial: time.Second})))
		require.NoError(t, err)
		require.NoError(t, tree.Start(t.Context()))
		pass(time.Minute)
		between(t, s.startsOf("c"), time.Second)
		stop(t, tree)
	})
}

func TestTheValuesOfTheContextReachTheServicesAndItsEndDoesNot(t *testing.T) {
	type key struct{}
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
		values := make(chan any, 1)
		tree, err := supervisor.New(supervisor.Config{}, group("g", supervisor.OneForOne, s.child("a", func(ctx context.Context) error {
			values <- ctx.Value(key{})
			return runs(ctx)
		})))
		require.NoError(t, err)
		require.NoError(t, tree.Start(ctx))
		cancel()
		pass(time.Second)
		require.Equal(t, "value", <-values)
		require.Equal(t, []string{"start a"}, s.take())
		stop(t, tree)
	})
}

func TestServeRunsUntilItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		tree, err := supervisor.New(supervisor.Config{}, group("g", supervisor.OneForOne, s.child("a"), s.child("b")))
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.NoError(t, tree.Serve(ctx), "an ordered stop is no error")
		require.Equal(t, []string{"start a", "start b", "end b", "end a"}, s.take())
		require.NoError(t, tree.Err())
	})
}

func TestATreeServesOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		tree := start(t, group("g", supervisor.OneForOne, s.child("a")))
		require.ErrorIs(t, tree.Start(t.Context()), supervisor.ErrServed)
		require.ErrorIs(t, tree.Serve(t.Context()), supervisor.ErrServed)
		stop(t, tree)
		require.ErrorIs(t, tree.Start(t.Context()), supervisor.ErrServed)

		unborn, err := supervisor.New(supervisor.Config{}, group("g", supervisor.OneForOne, s.child("b")))
		require.NoError(t, err)
		require.ErrorIs(t, unborn.Restart(t.Context(), "g/b"), supervisor.ErrNotRunning)
		stop(t, unborn)
		require.ErrorIs(t, unborn.Serve(t.Context()), supervisor.ErrServed)
		require.Empty(t, s.startsOf("b"))

		doomed := start(t, group("g", supervisor.OneForOne, with(s.child("c", crashes), supervisor.Restart{Never: true})))
		<-doomed.Done()
		require.Equal(t, doomed.Err(), doomed.Serve(t.Context()), "the reason why it cannot")
	})
}

func TestAnEmptyTreeIsReadyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop(t, start(t))
		tree := start(t, group("edge", supervisor.OneForAll))
		require.Equal(t, supervisor.StateRunning, at(t, tree, "root/edge").State)
		stop(t, tree)
	})
}

func TestErrorsSayWhatAPersonNeeds(t *testing.T) {
	require.EqualError(t, &supervisor.GaveUpError{Who: "root/g/c", Restarts: 1, Cause: errBroken}, "supervisor: gave up on root/g/c after 1 restart: broken")
	require.NoError(t, errors.Unwrap(&supervisor.StopError{Paths: []string{"root/g/c"}}))
}
