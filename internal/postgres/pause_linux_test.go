package postgres

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPause(t *testing.T) {
	s := start(t, quick(t))
	conn := connect(t, s)
	require.NoError(t, s.Pause())
	answered := make(chan error, 1)
	go func() {
		_, err := conn.Exec(t.Context(), "select 1")
		answered <- err
	}()
	select {
	case err := <-answered:
		require.FailNow(t, "a paused server answered", "%v", err)
	case <-time.After(100 * time.Millisecond):
	}
	require.NoError(t, s.Unpause())
	require.NoError(t, <-answered)
	connect(t, s)

	require.NoError(t, s.Kill())
	require.ErrorIs(t, s.Pause(), ErrNotRunning)
	require.ErrorIs(t, s.Unpause(), ErrNotRunning)
}
