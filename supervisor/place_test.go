package supervisor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A life may start, become ready or fail in the very instant in which it is stopped, on a goroutine of its own.
func TestWhatIsBeingStoppedDoesNotLookAlive(t *testing.T) {
	p := &place{journal: &journal{}}
	p.started()
	p.board.enter(StateStopping)
	p.started()
	p.running()
	p.failed(ErrReturned)
	p.backoff(time.Second, time.Now().Add(time.Second))
	f := p.board.read()
	require.Equal(t, StateStopping, f.state)
	require.Zero(t, f.nextRestart)
	require.Equal(t, ErrReturned.Error(), f.lastError, "what happened is kept all the same")
	p.board.enter(StateStuck)
	require.Equal(t, StateStuck, p.board.read().state)
	p.board.enter(StateStopping)
	p.board.enter(StateStopped)
	require.Equal(t, StateStopped, p.board.read().state)
}
