package actors_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/actors"
)

// TestInspect follows an actor through all its states, by the clock; a hanging handler hides nothing.
func TestInspect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := make(chan struct{})
		a := actors.New(actors.Options{Name: "seen", Mailbox: 8}, played(role[int]{
			start: func(context.Context, actors.Ref[int]) error { <-next; return nil },
			handle: func(_ context.Context, n int) error {
				<-next
				if n == 2 {
					return errors.New("two is too much")
				}
				return nil
			},
			stop: func(context.Context) error { <-next; return nil },
		}))
		began := time.Now()
		require.Equal(t, actors.Status{Name: "seen", State: actors.Down, Since: began, Capacity: 8}, a.Inspect())

		at := func(s actors.State, change func(*actors.Status)) {
			t.Helper()
			time.Sleep(time.Minute) // of fake time: everybody who can go on has
			want := actors.Status{Name: "seen", State: s, Since: time.Now().Add(-time.Minute), Lives: 1, Capacity: 8}
			change(&want)
			require.Equal(t, want, a.Inspect())
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- a.Serve(ctx) }()
		at(actors.Starting, func(*actors.Status) {})
		next <- struct{}{}
		at(actors.Waiting, func(*actors.Status) {})
		for n := range 3 {
			require.NoError(t, a.Ref().TryTell(n+1))
		}
		at(actors.Handling, func(s *actors.Status) { s.Mailbox = 2 })
		next <- struct{}{}
		at(actors.Handling, func(s *actors.Status) { s.Mailbox, s.Handled = 1, 1 })
		next <- struct{}{}
		at(actors.Stopping, func(s *actors.Status) { s.Mailbox, s.Handled = 1, 2 })
		next <- struct{}{}
		require.ErrorContains(t, <-ended, "two is too much")
		crashed := func(s *actors.Status) {
			s.Mailbox, s.Handled, s.Crashes = 1, 2, 1
			s.LastErr, s.LastErrAt = "two is too much", began.Add(5*time.Minute)
		}
		at(actors.Down, crashed)

		go func() { ended <- a.Serve(ctx) }()
		next <- struct{}{}
		next <- struct{}{}
		synctest.Wait()
		cancel()
		next <- struct{}{}
		require.ErrorIs(t, <-ended, context.Canceled)
		at(actors.Stopped, func(s *actors.Status) { crashed(s); s.Lives, s.Mailbox, s.Handled = 2, 0, 3 })
	})
}

// TestInspectABusyActor: it is not asked for the time with each message, and yet a hang is seen as old as it is, to 10 ms.
func TestInspectABusyActor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		a := handling(actors.Options{Mailbox: 1000}, func(_ context.Context, n int) error {
			if n == 500 {
				<-hang
			}
			return nil
		})
		perform(t, a)
		for n := range 600 {
			require.NoError(t, a.Ref().TryTell(n))
		}
		synctest.Wait()
		began := time.Now()
		const tolerance = 10 * time.Millisecond
		require.Equal(t, actors.Handling, a.Inspect().State)
		require.WithinDuration(t, began, a.Inspect().Since, tolerance)
		time.Sleep(time.Hour)
		require.WithinDuration(t, began, a.Inspect().Since, tolerance)
		require.EqualValues(t, 500, a.Inspect().Handled)

		hang <- struct{}{}
		synctest.Wait()
		began = time.Now()
		time.Sleep(time.Hour)
		require.Equal(t, actors.Waiting, a.Inspect().State)
		require.WithinDuration(t, began, a.Inspect().Since, tolerance)
		// It has calmed down, so it is exact again.
		require.NoError(t, a.Ref().TryTell(500))
		synctest.Wait()
		began = time.Now()
		time.Sleep(time.Hour)
		require.Equal(t, began, a.Inspect().Since)
		close(hang)
	})
}

// TestBusyForLong keeps being sampled.
func TestBusyForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := handling(actors.Options{}, func(context.Context, int) error { return nil })
		perform(t, a)
		for range 50 {
			for n := range 60 {
				require.NoError(t, a.Ref().TryTell(n))
			}
			synctest.Wait()
			status := a.Inspect()
			require.Equal(t, actors.Waiting, status.State)
			require.WithinDuration(t, time.Now(), status.Since, 10*time.Millisecond)
			time.Sleep(5 * time.Millisecond)
		}
		require.EqualValues(t, 50*60, a.Inspect().Handled)
	})
}

// TestNames: given, or the behavior's own, or the message type's.
func TestNames(t *testing.T) {
	named := func() actors.Behavior[int] {
		return namedRole{name: func() string { return "by itself" }}
	}
	require.Equal(t, "given", actors.New(actors.Options{Name: "given"}, named).String())
	a := actors.New(actors.Options{}, named)
	require.Equal(t, "actor of int", a.String())
	perform(t, a)
	require.NoError(t, a.Ref().Tell(t.Context(), 1))
	require.Eventually(t, func() bool { return a.String() == "by itself" }, 5*time.Second, time.Millisecond)
	require.Equal(t, "by itself", a.Inspect().Name)
}

func TestStateNames(t *testing.T) {
	text, err := json.Marshal(actors.Status{State: actors.Handling, Name: "n"})
	require.NoError(t, err)
	require.Contains(t, string(text), `"state":"handling"`)
	require.NotContains(t, string(text), "last_err")
	for state, name := range map[actors.State]string{
		actors.Down: "down", actors.Starting: "starting", actors.Waiting: "waiting",
		actors.Stopping: "stopping", actors.Stopped: "stopped", 77: "unknown",
	} {
		require.Equal(t, name, fmt.Sprint(state))
	}
}
