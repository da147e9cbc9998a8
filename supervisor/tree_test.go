package supervisor_test

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/thejerf/suture/v4"

	"github.com/seed-4ff2b7b9/supervised/actors"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

func TestRestartByPath(t *testing.T) {
	all := []string{"end d", "end c", "end b", "end a", "start a", "start b", "start c", "start d"}
	for path, want := range map[string][]string{
		"root/one/a":       {"end a", "start a"},
		"one/a":            {"end a", "start a"},
		"rest/b":           {"end c", "end b", "start b", "start c"},
		"rest/c":           {"end c", "start c"},
		"root/rest":        {"end c", "end b", "start b", "start c"},
		"deep/inner":       {"end d", "start d"},
		"root/deep":        {"end d", "start d"},
		"root/deep/inner/": nil,
		"root":             all,
		"":                 nil,
		"one/nobody":       nil,
		"nobody":           nil,
		"one/a/below":      nil,
	} {
		t.Run(path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage()
				tree := start(t, group("one", supervisor.OneForOne, s.child("a")), group("rest", supervisor.RestForOne, s.child("b"), s.child("c")),
					group("deep", supervisor.OneForAll, group("inner", supervisor.OneForOne, s.child("d")).Child()))
				s.take()
				err := tree.Restart(t.Context(), path)
				if want == nil {
					require.ErrorIs(t, err, supervisor.ErrUnknownPath)
				} else {
					require.NoError(t, err)
				}
				require.Equal(t, want, s.take())
				for n := range tree.Snapshot().All() {
					require.Equal(t, supervisor.StateRunning, n.State, n.Path)
				}
				stop(t, tree)
			})
		})
	}
}

func TestAPathThatCanBeReadTwoWaysBeginsWithTheTree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		tree, err := supervisor.New(supervisor.Config{Name: "pool"}, group("pool", supervisor.OneForOne, s.child("a"), s.child("pool")))
		require.NoError(t, err)
		require.NoError(t, tree.Start(t.Context()))
		s.take()
		require.NoError(t, tree.Restart(t.Context(), "pool/pool"))
		require.Equal(t, []string{"end pool", "end a", "start a", "start pool"}, s.take(), "the group")
		require.NoError(t, tree.Restart(t.Context(), "pool/a"))
		require.Equal(t, []string{"end a", "start a"}, s.take(), "no such group: without the tree's name")
		stop(t, tree)
	})
}

func TestRestartSkipsTheDelayAndForgetsTheFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		c := with(s.child("c", crashes, crashes, crashes, crashes, crashes, runs), supervisor.Restart{Initial: time.Hour, Max: 10 * time.Hour, Intensity: 4, Within: 24 * time.Hour})
		tree := start(t, group("g", supervisor.OneForOne, c))
		pass(4 * time.Hour) // restarted after one hour, and by two more
		require.Len(t, s.startsOf("c"), 3)
		require.NoError(t, tree.Restart(t.Context(), "g/c"))
		require.Len(t, s.startsOf("c"), 4)
		pass(61 * time.Minute)
		require.Len(t, s.startsOf("c"), 5, "the delays begin anew")
		stop(t, tree)
	})
}

func TestRestartSkipsTheDelayThatAGroupWaitsFor(t *testing.T) {
	for _, strategy := range []supervisor.Strategy{supervisor.RestForOne, supervisor.OneForAll} {
		t.Run(strategy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage()
				c := with(s.child("c", crashes, runs), supervisor.Restart{Initial: time.Hour, Max: time.Hour})
				tree := start(t, group("g", strategy, c, s.child("d")))
				pass(time.Second)
				began := time.Now()
				require.NoError(t, tree.Restart(t.Context(), "g/c"))
				require.Zero(t, time.Since(began))
				require.Len(t, s.startsOf("d"), 2)
				stop(t, tree)
			})
		})
	}
}

func TestRestartReturnsWhenReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		c := s.child("c", takes(2*time.Second))
		c.Ready = after(time.Second, returns(nil))
		tree := start(t, group("g", supervisor.OneForOne, c))
		began := time.Now()
		require.NoError(t, tree.Restart(t.Context(), "g/c"))
		require.Equal(t, 3*time.Second, time.Since(began))

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, tree.Restart(ctx, "g/c"), context.DeadlineExceeded)
		second, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		require.ErrorIs(t, tree.Restart(second, "g/c"), context.DeadlineExceeded, "the group is still busy with the first")
		pass(time.Minute)
		require.Len(t, s.startsOf("c"), 3, "a request that nobody waits for is carried out, one that was not taken is not")
		stop(t, tree)
		require.ErrorIs(t, tree.Restart(t.Context(), "g/c"), supervisor.ErrStopped)
	})
}

func TestRestartEndsWithTheTree(t *testing.T) {
	t.Run("stopped", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newStage()
			c := s.child("c")
			lives := 0
			c.Ready = func(ctx context.Context) error {
				if lives++; lives > 1 {
					return runs(ctx)
				}
				return nil
			}
			tree := start(t, group("g", supervisor.OneForOne, c))
			restarted := make(chan error, 1)
			go func() { restarted <- tree.Restart(t.Context(), "g/c") }()
			pass(time.Minute)
			stop(t, tree)
			require.ErrorIs(t, <-restarted, supervisor.ErrStopped)
		})
	})

	t.Run("given up", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newStage()
			tree := start(t, group("g", supervisor.OneForOne, s.child("c", held(t))))
			require.ErrorIs(t, tree.Restart(t.Context(), "g/c"), supervisor.ErrStopped)
			<-tree.Done()
			require.ErrorContains(t, tree.Err(), "gave up on root/g/c after 0 restarts: supervisor: cannot be restarted, its last life does not end (it had 10s to stop)")
		})
	})
}

// inspected is a service with a mailbox to show.
type inspected struct {
	*player
	status func() actors.Status
}

func (i inspected) Inspect() actors.Status { return i.status() }

func inspect(c supervisor.Child, status func() actors.Status) supervisor.Child {
	plain := c.New
	c.New = func() suture.Service { return inspected{plain().(*player), status} }
	return c
}

func TestSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		actor := inspect(s.child("actor", after(time.Second, panics), runs), func() actors.Status { return actors.Status{Name: "actor", Mailbox: 3} })
		rude := inspect(s.child("rude"), func() actors.Status { panic("not now") })
		tree, err := supervisor.New(supervisor.Config{Name: "app"}, group("g", supervisor.OneForOne, actor, rude))
		require.NoError(t, err)
		before := tree.Snapshot()
		require.Equal(t, supervisor.StatePending, before.Children[0].Children[0].State)
		require.Nil(t, before.Children[0].Children[0].Status)

		require.NoError(t, tree.Start(t.Context()))
		pass(time.Minute)
		n := at(t, tree, "app/g/actor")
		require.Equal(t, "actor", n.Name)
		require.Equal(t, supervisor.KindService, n.Kind)
		require.Equal(t, 3, n.Status.Mailbox)
		require.Equal(t, 1, n.Restarts)
		require.Len(t, n.RestartedAt, 1)
		require.Equal(t, n.RestartedAt[0], n.Since)
		require.WithinDuration(t, s.began.Add(time.Second), n.LastErrorAt, 0)
		require.Nil(t, at(t, tree, "app/g/rude").Status, "a panic in Inspect harms nobody")
		require.Equal(t, supervisor.KindGroup, tree.Snapshot().Kind)

		text, err := json.Marshal(tree.Snapshot())
		require.NoError(t, err)
		require.Contains(t, string(text), `"path":"app/g","kind":"group","state":"running"`)
		require.NotContains(t, string(text), "next_restart")
		stop(t, tree)
		require.Equal(t, 3, at(t, tree, "app/g/actor").Status.Mailbox, "works after the stop, too")
	})
}

func TestTheSnapshotOfAMountedTreeIsPartOfItsParents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		var inner *supervisor.Tree
		mounted := supervisor.Child{Name: "pool", StopTimeout: time.Minute, New: func() suture.Service {
			var err error
			inner, err = supervisor.New(supervisor.Config{Name: "inner"}, group("g", supervisor.OneForOne, group("h", supervisor.OneForOne, s.child("c")).Child()))
			if err != nil {
				panic(err)
			}
			return inner
		}}
		tree := start(t, group("o", supervisor.OneForOne, mounted))
		pass(time.Second)
		var paths []string
		for n := range tree.Snapshot().All() {
			paths = append(paths, n.Path+" "+n.Kind.String())
		}
		require.Equal(t, []string{"root group", "root/o group", "root/o/pool tree", "root/o/pool/g group", "root/o/pool/g/h group", "root/o/pool/g/h/c service"}, paths)

		require.NoError(t, tree.Restart(t.Context(), "o/pool/g/h/c"), "its paths lead into it")
		require.Len(t, s.startsOf("c"), 2)
		first := inner
		require.NoError(t, tree.Restart(t.Context(), "o/pool"))
		pass(time.Second)
		require.NotSame(t, first, inner)
		require.Len(t, s.startsOf("c"), 3)
		require.Equal(t, 10*time.Second, inner.StopTimeout())
		stop(t, tree)
	})
}

func TestWhatAMountedTreeCouldNotStopIsReportedByItsParent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		mounted := supervisor.Child{Name: "pool", StopTimeout: time.Minute, New: func() suture.Service {
			inner, err := supervisor.New(supervisor.Config{Name: "inner"}, group("g", supervisor.OneForOne, s.child("c", held(t)), s.child("d")))
			if err != nil {
				panic(err)
			}
			return inner
		}}
		tree := start(t, group("o", supervisor.OneForOne, mounted))
		pass(time.Second)
		require.EqualError(t, tree.Stop(t.Context()), "supervisor: did not stop in time: root/o/pool/g/c")
	})
}

func TestAllStopsWhereItsReaderDoes(t *testing.T) {
	tree, err := supervisor.New(supervisor.Config{}, group("g", supervisor.OneForOne, newStage().child("a"), newStage().child("b")))
	require.NoError(t, err)
	for stopAt, want := range map[string]int{"root": 1, "root/g": 2, "root/g/a": 3} {
		seen := 0
		for n := range tree.Snapshot().All() {
			if seen++; n.Path == stopAt {
				break
			}
		}
		require.Equal(t, want, seen)
	}
}

func TestASnapshotNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		var taken atomic.Int64
		tree := start(t, group("g", supervisor.OneForAll, s.child("a", takes(time.Second)), s.child("b", after(time.Millisecond, fails))))
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			for range 1000 {
				began := time.Now()
				tree.Snapshot()
				if time.Since(began) == 0 {
					taken.Add(1)
				}
				<-time.After(10 * time.Millisecond)
			}
		}()
		<-stopped
		require.Equal(t, int64(1000), taken.Load(), "while groups stop, start and wait")
		stop(t, tree)
	})
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	ok := newStage().child("ok")
	broken := func(change func(*supervisor.Child)) []supervisor.Group {
		c := newStage().child("c")
		change(&c)
		return []supervisor.Group{group("g", supervisor.OneForOne, ok, c)}
	}
	groupWithNew := group("inner", supervisor.OneForOne, ok).Child()
	groupWithNew.New = ok.New
	for want, groups := range map[string][]supervisor.Group{
		`root/g: child 2 has no name`:                      broken(func(c *supervisor.Child) { c.Name = "" }),
		`root: child 2 has no name`:                        {group("g", supervisor.OneForOne), group("", supervisor.OneForOne)},
		`root/g/a/b: the name "a/b" contains "/"`:          broken(func(c *supervisor.Child) { c.Name = "a/b" }),
		`root/g: two children are named "ok"`:              broken(func(c *supervisor.Child) { c.Name = "ok" }),
		`root: two children are named "g"`:                 {group("g", supervisor.OneForOne), group("g", supervisor.OneForOne)},
		`root/g/c: New is nil`:                             broken(func(c *supervisor.Child) { c.New = nil }),
		`root/g/inner: a group has no New of its own`:      {group("g", supervisor.OneForOne, groupWithNew)},
		`root/g/c: StopTimeout is negative`:                broken(func(c *supervisor.Child) { c.StopTimeout = -1 }),
		`root/g/c: Restart.Initial is negative`:            broken(func(c *supervisor.Child) { c.Restart.Initial = -1 }),
		`root/g/c: Restart.Max is negative`:                broken(func(c *supervisor.Child) { c.Restart.Max = -1 }),
		`root/g/c: Restart.HealthyAfter is negative`:       broken(func(c *supervisor.Child) { c.Restart.HealthyAfter = -1 }),
		`root/g/c: Restart.Within is negative`:             broken(func(c *supervisor.Child) { c.Restart.Within = -1 }),
		`root/g/c: Restart.Max is below Restart.Initial`:   broken(func(c *supervisor.Child) { c.Restart.Max = 1 }),
		`root/g: Strategy 7 is none of OneForOne`:          {group("g", 7, ok)},
		`root/g: StopTimeout is 9s, but its children stop`: {{Name: "g", StopTimeout: 9 * time.Second, Children: []supervisor.Child{ok}}},
	} {
		t.Run(want, func(t *testing.T) {
			_, err := supervisor.New(supervisor.Config{}, groups...)
			require.ErrorContains(t, err, "supervisor: "+want)
		})
	}

	_, err := supervisor.New(supervisor.Config{Name: "a/b"}, group("g", 8, supervisor.Child{}))
	require.ErrorContains(t, err, `a/b: the name "a/b" contains "/"`)
	require.ErrorContains(t, err, "Strategy 8", "all that is wrong is told at once")
	require.ErrorContains(t, err, "child 1 has no name")
}

func TestStopTimeoutsAddUp(t *testing.T) {
	c := newStage().child("c")
	c.StopTimeout = 2 * time.Second
	tree, err := supervisor.New(supervisor.Config{}, group("g", supervisor.OneForOne, c, newStage().child("d")),
		supervisor.Group{Name: "h", StopTimeout: time.Minute, Children: []supervisor.Child{c}})
	require.NoError(t, err)
	require.Equal(t, 72*time.Second, tree.StopTimeout())
}

func TestNodesAreTheReadersOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		tree := start(t, group("g", supervisor.OneForOne, s.child("c", crashes, runs)))
		pass(time.Second)
		n := at(t, tree, "root/g/c")
		n.RestartedAt[0] = time.Time{}
		require.False(t, at(t, tree, "root/g/c").RestartedAt[0].IsZero())
		stop(t, tree)
	})
}

func TestOnlyTheLastRestartsAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		tree := start(t, group("g", supervisor.OneForOne, with(s.child("c", crashes), supervisor.Restart{Initial: time.Millisecond, Max: time.Millisecond, Intensity: -1})))
		pass(time.Second)
		n := at(t, tree, "root/g/c")
		require.Greater(t, n.Restarts, 400)
		require.Len(t, n.RestartedAt, 64)
		require.IsIncreasing(t, millis(n.RestartedAt, s.began))
		stop(t, tree)
	})
}

func millis(times []time.Time, since time.Time) []int64 {
	var all []int64
	for _, at := range times {
		all = append(all, at.Sub(since).Microseconds())
	}
	return all
}

var _ interface {
	suture.Service
	Snapshot() supervisor.Node
	Restart(context.Context, string) error
} = (*supervisor.Tree)(nil)
