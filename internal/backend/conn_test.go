package backend

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

// TestSeverAnyTime: severed from elsewhere, at any moment of its statements, a connection fails and can be closed.
func TestSeverAnyTime(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%v", encrypted), func(t *testing.T) {
			d := &dialer{}
			for i := range 30 {
				c := open(t, realConfig(t, encrypted), Options{Dial: d.Dial})
				var wg sync.WaitGroup
				busy := make(chan struct{})
				for range 2 {
					wg.Go(func() {
						<-busy
						<-time.After(time.Duration(i) * 100 * time.Microsecond)
						c.Sever()
					})
				}
				var err error
				for n := 0; err == nil; n++ {
					if n == 1 {
						close(busy)
					}
					err = work(t.Context(), c.PGX(), n)
				}
				wg.Wait()
				requireSoon(t, func() bool { return c.Look() != nil })
				begun := time.Now()
				shut(t, c)
				require.Less(t, time.Since(begun), 5*time.Second)
				require.False(t, c.Fit())
			}
			require.Zero(t, d.opened.Load())
		})
	}
}

// work is a mixture of what leases do.
func work(ctx context.Context, conn *pgx.Conn, n int) error {
	switch n % 4 {
	case 0:
		_, err := conn.Exec(ctx, "select pg_sleep(0.0005)")
		return err
	case 1:
		var sum int
		return conn.QueryRow(ctx, "select sum(i)::int from generate_series(1, $1::int) i", 2000).Scan(&sum)
	case 2:
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "create temp table if not exists worked (i int)")
			if err == nil {
				_, err = tx.CopyFrom(ctx, pgx.Identifier{"worked"}, []string{"i"}, pgx.CopyFromRows([][]any{{1}, {2}}))
			}
			return err
		})
	default:
		batch := &pgx.Batch{}
		batch.Queue("select $1::int", 1)
		batch.Queue("select $1::text", "two")
		return conn.SendBatch(ctx, batch).Close()
	}
}

func TestSeverThenStatement(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, server *fakepg.Server, c *Conn) {
		c.Sever()
		c.Sever()
		require.ErrorIs(t, c.Look(), net.ErrClosed)
		_, err := c.PGX().Exec(t.Context(), "select 7")
		require.Error(t, err)
		require.NotContains(t, server.Statements(), "select 7")
	})
}

// An abandoned connection waits for nobody: a cancel request that hangs ends, and no other is sent.
func TestAbandonEndsCancelRequests(t *testing.T) {
	hang := func(_ *testing.T, _ *fakepg.Server, o *Options) {
		o.CancelDial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
	}
	inMemory(t, hang, func(t *testing.T, server *fakepg.Server, c *Conn) {
		begun := time.Now()
		ended := make(chan error, 2)
		go func() { _, err := c.PGX().Exec(t.Context(), "select pg_sleep(600)"); ended <- err }()
		go func() { ended <- c.Cancel(t.Context()) }()
		synctest.Wait()
		require.True(t, c.CancelPending())
		c.Abandon()
		require.Error(t, <-ended)
		require.Error(t, <-ended)
		require.Error(t, c.Cancel(t.Context()))
		synctest.Wait()
		require.False(t, c.CancelPending())
		require.Zero(t, time.Since(begun))
	})
}

func TestCloseIsPolite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := fakepg.New()
		defer server.Close()
		last := make(chan []byte, 1)
		dial := func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := server.Dial(ctx, network, address)
			return &lastWords{Conn: conn, words: last}, err
		}
		c, err := Open(t.Context(), server.Config(), Options{Dial: dial, CancelDial: server.CancelDial})
		require.NoError(t, err)
		require.NoError(t, c.Close(t.Context()))
		require.Equal(t, []byte{'X', 0, 0, 0, 4}, <-last)
		require.NoError(t, c.Close(t.Context()), "twice")
		synctest.Wait()
		require.Zero(t, server.Connections())
		require.Zero(t, server.Cancels())
	})
}

// lastWords tells what was written last before the socket was closed.
type lastWords struct {
	net.Conn
	words chan []byte
	last  []byte
}

func (c *lastWords) Write(p []byte) (int, error) {
	c.last = append(c.last[:0], p...)
	return c.Conn.Write(p)
}

func (c *lastWords) Close() error {
	select {
	case c.words <- c.last:
	default:
	}
	return c.Conn.Close()
}

// TestCloseOfBusyConnection: the server does not go on with what nobody waits for.
func TestCloseOfBusyConnection(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, server *fakepg.Server, c *Conn) {
		c.PGX().PgConn().Exec(t.Context(), "select pg_sleep(60)")
		synctest.Wait()
		begun := time.Now()
		require.NoError(t, c.Close(t.Context()))
		synctest.Wait()
		require.Zero(t, time.Since(begun))
		require.Equal(t, 1, server.Cancels())
		require.Zero(t, server.Connections())
	})
}

// TestRollbackAfterDeadline: pgx closes a connection whose transaction it cannot roll back any more. Nothing runs then,
// so nothing is cancelled.
func TestRollbackAfterDeadline(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, server *fakepg.Server, c *Conn) {
		ctx, cancel := context.WithCancel(t.Context())
		tx, err := c.PGX().Begin(ctx)
		require.NoError(t, err)
		cancel()
		require.ErrorIs(t, tx.Rollback(ctx), context.Canceled)
		require.True(t, c.PGX().IsClosed())
		synctest.Wait()
		require.Zero(t, server.Cancels())
		require.Zero(t, server.Connections())
	})
}

// TestCloseOfSilentConnection: pgx takes 15 s for the end of a connection that broke; Close does not.
func TestCloseOfSilentConnection(t *testing.T) {
	for name, during := range map[string]func(context.Context, *Conn) error{
		"resting": func(context.Context, *Conn) error { return nil },
		"broken": func(ctx context.Context, c *Conn) error {
			ctx, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
			defer cancel()
			_, err := c.PGX().Exec(ctx, "select 1")
			return err
		},
		"preparing": func(ctx context.Context, c *Conn) error {
			ctx, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
			defer cancel()
			_, err := c.PGX().Prepare(ctx, "one", "select 1")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := fakepg.New()
				defer server.Close()
				d := &dialer{next: server.Dial}
				c, err := Open(t.Context(), server.Config(), Options{Dial: d.Dial})
				require.NoError(t, err)
				server.Freeze()
				broken := during(t.Context(), c) != nil
				ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
				defer cancel()
				begun := time.Now()
				err = c.Close(ctx)
				if broken {
					require.ErrorIs(t, err, context.DeadlineExceeded)
					require.Equal(t, 200*time.Millisecond, time.Since(begun))
				} else {
					require.NoError(t, err, "the goodbye is in the system's buffer")
				}
				require.Zero(t, d.opened.Load())
			})
		})
	}
}

// TestBrokenConnectionEndsByItself: nobody calls Close, and pgx's own end of the connection still has its deadline.
func TestBrokenConnectionEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := fakepg.New()
		defer server.Close()
		c, err := Open(t.Context(), server.Config(), Options{Dial: server.Dial})
		require.NoError(t, err)
		server.Freeze()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		begun := time.Now()
		_, err = c.PGX().Prepare(ctx, "one", "select 1")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		<-c.PGX().PgConn().CleanupDone()
		require.LessOrEqual(t, time.Since(begun), 16*time.Second)
		require.NoError(t, c.Close(t.Context()))
	})
}

func TestCheckExplains(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, server *fakepg.Server, c *Conn) {
		server.Delay(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, c.Check(ctx), context.DeadlineExceeded)
		require.True(t, c.Fit(), "a check that ran out of time on a server that answers costs no connection")
		server.Delay(0)
		require.NoError(t, c.Check(t.Context()))
		server.TerminateOne(c.PID(), "57P01")
		require.Error(t, c.Look())
		err := c.Check(t.Context())
		require.Error(t, err)
		require.NotErrorIs(t, err, context.DeadlineExceeded)
	})
}
