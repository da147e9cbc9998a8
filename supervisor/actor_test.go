package supervisor_test

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/thejerf/suture/v4"

	"github.com/seed-4ff2b7b9/supervised/actors"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

// question is a message that wants an answer; with crash, the actor panics instead.
type question struct {
	reply actors.Reply[int]
	crash bool
}

// answerer counts the questions of its life.
type answerer struct{ count int }

func (*answerer) Start(context.Context, actors.Ref[question]) error { return nil }

func (a *answerer) Handle(_ context.Context, q question) error {
	if q.crash {
		panic("asked for it")
	}
	a.count++
	q.reply.Send(a.count)
	return nil
}

func newAnswerer() *actors.Actor[question] {
	return actors.New(actors.Options{Name: "answerer"}, func() actors.Behavior[question] { return &answerer{} })
}

func ask(ctx context.Context, a *actors.Actor[question], crash bool) error {
	_, err := actors.Ask(ctx, a.Ref(), func(r actors.Reply[int]) question { return question{r, crash} })
	return err
}

func TestAnActorKeepsItsMailboxFromLifeToLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAnswerer()
		tree := start(t, group("g", supervisor.OneForOne, supervisor.Child{Name: "answerer", New: func() suture.Service { return a }}))
		require.NoError(t, ask(t.Context(), a, false))
		require.ErrorIs(t, ask(t.Context(), a, true), actors.ErrCrashed)
		require.NoError(t, ask(t.Context(), a, false), "waits for the next life")
		pass(time.Second)
		n := at(t, tree, "root/g/answerer")
		require.Equal(t, uint64(2), n.Status.Lives)
		require.Equal(t, "panic: asked for it", n.LastError)
		require.Contains(t, n.LastStack, "answerer).Handle")
		require.NoError(t, tree.Restart(t.Context(), "g/answerer"))
		require.NoError(t, ask(t.Context(), a, false), "open again after an ordered stop")
		stop(t, tree)
		require.ErrorIs(t, ask(t.Context(), a, false), actors.ErrStopped)
	})
}

// leaver leaves each life by a Goexit, and its Stop fails.
type leaver struct{}

func (leaver) Start(context.Context, actors.Ref[question]) error { return nil }

func (leaver) Handle(context.Context, question) error {
	runtime.Goexit()
	return nil
}

func (leaver) Stop(context.Context) error { return errBroken }

// An actor lives in the goroutine that suture gave its domain, and a Goexit ends that.
func TestAnActorThatExits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := actors.New(actors.Options{}, func() actors.Behavior[question] { return leaver{} })
		child := supervisor.Child{Name: "leaver", New: func() suture.Service { return a }}
		tree := start(t, group("g", supervisor.OneForOne, child))
		for lives := range uint64(3) {
			err := ask(t.Context(), a, false)
			require.ErrorIs(t, err, actors.ErrCrashed)
			require.ErrorIs(t, err, actors.ErrGoexit)
			pass(time.Second)
			n := at(t, tree, "root/g/leaver")
			require.Equal(t, lives+2, n.Status.Lives)
			require.Equal(t, actors.Waiting, n.Status.State)
			require.Equal(t, fmt.Sprintf("%v\n%v", actors.ErrGoexit, errBroken), n.LastError, "what Stop said is not lost")
			require.Contains(t, n.LastStack, "leaver.Handle")
			require.Contains(t, n.LastStack, "suture")
		}
		stop(t, tree)
	})
}

// starter takes its time to start.
type starter struct{ answerer }

func (*starter) Start(ctx context.Context, _ actors.Ref[question]) error {
	return after(time.Minute, returns(nil))(ctx)
}

func TestAnActorIsReadyWhenItHasStarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		a := actors.New(actors.Options{}, func() actors.Behavior[question] { return &starter{} })
		tree := start(t, group("g", supervisor.OneForOne, supervisor.Child{Name: "starter", New: func() suture.Service { return a }}, s.child("next")))
		require.InDelta(t, time.Minute, s.startsOf("next")[0], float64(20*time.Millisecond))
		restarted := make(chan error, 1)
		go func() { restarted <- tree.Restart(t.Context(), "g/starter") }()
		pass(30 * time.Second)
		require.Equal(t, supervisor.StateStarting, at(t, tree, "root/g/starter").State)
		stop(t, tree)
		require.ErrorIs(t, <-restarted, supervisor.ErrStopped)
	})
}

// Whoever waits for an actor's next life must be told when there will be none, in whatever way the tree ends.
func TestWhoeverWaitsForACrashedActorIsTold(t *testing.T) {
	slow := supervisor.Restart{Initial: time.Hour, Max: time.Hour}
	for name, c := range map[string]struct {
		strategy supervisor.Strategy
		restart  supervisor.Restart
		stop     bool
		state    supervisor.State
	}{
		"stopped in its backoff":                 {supervisor.OneForOne, slow, true, supervisor.StateStopped},
		"stopped while its group waits":          {supervisor.RestForOne, slow, true, supervisor.StateStopped},
		"stopped while its group waits, for all": {supervisor.OneForAll, slow, true, supervisor.StateStopped},
		"given up":                               {supervisor.OneForOne, supervisor.Restart{Never: true}, false, supervisor.StateGaveUp},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage()
				a := newAnswerer()
				child := with(supervisor.Child{Name: "answerer", New: func() suture.Service { return a }}, c.restart)
				tree := start(t, group("g", c.strategy, s.child("before"), child, s.child("after")))
				require.ErrorIs(t, ask(t.Context(), a, true), actors.ErrCrashed)
				asked := make(chan error, 1)
				go func() { asked <- ask(context.Background(), a, false) }()
				pass(time.Minute)
				if c.stop {
					require.Equal(t, supervisor.StateBackoff, at(t, tree, "root/g/answerer").State)
					stop(t, tree)
				}
				<-tree.Done()
				require.ErrorIs(t, <-asked, actors.ErrStopped)
				n := at(t, tree, "root/g/answerer")
				require.Equal(t, c.state, n.State)
				require.Equal(t, actors.Stopped, n.Status.State)
				require.Equal(t, uint64(1), n.Status.Lives, "and no life was begun for that")
			})
		})
	}
}

// lingerer looks like an actor, and does not take leave well.
type lingerer struct {
	act    act
	leave  act
	served *atomic.Int32
}

func (lingerer) Inspect() actors.Status { return actors.Status{State: actors.Waiting} }

func (l lingerer) Serve(ctx context.Context) error {
	if l.served.Add(1) > 1 {
		return l.leave(ctx)
	}
	return l.act(ctx)
}

func TestTakingLeaveIsContainedAndBounded(t *testing.T) {
	slow := supervisor.Restart{Initial: time.Hour, Max: time.Hour}
	for name, c := range map[string]struct {
		strategy supervisor.Strategy
		restart  supervisor.Restart
		leave    act
		want     []string // what is told after the crash
	}{
		"fine, and only once": {supervisor.OneForOne, slow, runs, []string{
			"root/g/c restart scheduled", "root/g/c stopped", "root/g stopped", "root stopped",
		}},
		"panics": {supervisor.OneForAll, slow, panics, []string{
			"root/g/c restart scheduled", "root/g/c stopped: panic: kaboom", "root/g stopped", "root stopped",
		}},
		"panics, after giving up": {supervisor.OneForOne, supervisor.Restart{Never: true}, panics, []string{
			"root/g/c stopped: panic: kaboom", "root/g/c gave up: supervisor: gave up on root/g/c after 0 restarts: broken",
		}},
		"hangs": {supervisor.OneForAll, slow, nil, []string{
			"root/g/c restart scheduled", "root/g/c did not stop in time", "root/g stopped",
			"root stopped: supervisor: did not stop in time: root/g/c",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var served atomic.Int32
				leave := c.leave
				if leave == nil {
					leave = held(t)
				}
				child := supervisor.Child{Name: "c", Restart: c.restart, New: func() suture.Service {
					return lingerer{crashes, leave, &served}
				}}
				tree := start(t, group("g", c.strategy, child))
				events := tree.Events(t.Context())
				pass(time.Minute)
				_ = tree.Stop(t.Context())
				require.Equal(t, int32(2), served.Load())
				var lines []string
				for e := range events {
					line := fmt.Sprint(e.Path, " ", e.Kind)
					if e.Err != nil {
						line += ": " + e.Err.Error()
					}
					lines = append(lines, line)
				}
				require.Equal(t, append([]string{"root/g/c crashed: broken"}, c.want...), lines)
			})
		})
	}
}
