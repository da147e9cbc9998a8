package backend

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

// TestCancelByPGX: when pgx closes a broken connection it sends a cancel request by itself.
func TestCancelByPGX(t *testing.T) {
	t.Run("severed", func(t *testing.T) {
		inMemory(t, nil, func(t *testing.T, server *fakepg.Server, c *Conn) {
			time.AfterFunc(10*ms, c.Sever)
			took, err := within(t, c, time.Minute, "select pg_sleep(10)")
			require.Error(t, err)
			require.Equal(t, 10*ms, took)
			synctest.Wait()
			require.Equal(t, 1, server.Cancels())
			require.Zero(t, server.Connections(), "the statement does not run on without us")
			require.False(t, c.CancelPending())
		})
	})
	t.Run("cancelled and severed", func(t *testing.T) {
		inMemory(t, nil, func(t *testing.T, server *fakepg.Server, c *Conn) {
			time.AfterFunc(10*ms, func() {
				server.DelayCancels(ms)
				go func() { _ = c.Cancel(context.Background()) }()
				c.Sever()
			})
			_, err := within(t, c, time.Minute, "select pg_sleep(10)")
			require.Error(t, err)
			<-time.After(time.Second)
			require.Equal(t, 1, server.Cancels())
		})
	})
	t.Run("the server is gone", func(t *testing.T) {
		inMemory(t, nil, func(t *testing.T, server *fakepg.Server, c *Conn) {
			time.AfterFunc(10*ms, func() { server.Kill(c.PID()) })
			_, err := within(t, c, time.Minute, "select pg_sleep(10)")
			require.Error(t, err)
			<-time.After(time.Second)
			require.Zero(t, server.Cancels())
		})
	})
	t.Run("no answer", func(t *testing.T) {
		inMemory(t, nil, func(t *testing.T, server *fakepg.Server, c *Conn) {
			server.DelayCancels(100 * ms)
			_, err := within(t, c, 15*ms, "select pg_sleep(10)")
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.True(t, c.PGX().IsClosed())
			<-time.After(time.Second)
			require.Equal(t, 1, server.Cancels(), "the one that was under way")
		})
	})
	t.Run("refused", func(t *testing.T) {
		refuse := func(_ *testing.T, _ *fakepg.Server, o *Options) {
			o.CancelDial = func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrWriteToConnected }
		}
		inMemory(t, refuse, func(t *testing.T, server *fakepg.Server, c *Conn) {
			time.AfterFunc(10*ms, c.Sever)
			_, err := within(t, c, time.Minute, "select pg_sleep(1)")
			require.Error(t, err)
			synctest.Wait()
			require.False(t, c.CancelPending())
		})
	})
	t.Run("lost", func(t *testing.T) {
		inMemory(t, lostCancels, func(t *testing.T, server *fakepg.Server, c *Conn) {
			begun := time.Now()
			time.AfterFunc(10*ms, c.Sever)
			_, err := within(t, c, time.Minute, "select pg_sleep(1)")
			require.Error(t, err)
			require.NoError(t, c.Close(t.Context()))
			require.Equal(t, 10*ms+cancelLimit, time.Since(begun))
			require.True(t, c.CancelPending())
		})
	})
	t.Run("asked by its user", func(t *testing.T) {
		inMemory(t, nil, func(t *testing.T, server *fakepg.Server, c *Conn) {
			time.AfterFunc(10*ms, func() {
				if err := c.PGX().PgConn().CancelRequest(context.Background()); err != nil {
					t.Error(err)
				}
			})
			took, err := within(t, c, time.Minute, "select pg_sleep(10)")
			require.ErrorContains(t, err, "57014")
			require.Equal(t, 10*ms, took)
			require.NoError(t, c.WaitCancel(t.Context()))
			require.True(t, c.Fit())
			require.NoError(t, c.PGX().PgConn().CancelRequest(t.Context()), "nothing runs: it hits nothing")
			require.NoError(t, c.Check(t.Context()))
		})
	})
}
