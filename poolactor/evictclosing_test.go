package poolactor

import (
	"context"
	"net"
	"testing"
	"testing/synctest"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

// slowToClose are sockets whose Close waits for a channel.
func slowToClose(dial pgconn.DialFunc, closes <-chan struct{}) pgconn.DialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		return &slowConn{conn, closes}, err
	}
}

type slowConn struct {
	net.Conn
	closes <-chan struct{}
}

func (c *slowConn) NetConn() net.Conn { return c.Conn }

func (c *slowConn) Close() error {
	<-c.closes
	return c.Conn.Close()
}

// After Suspend and Evict no client is left at the server, not even one that was leaving already.
func TestEvictWaitsForWhatIsBeingClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := fakepg.New()
		defer server.Close()
		cfg, closes := fakeConfig(server), make(chan struct{})
		cfg.DialFunc = slowToClose(server.Dial, closes)
		p, err := Open(t.Context(), cfg)
		require.NoError(t, err)
		acquired(t, p).Discard()
		synctest.Wait()
		require.Equal(t, 1, p.Stat().Closing)
		require.NoError(t, p.Suspend(t.Context()))
		evicted := make(chan error, 1)
		go func() { evicted <- p.Evict(t.Context(), 0) }()
		synctest.Wait()
		require.Empty(t, evicted)
		close(closes)
		require.NoError(t, <-evicted)
		require.Zero(t, p.Stat().Total())
		require.NoError(t, p.Close())
	})
}
