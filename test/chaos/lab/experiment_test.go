package lab

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
)

// A peer that waits for its last lease for ever has not left nothing.
func TestWhatAPoolLeavesIsCountedAlsoIfItDoesNotClose(t *testing.T) {
	setup := Setup{DSN: pgtest.Server(t).DSN(), Callers: -1, Closing: 10 * time.Millisecond, Tuning: Tuning{Size: 2}}
	x, err := Begin(t.Context(), Pgxpool, setup)
	require.NoError(t, err)
	held, back, over := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		over <- x.pool.Do(context.Background(), func(context.Context, Session, *pgconn.PgConn) error {
			close(held)
			<-back
			return nil
		})
	}()
	<-held
	r := x.Finish(t.Context())
	close(back)
	require.NoError(t, <-over)
	require.Equal(t, 1, r.LeasesLeft)
	require.Equal(t, 1, r.SocketsLeft)
	require.Equal(t, 1, r.Backends)
	require.Equal(t, 1, r.BackendsLeft)
	require.Positive(t, r.GoroutinesLeft)
	require.Len(t, r.Notes, 1)
	require.Contains(t, r.Notes[0], "did not close within")
	require.True(t, until(t.Context(), eventually, func() bool { return x.meter.now.Load() == 0 }), "it closes in the end")
}
