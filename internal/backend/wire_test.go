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
