package chaos

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/judge"
	"github.com/seed-4ff2b7b9/supervised/test/chaos/container"
)

// docker kill, through a published port: Docker's proxy accepts for the dead server, so that dials succeed and hang.
// First success within 600 ms of the server accepting again (the median of five, plus how late the machine was).
func TestKillsOfAContainer(t *testing.T) {
	server := container.Own(t, container.Options{})
	w := begin(t, server.DSN(), 32)
	var (
		faults      []judge.Fault
		waits, late []time.Duration
	)
	for range 5 {
		w.untilBusy(t)
		var took time.Duration
		late = append(late, lateness(func() {
			f := judge.Fault{At: time.Now()}
			require.NoError(t, server.Kill(t.Context()))
			f.DeadBy = time.Now()
			faults = append(faults, f)
			wait(time.Second)
			require.NoError(t, server.Start(t.Context()))
			first := w.succeededAfter(t, f.DeadBy.Add(500*time.Millisecond))
			accepted, err := server.ReadyAt(t.Context())
			require.NoError(t, err)
			took = first.Sub(accepted)
		}))
		waits = append(waits, took)
	}
	w.judged(t, faults)
	t.Logf("first success after the server accepted: %v; the machine was late by %v", waits, late)
	require.LessOrEqual(t, median(waits), 600*time.Millisecond+median(late))
}

func TestARestartOfAContainer(t *testing.T) {
	server := container.Own(t, container.Options{})
	w := begin(t, server.DSN(), 32)
	f := judge.Fault{At: time.Now()}
	require.NoError(t, server.Restart(t.Context()))
	f.DeadBy = time.Now()
	w.succeededAfter(t, f.DeadBy)
	w.judged(t, []judge.Fault{f})
}

// A pause that is shorter than the deadline fails nothing, the statements in flight included.
func TestAPauseOfAContainer(t *testing.T) {
	server := container.Own(t, container.Options{})
	w := begin(t, server.DSN(), 32)
	at := time.Now()
	require.NoError(t, server.Pause(t.Context()))
	wait(3 * time.Second)
	require.NoError(t, server.Unpause(t.Context()))
	over := time.Now()
	w.succeededAfter(t, over)
	v := w.judged(t, nil)
	require.Zero(t, v.Failed)
	require.Greater(t, v.Longest, over.Sub(at)-time.Second, "somebody waited the pause out")
}
