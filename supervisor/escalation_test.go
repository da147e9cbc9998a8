package supervisor_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/thejerf/suture/v4"

	"github.com/seed-4ff2b7b9/supervised/actors"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

// quick allows two restarts within ten seconds.
var quick = supervisor.Restart{Initial: 100 * time.Millisecond, Max: 100 * time.Millisecond, Intensity: 2, Within: 10 * time.Second}

func TestEscalationRestartsTheGroupOnceAsAWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		b := with(s.child("b", crashes, crashes, crashes, runs), quick)
		tree := start(t, group("g", supervisor.OneForOne, s.child("a"), b, s.child("c")), group("other", supervisor.OneForOne, s.child("d")))
		require.Equal(t, []string{
			"start a", "start b", "start c", "start d", "end b", "start b", "end b", "start b", "end b",
			"end c", "end a", "start a", "start b", "start c",
		}, settled(s, time.Minute))
		require.Equal(t, supervisor.StateRunning, at(t, tree, "root/g").State)
		require.Equal(t, 1, at(t, tree, "root/g/a").Restarts)
		require.Equal(t, 0, at(t, tree, "root/other/d").Restarts, "another group knows nothing of it")
		stop(t, tree)
	})
}

// settled lets time pass and takes what was written down until then.
func settled(s *stage, d time.Duration) []string {
	pass(d)
	return s.take()
}

func TestAnEscalationIsVisibleUntilTheGroupIsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		a, b := s.child("a", takes(time.Second)), with(s.child("b", crashes, crashes, crashes, runs), quick)
		lives := 0
		c := s.child("c")
		c.Ready = func(ctx context.Context) error {
			if lives++; lives > 1 {
				return after(5*time.Second, returns(nil))(ctx)
			}
			return nil
		}
		tree := start(t, group("g", supervisor.OneForOne, a, b, c))
		var seen []string
		for range 80 {
			pass(100 * time.Millisecond)
			if now := at(t, tree, "root/g").State.String(); len(seen) == 0 || seen[len(seen)-1] != now {
				seen = append(seen, now)
			}
		}
		require.Equal(t, []string{"running", "escalating", "running"}, seen)
		require.WithinDuration(t, s.began.Add(200*time.Millisecond+6*time.Second), at(t, tree, "root/g").Since, 50*time.Millisecond)
		stop(t, tree)
	})
}

func TestAnEscalationIsNotOverBecauseAMemberFailsInIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		slow := supervisor.Restart{Initial: time.Minute, Max: time.Minute}
		a := with(s.child("a", runs, crashes, runs), slow)
		b := with(s.child("b", after(time.Second, fails), after(time.Second, fails), runs), supervisor.Restart{Initial: 100 * time.Millisecond, Intensity: 1})
		b.Ready = after(10*time.Millisecond, returns(nil))
		tree := start(t, group("g", supervisor.RestForOne, s.child("first"), a, b))
		pass(15 * time.Second) // b fails twice, and in the restart of the whole a fails
		require.Equal(t, supervisor.StateBackoff, at(t, tree, "root/g/a").State)
		require.Equal(t, supervisor.StateEscalating, at(t, tree, "root/g").State)
		pass(time.Minute)
		require.Equal(t, supervisor.StateRunning, at(t, tree, "root/g").State)
		stop(t, tree)
	})
}

func TestATreeGivesUpWhenEscalationDidNotHelp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		b := with(s.child("b", after(time.Millisecond, panics)), quick)
		tree := start(t, group("g", supervisor.OneForOne, s.child("a"), b), group("other", supervisor.OneForOne, s.child("d")))
		lines := told(tree)
		<-tree.Done()

		var gaveUp *supervisor.GaveUpError
		require.ErrorAs(t, tree.Err(), &gaveUp)
		require.Equal(t, "root/g/b", gaveUp.Who)
		require.Equal(t, 5, gaveUp.Restarts, "two, one with the group, two")
		var cause *actors.PanicError
		require.ErrorAs(t, gaveUp, &cause)
		require.Equal(t, "kaboom", cause.Value)
		require.EqualError(t, tree.Err(), "supervisor: gave up on root/g/b after 5 restarts: panic: kaboom")
		require.Less(t, time.Since(s.began), time.Second)

		require.Equal(t, supervisor.StateGaveUp, tree.Snapshot().State)
		require.Equal(t, supervisor.StateGaveUp, at(t, tree, "root/g").State)
		require.Equal(t, supervisor.StateGaveUp, at(t, tree, "root/g/b").State)
		require.Equal(t, supervisor.StateStopped, at(t, tree, "root/g/a").State)
		require.Equal(t, supervisor.StateStopped, at(t, tree, "root/other/d").State)
		all := lines()
		require.Equal(t, "root/g/b gave up", all[len(all)-1])
		require.Equal(t, 1, count(all, "root/g/b escalated"))
		require.Zero(t, count(all, "root/g crashed"), "a group that ends for a member has not crashed")
		require.NoError(t, tree.Stop(t.Context()), "it has stopped already")
	})
}

func count(lines []string, line string) int {
	n := 0
	for _, l := range lines {
		if l == line {
			n++
		}
	}
	return n
}

func TestAnEscalationLongAfterTheLastOneRestartsTheGroupAgain(t *testing.T) {
	storm := []act{crashes, crashes, crashes}
	for name, c := range map[string]struct {
		quiet    time.Duration
		escalate bool
	}{
		"within the window: gives up":    {9 * time.Second, false},
		"after the window: once more":    {10*time.Second + time.Millisecond, true},
		"long after: once more, as ever": {time.Hour, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage()
				acts := append(append(append([]act{}, storm...), after(c.quiet, fails)), storm[:2]...)
				tree := start(t, group("g", supervisor.OneForOne, with(s.child("c", append(acts, runs)...), quick)))
				pass(2 * time.Hour)
				if c.escalate {
					require.NoError(t, tree.Err())
					require.Equal(t, 6, at(t, tree, "root/g/c").Restarts)
				} else {
					require.Error(t, tree.Err())
				}
				stop(t, tree)
			})
		})
	}
}

// A child whose lives last a while needs most of the window for its restarts, so its escalations are further apart than
// the window is long. It must not escape by that.
func TestASlowlyFailingChildEndsTheTreeToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		tree := start(t, group("g", supervisor.OneForOne, with(s.child("c", after(4500*time.Millisecond, fails)), quick)))
		pass(time.Minute)
		require.Error(t, tree.Err())
		require.Less(t, len(s.startsOf("c")), 8)
	})
}

func TestTheGroupGivesUpIfItDoesNotComeBackFromEscalation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		b := with(s.child("b", crashes), quick)
		b.Ready = runs // never ready: the group is not whole between the escalations
		tree, err := supervisor.New(supervisor.Config{}, group("g", supervisor.OneForOne, s.child("a"), b))
		require.NoError(t, err)
		require.ErrorContains(t, tree.Start(t.Context()), "gave up on root/g/b after 5 restarts: broken")
	})
}

func TestTheDefaultPolicyEndsATreeThatCannotWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		tree := start(t, group("g", supervisor.OneForOne, s.child("c", crashes)))
		<-tree.Done()
		require.Error(t, tree.Err())
		require.Len(t, s.startsOf("c"), 22)
		require.Greater(t, time.Since(s.began), 30*time.Second)
		require.Less(t, time.Since(s.began), 41*time.Second)
	})
}

func TestNeverMakesAFailureTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		c := with(s.child("c", after(time.Second, fails)), supervisor.Restart{Never: true})
		tree := start(t, group("outer", supervisor.OneForOne, s.child("a"), group("inner", supervisor.OneForAll, s.child("b"), c).Child()))
		require.NoError(t, tree.Err(), "not ended yet")
		<-tree.Done()
		require.EqualError(t, tree.Err(), "supervisor: gave up on root/outer/inner/c after 0 restarts: broken")
		require.ErrorIs(t, tree.Err(), errBroken)
		require.Equal(t, []string{"start a", "start b", "start c", "end c", "end b", "end a"}, s.take())
	})
}

func TestANestedGroupWithAPolicyOfItsOwnIsRestartedByTheGroupAround(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		c := with(s.child("c", after(time.Second, fails), after(time.Second, fails), runs), supervisor.Restart{Never: true})
		inner := with(group("inner", supervisor.OneForOne, s.child("b"), c).Child(), supervisor.Restart{Initial: time.Second})
		ownReady := 0
		inner.Ready = func(context.Context) error { ownReady++; return nil }
		tree := start(t, group("outer", supervisor.OneForOne, s.child("a"), inner, s.child("z")))
		require.Equal(t, []string{
			"start a", "start b", "start c", "start z",
			"end c", "end b", "start b", "start c", "end c", "end b", "start b", "start c",
		}, settled(s, time.Minute))
		n := at(t, tree, "root/outer/inner")
		require.Equal(t, supervisor.StateRunning, n.State)
		require.Equal(t, 2, n.Restarts)
		require.Contains(t, n.LastError, "gave up on root/outer/inner/c")
		require.Equal(t, 3, ownReady, "a group's own Ready is asked in each of its lives")
		stop(t, tree)
	})
}

func TestATreeInATree(t *testing.T) {
	mount := func(s *stage, r supervisor.Restart) supervisor.Child {
		return supervisor.Child{Name: "mounted", Restart: r, New: func() suture.Service {
			inner, err := supervisor.New(supervisor.Config{Name: "inner"},
				group("g", supervisor.OneForOne, s.child("b"), with(s.child("c", after(time.Second, fails)), supervisor.Restart{Never: true})))
			if err != nil {
				panic(err)
			}
			return inner
		}}
	}

	t.Run("that gives up ends its parent, if it may not be restarted", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newStage()
			tree := start(t, group("o", supervisor.OneForOne, s.child("a"), mount(s, supervisor.Restart{Never: true})))
			<-tree.Done()
			require.EqualError(t, tree.Err(), "supervisor: gave up on root/o/mounted after 0 restarts: "+
				"supervisor: gave up on inner/g/c after 0 restarts: broken")
			require.ErrorIs(t, tree.Err(), errBroken)
			require.Equal(t, "end a", last(s.take()))
		})
	})

	t.Run("that gives up is restarted, if the policy says so", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newStage()
			tree := start(t, group("o", supervisor.OneForOne, mount(s, supervisor.Restart{Initial: time.Second, Max: time.Second, Intensity: -1})))
			pass(19 * time.Second)
			require.Greater(t, len(s.startsOf("c")), 9)
			stop(t, tree)
		})
	})
}

func last(lines []string) string { return lines[len(lines)-1] }

func TestATreeThatGivesUpEndsAPlainSutureSupervisor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		tree, err := supervisor.New(supervisor.Config{}, group("g", supervisor.OneForOne, with(s.child("c", after(time.Second, fails)), supervisor.Restart{Never: true})))
		require.NoError(t, err)
		plain := suture.New("plain", suture.Spec{EventHook: func(suture.Event) {}})
		plain.Add(tree)
		require.ErrorIs(t, plain.Serve(t.Context()), errBroken)
		require.Len(t, s.startsOf("c"), 1)
		require.Equal(t, "root", fmt.Sprint(tree))
	})
}
