package backend

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// A batch that pgx writes past its frontend ends with its context as every statement does.
func TestABatchPastTheFrontendIsCancelled(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		c := open(t, realConfig(t, encrypted), Options{CancelBound: 2 * time.Second})
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		var b pgconn.Batch
		b.ExecParams("select pg_sleep(60)", nil, nil, nil, nil)
		require.ErrorContains(t, c.PGX().PgConn().ExecBatch(ctx, &b).Close(), "57014")
		require.NoError(t, c.WaitCancel(t.Context()))
		require.True(t, c.Fit())
	}
}

func TestTheWireShowsItsSocket(t *testing.T) {
	c := open(t, realConfig(t, false), Options{})
	require.IsType(t, (*net.TCPConn)(nil), c.PGX().PgConn().Conn().(interface{ NetConn() net.Conn }).NetConn())
}

// What may be repeated is told by what was written: a batch past the frontend counts, the end of TLS does not.
func TestWhatGoesPastTheFrontendWasSent(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		c := open(t, realConfig(t, encrypted), Options{})
		c.ClearSent()
		var b pgconn.Batch
		b.ExecParams("select 1", nil, nil, nil, nil)
		require.NoError(t, c.PGX().PgConn().ExecBatch(t.Context(), &b).Close())
		require.True(t, c.Sent(), "encrypted: %v", encrypted)
		c.ClearSent()
		c.ClearChanges()
		require.NoError(t, c.PGX().Close(t.Context()))
		require.False(t, c.Sent(), "encrypted: %v", encrypted)
		require.Zero(t, c.Changes())
	}
}
