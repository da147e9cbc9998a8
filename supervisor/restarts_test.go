package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/thejerf/suture/v4"

	"github.com/seed-4ff2b7b9/supervised/actors"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

// The reason for a failure domain per child: in a plain suture.Supervisor a sibling that fails once, while another one
// is in a crash storm, waits for as long as the storm lasts.
func TestACrashStormDelaysNobodyElse(t *testing.T) {
	const healthyFor = time.Second
	delayOf := func(t *testing.T, starts []time.Duration) time.Duration {
		require.GreaterOrEqual(t, len(starts), 2, "the sibling must have been restarted")
		return starts[1] - starts[0] - healthyFor
	}

	t.Run("control: plain suture", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newStage()
			storm, sibling := s.child("storm", after(50*time.Millisecond, fails)), s.child("sibling", after(healthyFor, fails), runs)
			plain := suture.New("plain", suture.Spec{EventHook: func(suture.Event) {}})
			plain.Add(named{storm.New})
			plain.Add(named{sibling.New})
			ctx, cancel := context.WithCancel(t.Context())
			ended := plain.ServeBackground(ctx)
			pass(5 * time.Minute)
			cancel()
			<-ended
			require.Greater(t, delayOf(t, s.startsOf("sibling")), 10*time.Second, "suture's pause is for all; without it this test shows nothing")
		})
	})

	t.Run("in a tree", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newStage()
			storm, sibling := s.child("storm", after(50*time.Millisecond, fails)), s.child("sibling", after(healthyFor, fails), runs)
			tree := start(t, group("g", supervisor.OneForOne, with(storm, supervisor.Restart{Initial: time.Nanosecond, Max: time.Millisecond, Intensity: -1}), sibling))
			pass(time.Minute)
			require.LessOrEqual(t, delayOf(t, s.startsOf("sibling")), 20*time.Millisecond, "nothing but the sibling's own Initial")
			require.Greater(t, len(s.startsOf("storm")), 1000, "the storm goes on")
			stop(t, tree)
		})
	})
}

// named gives suture a name for a service that may not be asked for one.
type named struct{ make func() suture.Service }

func (n named) Serve(ctx context.Context) error { return n.make().Serve(ctx) }
func (named) String() string                    { return "named" }

// between checks the delays between the starts of a service whose lives last a millisecond at most.
func between(t *testing.T, starts []time.Duration, full ...time.Duration) {
	t.Helper()
	require.Len(t, starts, len(full)+1)
	for i, want := range full {
		got := starts[i+1] - starts[i]
		require.LessOrEqual(t, got, want+time.Millisecond, "delay %d", i)
		require.GreaterOrEqual(t, got, want*8/10, "delay %d", i)
	}
}

func TestDelaysDoubleUpToMaxAndBeginAnewAfterAHealthyTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ms = time.Millisecond
		s := newStage()
		c := with(s.child("c", fails, fails, fails, fails, fails, after(3*time.Second, fails), fails, runs),
			supervisor.Restart{Initial: 100 * ms, Max: 500 * ms, HealthyAfter: 2 * time.Second})
		tree := start(t, group("g", supervisor.OneForOne, c))
		pass(time.Minute)
		starts := s.startsOf("c")
		require.Len(t, starts, 8)
		between(t, starts[:6], 100*ms, 200*ms, 400*ms, 500*ms, 500*ms)
		between(t, []time.Duration{starts[5] + 3*time.Second, starts[6], starts[7]}, 100*ms, 200*ms)
		stop(t, tree)
	})
}

func TestALifeShorterThanTheHealthyTimeResetsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		c := with(s.child("c", fails, after(1900*time.Millisecond, fails), runs),
			supervisor.Restart{Initial: 100 * time.Millisecond, HealthyAfter: 2 * time.Second})
		tree := start(t, group("g", supervisor.OneForOne, c))
		pass(time.Minute)
		starts := s.startsOf("c")
		require.Len(t, starts, 3)
		between(t, []time.Duration{starts[1] + 1900*time.Millisecond, starts[2]}, 200*time.Millisecond)
		stop(t, tree)
	})
}

func TestImmediateGivesTheFirstRestartWithoutADelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ms = time.Millisecond
		s := newStage()
		pool := supervisor.Restart{Initial: 5 * ms, Max: time.Second, Immediate: true, HealthyAfter: time.Second, Intensity: -1}
		tree := start(t, group("g", supervisor.OneForOne, with(s.child("c", fails), pool)))
		pass(10 * time.Minute)
		starts := s.startsOf("c")
		require.Greater(t, len(starts), 600, "it never escalates")
		between(t, starts[:12], 0, 5*ms, 10*ms, 20*ms, 40*ms, 80*ms, 160*ms, 320*ms, 640*ms, 1000*ms, 1000*ms)
		require.Equal(t, supervisor.StateBackoff, at(t, tree, "root/g/c").State)
		stop(t, tree)
	})
}

// Whatever a service does to get out of its life, it gets a new one, and the snapshot tells how the old one ended.
func TestEveryKindOfFailureIsContainedAndRestarted(t *testing.T) {
	otherContext, cancel := context.WithCancel(context.Background())
	cancel()
	for name, c := range map[string]struct {
		first act
		want  string
		stack string // what the stack must name
	}{
		"an error":                    {fails, "broken", ""},
		"a panic":                     {panics, "panic: kaboom", "panics"},
		"runtime.Goexit":              {exits, actors.ErrGoexit.Error(), "exits"},
		"nil without being stopped":   {returns(nil), supervisor.ErrReturned.Error(), ""},
		"the end of another context":  {returns(otherContext.Err()), "context canceled", ""},
		"a deadline of somebody else": {returns(context.DeadlineExceeded), "context deadline exceeded", ""},
		"an error that panics":        {returns(vicious{}), "panic: an error of type supervisor_test.vicious", "vicious"},
		"a panic with such an error":  {func(context.Context) error { panic(vicious{}) }, "panic: an error of type", "vicious"},
		"an actor's own panic error":  {returns(&actors.PanicError{Value: errBroken, Stack: []byte("there")}), "broken", "there"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage()
				tree := start(t, group("g", supervisor.OneForOne, s.child("c", c.first, runs)))
				pass(time.Second)
				require.Len(t, s.startsOf("c"), 2)
				n := at(t, tree, "root/g/c")
				require.Equal(t, supervisor.StateRunning, n.State)
				require.Equal(t, 1, n.Restarts)
				require.Contains(t, n.LastError, c.want)
				require.False(t, n.LastErrorAt.IsZero())
				if c.stack == "" {
					require.Empty(t, n.LastStack)
				} else {
					require.Contains(t, n.LastStack, c.stack)
				}
				stop(t, tree)
			})
		})
	}
}

// vicious is an error that panics when it is asked what it is.
type vicious struct{}

func (vicious) Error() string { return "vicious" }
func (vicious) Is(error) bool { panic("do not ask") }

func TestAFailureInNewIsTheChildsFailure(t *testing.T) {
	for name, c := range map[string]struct {
		make func() suture.Service
		want string
	}{
		"panic":   {func() suture.Service { panic("no parts") }, "panic: no parts"},
		"nothing": {func() suture.Service { return nil }, supervisor.ErrNoService.Error()},
		"Goexit":  {func() suture.Service { _ = exits(t.Context()); return nil }, actors.ErrGoexit.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage()
				good, broken := s.child("c"), true
				child := good
				child.New = func() suture.Service {
					if broken {
						broken = false
						return c.make()
					}
					return good.New()
				}
				tree, err := supervisor.New(supervisor.Config{}, group("g", supervisor.OneForOne, child))
				require.NoError(t, err)
				require.NoError(t, tree.Start(t.Context()))
				require.Contains(t, at(t, tree, "root/g/c").LastError, c.want)
				require.Len(t, s.startsOf("c"), 1)
				stop(t, tree)
			})
		})
	}
}

// A Goexit takes the verdict on its life along: suture sees a Serve that returned nil, and would begin another life.
func TestGoexitDoesNotWinALifeThatIsNotDue(t *testing.T) {
	for name, c := range map[string]struct {
		strategy supervisor.Strategy
		restart  supervisor.Restart
		lives    int
	}{
		"never":     {supervisor.OneForOne, supervisor.Restart{Never: true}, 1},
		"escalates": {supervisor.OneForOne, supervisor.Restart{Immediate: true, Intensity: 1}, 3},
		"for all":   {supervisor.OneForAll, supervisor.Restart{Immediate: true}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage()
				leave := after(time.Millisecond, exits)
				acts := append(slices.Repeat([]act{leave}, c.lives-1), runs)
				if c.restart.Never {
					acts = []act{leave, runs}
				}
				tree := start(t, group("g", c.strategy, with(s.child("c", acts...), c.restart), s.child("slow", takes(time.Second))))
				pass(time.Minute)
				require.Len(t, s.startsOf("c"), c.lives)
				require.Equal(t, c.lives-1, at(t, tree, "root/g/c").Restarts)
				_ = tree.Stop(t.Context())
				require.Empty(t, s.twice)
			})
		})
	}
}

func TestAServiceThatIsDoneForGoodIsNotRestarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		migration := s.child("migration", after(time.Second, returns(fmt.Errorf("migrated: %w", suture.ErrDoNotRestart))))
		migration.Ready = runs // ready only by being done
		tree := start(t, group("g", supervisor.OneForOne, migration, s.child("server")))
		require.Equal(t, []time.Duration{time.Second}, s.startsOf("server"), "the next child waits until it is done")
		pass(time.Hour)
		require.Len(t, s.startsOf("migration"), 1)
		require.Equal(t, supervisor.StateFinished, at(t, tree, "root/g/migration").State)

		require.NoError(t, tree.Restart(t.Context(), "g/migration"))
		require.Len(t, s.startsOf("migration"), 2, "a request runs it again")
		stop(t, tree)
		require.Equal(t, supervisor.StateStopped, at(t, tree, "root/g/migration").State)
	})
}

func TestAServiceCanAskForTheEndOfTheTree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		cause := fmt.Errorf("license: %w", suture.ErrTerminateSupervisorTree)
		tree := start(t, group("g", supervisor.OneForOne, s.child("a"), s.child("c", after(time.Second, returns(cause)))))
		<-tree.Done()
		var gaveUp *supervisor.GaveUpError
		require.ErrorAs(t, tree.Err(), &gaveUp)
		require.Equal(t, "root/g/c", gaveUp.Who)
		require.Equal(t, cause, gaveUp.Cause)
		require.Equal(t, []string{"start a", "start c", "end c", "end a"}, s.take())
	})
}

func TestReady(t *testing.T) {
	refusal := errors.New("no port")
	for name, c := range map[string]struct {
		first act
		want  string
		stack string
	}{
		"refuses": {returns(refusal), "not ready: no port", ""},
		"panics":  {panics, "not ready: panic: kaboom", "panics"},
		"Goexit":  {exits, "not ready: " + actors.ErrGoexit.Error(), "exits"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage()
				a := s.child("a")
				ready, calls := a.Ready, 0
				a.Ready = func(ctx context.Context) error {
					if calls++; calls == 1 {
						return after(time.Second, c.first)(ctx)
					}
					return ready(ctx)
				}
				tree := start(t, group("g", supervisor.OneForOne, a, s.child("b")))
				require.Equal(t, []string{"start a", "end a", "start a", "start b"}, s.take(), "the life ends, and the next child waits for the next one")
				n := at(t, tree, "root/g/a")
				require.Equal(t, c.want, n.LastError)
				require.Contains(t, n.LastStack, c.stack)
				require.Equal(t, 2, calls)
				stop(t, tree)
			})
		})
	}

	t.Run("cannot say that the service is done", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newStage()
			done := fmt.Errorf("done: %w", suture.ErrDoNotRestart)
			inner := supervisor.Child{Name: "inner", Restart: supervisor.Restart{Never: true}, New: func() suture.Service {
				c := with(s.child("c"), supervisor.Restart{Never: true})
				c.Ready = after(time.Second, returns(done)) // the outer tree is up by then
				tree, err := supervisor.New(supervisor.Config{}, group("g", supervisor.OneForOne, c))
				if err != nil {
					panic(err)
				}
				return tree
			}}
			tree := start(t, group("o", supervisor.OneForOne, inner))
			pass(2 * time.Second)
			require.ErrorIs(t, tree.Err(), done, "neither here nor through a mounted tree")
		})
	})

	t.Run("ends with the life", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newStage()
			a := s.child("a", after(time.Second, fails), runs)
			a.Ready = after(2*time.Second, returns(nil))
			tree := start(t, group("g", supervisor.OneForOne, a, s.child("b")))
			require.Equal(t, []string{"start a", "end a", "start a", "start b"}, s.take())
			require.Equal(t, "broken", at(t, tree, "root/g/a").LastError, "what Ready makes of its context's end is no cause")
			stop(t, tree)
		})
	})

	t.Run("is not believed after the life", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newStage()
			a := s.child("a", after(time.Second, fails), runs)
			ready, lives := a.Ready, 0
			a.Ready = func(ctx context.Context) error {
				if lives++; lives == 1 {
					<-time.After(2 * time.Second) // whatever its context says
					return nil
				}
				return ready(ctx)
			}
			tree, err := supervisor.New(supervisor.Config{}, group("g", supervisor.OneForOne, a, s.child("b")))
			require.NoError(t, err)
			lines := told(tree)
			require.NoError(t, tree.Start(t.Context()))
			require.Equal(t, 1, count(lines(), "root/g/a ready"))
			require.Greater(t, s.startsOf("a")[1], 2*time.Second, "the next life waits for the last one's Ready")
			stop(t, tree)
		})
	})

	t.Run("is joined by a stop", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newStage()
			a := s.child("a")
			a.Ready = takes(3 * time.Second)
			tree, err := supervisor.New(supervisor.Config{}, group("g", supervisor.OneForOne, a))
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			require.ErrorIs(t, tree.Start(ctx), context.DeadlineExceeded)
			require.Equal(t, 4*time.Second, time.Since(s.began))
		})
	})

	t.Run("a refused service that fails in stopping tells both", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newStage()
			a := s.child("a", func(ctx context.Context) error { <-ctx.Done(); panic("while stopping") }, runs)
			calls := 0
			a.Ready = func(context.Context) error {
				if calls++; calls == 1 {
					return refusal
				}
				return nil
			}
			tree := start(t, group("g", supervisor.OneForOne, a))
			n := at(t, tree, "root/g/a")
			require.Contains(t, n.LastError, "not ready: no port")
			require.Contains(t, n.LastError, "while stopping")
			require.NotEmpty(t, n.LastStack)
			stop(t, tree)
		})
	})
}
