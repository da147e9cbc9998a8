package chaos

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/test/chaos/container"
)

// docker kill, through a published port: Docker's proxy accepts for the dead server, so that dials succeed and hang.
// First success within 600 ms of the server accepting again: the median of five, plus how long after the server's own
// word a bare log-in came through that began with that word. Where the network of a container comes up after its proxy,
// the kernel asks for its address once a second, and nobody gets through in between.
func TestKillsOfAContainer(t *testing.T) {
	server := container.Own(t, container.Options{})
	w := begin(t, server.DSN(), 32)
	var waits, bare []time.Duration
	for range 5 {
		w.untilBusy(t)
		f := w.strikeUnseen(t, func() error { return server.Kill(t.Context()) })
		wait(time.Second)
		require.NoError(t, server.Start(t.Context()))
		loggedIn, err := server.WaitAccepting(t.Context())
		require.NoError(t, err)
		first := w.firstSuccess(t, onServerAfter(f))
		accepted, err := server.ReadyAt(t.Context())
		require.NoError(t, err)
		waits = append(waits, first.Sub(accepted))
		bare = append(bare, loggedIn.Sub(accepted))
	}
	w.judged(t)
	t.Logf("first success after the server accepted: %v; of a bare log-in: %v", waits, bare)
	require.LessOrEqual(t, median(waits), 600*time.Millisecond+median(bare))
}

func TestARestartOfAContainer(t *testing.T) {
	server := container.Own(t, container.Options{})
	w := begin(t, server.DSN(), 32)
	f := w.strikeUnseen(t, func() error { return server.Restart(t.Context()) })
	w.firstSuccess(t, onServerAfter(f))
	w.judged(t)
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
	w.firstSuccess(t, grantedAfter(over))
	seen := w.judged(t)
	require.Zero(t, seen.failed)
	require.Greater(t, seen.longest, over.Sub(at)-time.Second, "somebody waited the pause out")
}
