package actors_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/thejerf/suture/v4"

	"github.com/seed-4ff2b7b9/supervised/actors"
)

// TestUnderSuture: a plain suture supervisor restarts a crashed actor, its mailbox survives also suture's long pause,
// the panic never reaches suture, and a stop of the supervisor stops it for good.
func TestUnderSuture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const crashes = 7 // suture pauses after the sixth
		a := handling(actors.Options{Name: "worker"}, func(_ context.Context, q question) error {
			if q.n < crashes {
				panic("try the next life")
			}
			q.reply.Send(q.n)
			return nil
		})
		var mu sync.Mutex
		var events []suture.Event
		root := suture.New("root", suture.Spec{EventHook: func(e suture.Event) {
			mu.Lock()
			defer mu.Unlock()
			events = append(events, e)
		}})
		root.Add(a)
		for n := range crashes {
			require.NoError(t, a.Ref().TryTell(question{n: n}))
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := root.ServeBackground(ctx)
		began := time.Now()
		got, err := ask(t.Context(), a.Ref(), 42)
		require.NoError(t, err)
		require.Equal(t, 42, got)
		require.Greater(t, time.Since(began), 10*time.Second, "the question waited through the pause")
		require.EqualValues(t, crashes, a.Inspect().Crashes)
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
		_, err = ask(t.Context(), a.Ref(), 43)
		require.ErrorIs(t, err, actors.ErrStopped)

		mu.Lock()
		defer mu.Unlock()
		terminated := 0
		for _, event := range events {
			if e, ok := event.(suture.EventServiceTerminate); ok {
				terminated++
				require.Equal(t, "worker", e.ServiceName)
				require.ErrorContains(t, e.Err.(error), "try the next life")
			}
			_, panicked := event.(suture.EventServicePanic)
			require.False(t, panicked)
		}
		require.Equal(t, crashes, terminated)
	})
}

// TestSutureRemovesWhatIsDone: an actor that is done is not restarted, and says so to those who ask.
func TestSutureRemovesWhatIsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := handling(actors.Options{}, func(context.Context, question) error { return suture.ErrDoNotRestart })
		root := suture.NewSimple("root")
		root.Add(a)
		ctx, cancel := context.WithCancel(t.Context())
		ended := root.ServeBackground(ctx)
		require.NoError(t, a.Ref().TryTell(question{}))
		synctest.Wait()
		_, err := ask(t.Context(), a.Ref(), 1)
		require.ErrorIs(t, err, actors.ErrStopped)
		require.EqualValues(t, 1, a.Inspect().Lives)
		cancel()
		<-ended
	})
}
