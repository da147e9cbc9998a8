package supervisor_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

func TestStrategies(t *testing.T) {
	for _, c := range []struct {
		strategy supervisor.Strategy
		want     []string
	}{
		{supervisor.OneForOne, []string{"end b", "start b"}},
		{supervisor.RestForOne, []string{"end b", "end d", "end c", "start b", "start c", "start d"}},
		{supervisor.OneForAll, []string{"end b", "end d", "end c", "end a", "start a", "start b", "start c", "start d"}},
	} {
		t.Run(c.strategy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage()
				b := with(s.child("b", after(time.Second, fails), runs), supervisor.Restart{Initial: 10 * time.Second})
				tree := start(t, group("g", c.strategy, s.child("a"), b, s.child("c"), s.child("d")))
				require.Equal(t, []string{"start a", "start b", "start c", "start d"}, s.take())

				pass(5 * time.Second) // b waits for its restart
				waiting := s.take()
				node := at(t, tree, "root/g/b")
				require.Equal(t, supervisor.StateBackoff, node.State)
				require.WithinRange(t, node.NextRestart, s.began.Add(9*time.Second), s.began.Add(11*time.Second))
				if c.strategy == supervisor.OneForOne {
					require.Equal(t, supervisor.StateRunning, at(t, tree, "root/g").State)
				} else {
					require.Equal(t, supervisor.StateStarting, at(t, tree, "root/g").State)
					require.Equal(t, supervisor.StateStopped, at(t, tree, "root/g/c").State)
				}
				for _, line := range waiting {
					require.NotContains(t, line, "start", "whoever restarts waits for the failed one's delay")
				}

				require.Equal(t, c.want, append(waiting, settled(s, time.Minute)...))
				require.Equal(t, supervisor.StateRunning, at(t, tree, "root/g").State)
				require.True(t, at(t, tree, "root/g/b").NextRestart.IsZero())
				stop(t, tree)
				require.Equal(t, []string{"end d", "end c", "end b", "end a"}, s.take())
			})
		})
	}
}

func TestRestartsByAStrategyKeepTheDelaysGrowing(t *testing.T) {
	for _, strategy := range []supervisor.Strategy{supervisor.RestForOne, supervisor.OneForAll} {
		t.Run(strategy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const ms = time.Millisecond
				s := newStage()
				b := with(s.child("b", crashes), supervisor.Restart{Initial: 100 * ms, Max: time.Hour, Intensity: 6})
				tree := start(t, group("g", strategy, s.child("a"), b))
				pass(5 * time.Second)
				between(t, s.startsOf("b"), 100*ms, 200*ms, 400*ms, 800*ms, 1600*ms)
				pass(5 * time.Second)
				require.Greater(t, at(t, tree, "root/g/a").Restarts, 0, "and it escalates")
				stop(t, tree)
			})
		})
	}
}

// In a rest-for-one group a child depends on those before it only, so the delay of a later one is nothing to it.
func TestAnEarlierChildDoesNotWaitForTheDelayOfALaterOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		a := with(s.child("a", after(2*time.Second, fails), runs), supervisor.Restart{Initial: 100 * time.Millisecond})
		b := with(s.child("b", after(time.Second, fails), runs), supervisor.Restart{Initial: time.Minute, Max: time.Minute})
		tree := start(t, group("g", supervisor.RestForOne, a, b))
		pass(3 * time.Second)
		require.Len(t, s.startsOf("a"), 2)
		require.Len(t, s.startsOf("b"), 1, "b still waits out its own delay")
		pass(time.Minute)
		require.Len(t, s.startsOf("b"), 2)
		stop(t, tree)
	})
}

func TestTwoFailuresInTheSameInstant(t *testing.T) {
	for _, strategy := range []supervisor.Strategy{supervisor.OneForOne, supervisor.RestForOne, supervisor.OneForAll} {
		t.Run(strategy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage()
				tree := start(t, group("g", strategy,
					s.child("a", after(time.Second, fails), runs), s.child("b", after(time.Second, panics), runs), s.child("c", after(time.Second, exits), runs)))
				pass(time.Minute)
				for n := range tree.Snapshot().All() {
					require.Equal(t, supervisor.StateRunning, n.State, n.Path)
				}
				stop(t, tree)
				require.Empty(t, s.twice)
			})
		})
	}
}

// A service that does not stop cannot get a second life beside the first, so the only cure is to end the tree.
func TestAGroupThatCannotStopItsMembersGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		b := s.child("b", held(t))
		b.StopTimeout = 3 * time.Second
		tree := start(t, group("g", supervisor.OneForAll, s.child("a", after(time.Second, fails)), b))
		<-tree.Done()
		require.Equal(t, 4*time.Second, time.Since(s.began))
		var gaveUp *supervisor.GaveUpError
		require.ErrorAs(t, tree.Err(), &gaveUp)
		require.Equal(t, "root/g/b", gaveUp.Who)
		require.ErrorIs(t, gaveUp, supervisor.ErrStuck)
		var late *supervisor.StopError
		require.ErrorAs(t, tree.Err(), &late)
		require.Equal(t, []string{"root/g/b"}, late.Paths)
		require.Equal(t, supervisor.StateStuck, at(t, tree, "root/g/b").State)
	})
}

func TestALifeThatOutlivesItsRefusalEndsTheTree(t *testing.T) {
	t.Run("Serve goes on after Ready refused", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newStage()
			c := s.child("c", held(t))
			c.Ready, c.StopTimeout = fails, 3*time.Second
			tree, err := supervisor.New(supervisor.Config{}, group("g", supervisor.OneForOne, c))
			require.NoError(t, err)
			err = tree.Start(t.Context())
			require.ErrorContains(t, err, "not ready: broken")
			require.ErrorContains(t, err, "did not stop in time: root/g/c")
			require.Equal(t, 6*time.Second, time.Since(s.began), "its time-out, and once more at the stop of the tree")
		})
	})

	t.Run("Ready goes on after Serve failed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newStage()
			c := s.child("c", after(time.Second, fails))
			c.Ready, c.StopTimeout = held(t), 3*time.Second
			tree, err := supervisor.New(supervisor.Config{}, group("g", supervisor.OneForOne, c))
			require.NoError(t, err)
			err = tree.Start(t.Context())
			require.ErrorIs(t, err, errBroken)
			require.ErrorContains(t, err, "did not stop in time: root/g/c")
			require.Equal(t, 4*time.Second, time.Since(s.began))
			require.Equal(t, supervisor.StateStuck, at(t, tree, "root/g/c").State)
		})
	})

	t.Run("Serve returns late, before the tree ends", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newStage()
			c := s.child("c", func(ctx context.Context) error { <-ctx.Done(); <-time.After(4 * time.Second); return nil })
			c.Ready, c.StopTimeout = fails, 3*time.Second
			tree, err := supervisor.New(supervisor.Config{}, group("g", supervisor.OneForOne, c))
			require.NoError(t, err)
			err = tree.Start(t.Context())
			require.ErrorContains(t, err, "not ready: broken")
			require.Equal(t, 4*time.Second, time.Since(s.began))
			require.Len(t, s.startsOf("c"), 1)
			require.Equal(t, supervisor.StateGaveUp, at(t, tree, "root/g/c").State)
		})
	})
}

// While a group stops one member, another one may fail. What depends on that must not be started first.
func TestNobodyIsStartedOnTheStrengthOfAMemberThatHasFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		a := with(s.child("a", after(1500*time.Millisecond, fails), runs), supervisor.Restart{Initial: 100 * time.Millisecond})
		tree := start(t, group("g", supervisor.RestForOne, a, s.child("b", takes(time.Second))))
		pass(time.Second)
		require.NoError(t, tree.Restart(t.Context(), "g/b"))
		require.Equal(t, []string{"start a", "start b", "end a", "end b", "start a", "start b"}, s.take())
		require.GreaterOrEqual(t, time.Since(s.began), 2*time.Second)
		stop(t, tree)
	})
}

// A life that outlived its refusal, but ends while its group is still busy stopping another one, can be followed after all.
func TestALifeThatEndsBeforeItIsGivenUpIsRestarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		b := s.child("b", takes(4*time.Second), runs)
		b.StopTimeout = 3 * time.Second
		ready, lives := b.Ready, 0
		b.Ready = func(ctx context.Context) error {
			if lives++; lives == 1 {
				return after(time.Second, fails)(ctx)
			}
			return ready(ctx)
		}
		tree, err := supervisor.New(supervisor.Config{}, group("g", supervisor.OneForOne, s.child("a", takes(6*time.Second)), b))
		require.NoError(t, err)
		restarted := make(chan error, 1)
		go func() {
			pass(500 * time.Millisecond)
			restarted <- tree.Restart(t.Context(), "g/a") // the group is busy from 0.5 s to 6.5 s
		}()
		require.NoError(t, tree.Start(t.Context()))
		require.NoError(t, <-restarted)
		pass(time.Second)
		require.Len(t, s.startsOf("b"), 2)
		require.Equal(t, supervisor.StateRunning, at(t, tree, "root/g/b").State)
		stop(t, tree)
	})
}

// A life that was given up on ends while others are being stopped for it: nothing more follows from that.
func TestALifeThatEndsAfterItWasGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		b := with(s.child("b", crashes, takes(4*time.Second)), supervisor.Restart{Initial: time.Second})
		b.StopTimeout = 3 * time.Second
		ready, lives := b.Ready, 0
		b.Ready = func(ctx context.Context) error {
			if lives++; lives == 2 {
				return fails(ctx)
			}
			return ready(ctx)
		}
		tree := start(t, group("g", supervisor.OneForOne, b, s.child("c", takes(2*time.Second))))
		<-tree.Done()
		require.ErrorContains(t, tree.Err(), "gave up on root/g/b after 1 restart: supervisor: cannot be restarted, its last life does not end (it had 3s to stop), after: not ready: broken")
		require.Equal(t, supervisor.StateGaveUp, at(t, tree, "root/g/b").State)
		require.Equal(t, []string{"start b", "start c", "end b", "start b", "end b", "end c"}, s.take())
		var late *supervisor.StopError
		require.NotErrorAs(t, tree.Err(), &late, "in the end everything stopped")
	})
}

func TestAGroupThatIsBusyGivesUpAsSoonAsItCan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		b := with(s.child("b", after(time.Second, fails)), supervisor.Restart{Never: true})
		tree := start(t, group("g", supervisor.OneForOne, s.child("a", takes(2*time.Second)), b))
		require.ErrorIs(t, tree.Restart(t.Context(), "g/a"), supervisor.ErrStopped)
		<-tree.Done()
		require.ErrorIs(t, tree.Err(), errBroken)
		require.Equal(t, []string{"start a", "start b", "end b", "end a"}, s.take(), "nothing is started for a tree that ends")
	})
}
