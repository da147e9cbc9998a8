package supervisor_test

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"github.com/thejerf/suture/v4"

	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

func TestEventsTellTheStoryOfATree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		c := with(s.child("c", after(time.Second, fails), after(time.Second, panics), runs), supervisor.Restart{Initial: 100 * time.Millisecond, HealthyAfter: 10 * time.Second})
		d := s.child("d", after(30*time.Second, returns(suture.ErrDoNotRestart)))
		tree, err := supervisor.New(supervisor.Config{}, group("g", supervisor.OneForOne, c, d))
		require.NoError(t, err)
		events := tree.Events(t.Context())
		require.NoError(t, tree.Start(t.Context()))
		pass(time.Minute)
		stop(t, tree)

		var story []string
		var crashes []supervisor.Event
		for e := range events {
			story = append(story, e.Path+" "+e.Kind.String())
			require.False(t, e.At.IsZero())
			switch e.Kind {
			case supervisor.EventCrashed:
				crashes = append(crashes, e)
			case supervisor.EventRestartScheduled:
				require.LessOrEqual(t, e.Delay, 100*time.Millisecond<<e.Restarts)
				require.GreaterOrEqual(t, e.Delay, 80*time.Millisecond<<e.Restarts)
			default:
				require.NoError(t, e.Err)
				require.Zero(t, e.Delay)
			}
		}
		require.Equal(t, []string{
			"root started", "root/g started", "root/g/c started", "root/g/c ready", "root/g/d started", "root/g/d ready", "root/g ready", "root ready",
			"root/g/c crashed", "root/g/c restart scheduled", "root/g/c started", "root/g/c ready",
			"root/g/c crashed", "root/g/c restart scheduled", "root/g/c started", "root/g/c ready", "root/g/c healthy again",
			"root/g/d finished",
			"root/g/d stopped", "root/g/c stopped", "root/g stopped", "root stopped",
		}, story)
		require.ErrorIs(t, crashes[0].Err, errBroken)
		require.Empty(t, crashes[0].Stack)
		require.Equal(t, 0, crashes[0].Restarts)
		require.Contains(t, crashes[1].Stack, "supervisor_test.panics")
		require.Equal(t, 1, crashes[1].Restarts)
	})
}

func TestTheLogTellsWhatAPersonMustKnow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		var out bytes.Buffer
		log := zerolog.New(zerolog.SyncWriter(&out))
		c := with(s.child("c", crashes, after(time.Millisecond, panics), crashes, crashes, crashes), supervisor.Restart{Initial: time.Second, Intensity: 1})
		tree, err := supervisor.New(supervisor.Config{Logger: &log}, group("g", supervisor.OneForOne, c))
		require.NoError(t, err)
		require.NoError(t, tree.Start(t.Context()))
		<-tree.Done()

		type line struct {
			Level, Event, Actor, Message, Cause, Stack string
			Wait                                       float64
			Restarts                                   int
		}
		var lines []line
		for decoder := json.NewDecoder(&out); decoder.More(); {
			var l line
			require.NoError(t, decoder.Decode(&l))
			if l.Actor == "root/g/c" && l.Message != "started" && l.Message != "ready" {
				lines = append(lines, l)
			}
		}
		require.Len(t, lines, 8)
		require.Equal(t, line{Level: "warn", Event: "crashed", Actor: "root/g/c", Message: "crashed", Cause: "broken"}, lines[0])
		require.Equal(t, "info restart_scheduled restart scheduled", lines[1].Level+" "+lines[1].Event+" "+lines[1].Message)
		require.InDelta(t, 900, lines[1].Wait, 101, "milliseconds")
		require.Equal(t, "error crashed panic: kaboom", lines[2].Level+" "+lines[2].Message+" "+lines[2].Cause)
		require.Contains(t, lines[2].Stack, "goroutine")
		require.Equal(t, "error escalated", lines[3].Level+" "+lines[3].Message)
		require.Equal(t, "warn crashed", lines[4].Level+" "+lines[4].Message)
		require.Equal(t, "info restart scheduled", lines[5].Level+" "+lines[5].Message)
		require.Equal(t, "warn crashed", lines[6].Level+" "+lines[6].Message)
		require.Equal(t, line{
			Level: "error", Event: "gave_up", Actor: "root/g/c", Message: "gave up", Restarts: 3,
			Cause: "supervisor: gave up on root/g/c after 3 restarts: broken",
		}, lines[7])
	})
}

func TestASlowSubscriberLosesEventsAndHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage()
		tree := start(t, group("g", supervisor.OneForOne, with(s.child("c", crashes), supervisor.Restart{Initial: time.Millisecond, Max: time.Millisecond, Intensity: -1})))
		slow := tree.Events(context.Background())
		ctx, cancel := context.WithCancel(t.Context())
		leaves := tree.Events(ctx)
		cancel()
		pass(time.Second)
		require.Greater(t, len(s.startsOf("c")), 400)
		require.Greater(t, tree.LostEvents(), uint64(1000))
		stop(t, tree)
		kept := 0
		for range slow {
			kept++
		}
		require.Equal(t, 256, kept)
		for range leaves {
			require.Fail(t, "nothing was published before its context ended")
		}
		_, open := <-tree.Events(t.Context())
		require.False(t, open, "nothing more happens in a tree that has ended")
	})
}

func TestWordsForEverything(t *testing.T) {
	texts := func(values ...interface {
		String() string
		MarshalText() ([]byte, error)
	},
	) []string {
		var all []string
		for _, v := range values {
			text, err := v.MarshalText()
			require.NoError(t, err)
			require.Equal(t, v.String(), string(text))
			all = append(all, v.String())
		}
		return all
	}
	require.Equal(t, []string{"started", "gave up", "unknown event", "unknown event"},
		texts(supervisor.EventStarted, supervisor.EventGaveUp, supervisor.EventKind(-1), supervisor.EventKind(99)))
	require.Equal(t, []string{"pending", "stuck", "unknown", "unknown"},
		texts(supervisor.StatePending, supervisor.StateStuck, supervisor.State(-1), supervisor.State(99)))
	require.Equal(t, []string{"service", "group", "tree", "unknown"},
		texts(supervisor.KindService, supervisor.KindGroup, supervisor.KindTree, supervisor.Kind(9)))
	require.Equal(t, "unknown strategy", supervisor.Strategy(9).String())
}
