package backend

import (
	"bytes"
	"context"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

// inMemory runs f in a bubble of fake time, with a connection to an in-memory server. f may change the options.
func inMemory(t *testing.T, options func(*testing.T, *fakepg.Server, *Options), f func(*testing.T, *fakepg.Server, *Conn)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server := fakepg.New()
		defer server.Close()
		o := Options{Dial: server.Dial, CancelDial: server.CancelDial}
		if options != nil {
			options(t, server, &o)
		}
		c, err := Open(t.Context(), server.Config(), o)
		require.NoError(t, err)
		f(t, server, c)
		// A minute is more than anything here takes: what has not ended by then never does.
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.NoError(t, c.Close(ctx))
		require.Equal(t, 1, server.Dials())
	})
}

// within runs a statement under a deadline and returns how long it took and its explained error.
func within(t *testing.T, c *Conn, d time.Duration, sql string) (took time.Duration, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	begun := time.Now()
	_, err = c.PGX().Exec(ctx, sql)
	return time.Since(begun), Explain(ctx, err)
}

const ms = time.Millisecond

func TestDeadlineCancelsStatement(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, server *fakepg.Server, c *Conn) {
		_, err := c.PGX().Exec(t.Context(), "begin")
		require.NoError(t, err)
		took, err := within(t, c, 15*ms, "select pg_sleep(10)")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		var answer *pgconn.PgError
		require.ErrorAs(t, err, &answer)
		require.Equal(t, "57014", answer.Code)
		require.Equal(t, 15*ms, took)
		require.Equal(t, 1, server.Cancels())
		require.False(t, c.CancelPending())
		require.NoError(t, c.WaitCancel(t.Context()))
		require.True(t, c.InTx(), "a failed transaction")
		require.False(t, c.Fit())
		_, err = c.PGX().Exec(t.Context(), "rollback")
		require.NoError(t, err)
		require.False(t, c.InTx())
		require.True(t, c.Fit())
		require.NoError(t, c.Check(t.Context()))
	})
}

func TestDeadlineOfSilentServer(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, server *fakepg.Server, c *Conn) {
		server.Freeze()
		took, err := within(t, c, 15*ms, "select 1")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 45*ms, took)
		require.True(t, c.PGX().IsClosed())
		require.False(t, c.Fit())
		require.False(t, c.InTx())

		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 100*ms)
		defer cancel()
		require.ErrorIs(t, c.Close(ctx), context.DeadlineExceeded)
		require.Equal(t, 100*ms, time.Since(begun), "the dial of the cancel request hangs, too, and is given up")
		require.Zero(t, server.Cancels())
		require.ErrorIs(t, c.Cancel(t.Context()), net.ErrClosed)
	})
}

func TestCancelBoundIsAnOption(t *testing.T) {
	bound := func(_ *testing.T, _ *fakepg.Server, o *Options) { o.CancelBound = 200 * ms }
	inMemory(t, bound, func(t *testing.T, server *fakepg.Server, c *Conn) {
		server.Freeze()
		took, _ := within(t, c, 15*ms, "select 1")
		require.Equal(t, 215*ms, took)
		server.Thaw()
	})
}

// TestCancelIsLate: the statement ends by itself before the cancel request hits.
func TestCancelIsLate(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, server *fakepg.Server, c *Conn) {
		server.DelayCancels(20 * ms)
		took, err := within(t, c, 15*ms, "select pg_sleep(0.02)")
		require.NoError(t, err)
		require.Equal(t, 35*ms, took, "the caller waits for the cancel request while there is time")
		require.False(t, c.CancelPending())

		server.DelayCancels(100 * ms)
		took, err = within(t, c, 15*ms, "select pg_sleep(0.02)")
		require.NoError(t, err)
		require.Equal(t, 45*ms, took, "but not longer than the bound")
		require.True(t, c.CancelPending())
		require.True(t, c.Fit(), "once the cancel request has missed")

		_, err = c.PGX().Exec(t.Context(), "select pg_sleep(1)")
		require.NoError(t, err, "the next statement is held back until it cannot be hit")
		require.False(t, c.CancelPending())
		require.Equal(t, 2, server.Cancels())
	})
}

func TestWaitCancel(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, server *fakepg.Server, c *Conn) {
		server.DelayCancels(100 * ms)
		begun := time.Now()
		_, err := within(t, c, 15*ms, "select pg_sleep(0.02)")
		require.NoError(t, err)
		short, cancel := context.WithTimeout(t.Context(), 5*ms)
		defer cancel()
		require.ErrorIs(t, c.WaitCancel(short), context.DeadlineExceeded)
		require.True(t, c.CancelPending())
		require.NoError(t, c.WaitCancel(t.Context()))
		require.Equal(t, 115*ms, time.Since(begun))
		require.False(t, c.CancelPending())
	})
}

// TestHeldStatementHasItsDeadline: a statement that is held back does not outlive its context.
func TestHeldStatementHasItsDeadline(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, server *fakepg.Server, c *Conn) {
		server.DelayCancels(time.Second)
		_, err := within(t, c, 15*ms, "select pg_sleep(0.02)")
		require.NoError(t, err)
		took, err := within(t, c, 10*ms, "select 7")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 10*ms, took)
		require.NotContains(t, server.Statements(), "select 7")
		require.False(t, c.Fit())
	})
}

// TestHeldStatementIsSevered: nor does it hold up a Sever.
func TestHeldStatementIsSevered(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, server *fakepg.Server, c *Conn) {
		server.DelayCancels(time.Second)
		_, err := within(t, c, 15*ms, "select pg_sleep(0.02)")
		require.NoError(t, err)
		time.AfterFunc(10*ms, c.Sever)
		took, err := within(t, c, time.Minute, "select 7")
		require.ErrorIs(t, err, net.ErrClosed)
		require.Equal(t, 10*ms, took)
	})
}

// lostCancels dials cancel requests to somewhere that takes them and says nothing.
func lostCancels(t *testing.T, _ *fakepg.Server, o *Options) {
	hole := fakepg.New()
	hole.StopBehindProxy()
	t.Cleanup(hole.Close)
	o.CancelDial = hole.Dial
}

func TestCancelIsLost(t *testing.T) {
	inMemory(t, lostCancels, func(t *testing.T, server *fakepg.Server, c *Conn) {
		begun := time.Now()
		took, err := within(t, c, 15*ms, "select pg_sleep(0.02)")
		require.NoError(t, err)
		require.Equal(t, 45*ms, took)
		require.ErrorIs(t, c.WaitCancel(t.Context()), ErrCancelUnsettled)
		require.Equal(t, 15*ms+cancelLimit, time.Since(begun))
		require.True(t, c.CancelPending(), "for ever")
		require.False(t, c.Fit())

		_, err = c.PGX().Exec(t.Context(), "select 7")
		require.ErrorIs(t, err, ErrCancelUnsettled)
		require.True(t, pgconn.SafeToRetry(err))
		require.NotContains(t, server.Statements(), "select 7")
	})
}

// TestCancelIsNotSent: a cancel request that could not be sent hits nothing.
func TestCancelIsNotSent(t *testing.T) {
	refuse := func(_ *testing.T, _ *fakepg.Server, o *Options) {
		o.CancelDial = func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrWriteToConnected }
	}
	inMemory(t, refuse, func(t *testing.T, server *fakepg.Server, c *Conn) {
		took, err := within(t, c, 15*ms, "select pg_sleep(0.02)")
		require.NoError(t, err)
		require.Equal(t, 20*ms, took)
		require.False(t, c.CancelPending())
		require.True(t, c.Fit())
		require.ErrorIs(t, c.Cancel(t.Context()), net.ErrWriteToConnected)
		require.True(t, c.Fit())

		took, err = within(t, c, 15*ms, "select pg_sleep(1)")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 45*ms, took)
		require.False(t, c.Fit())
	})
}

// TestCancelIsGivenUp: no cancel request is sent for a statement that ended while it was dialled for.
func TestCancelIsGivenUp(t *testing.T) {
	slow := func(_ *testing.T, server *fakepg.Server, o *Options) {
		o.CancelDial = func(ctx context.Context, network, address string) (net.Conn, error) {
			select {
			case <-time.After(time.Second):
				return server.CancelDial(ctx, network, address)
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	}
	inMemory(t, slow, func(t *testing.T, server *fakepg.Server, c *Conn) {
		took, err := within(t, c, 15*ms, "select pg_sleep(0.02)")
		require.NoError(t, err)
		require.Equal(t, 20*ms, took)
		require.False(t, c.CancelPending())
		require.True(t, c.Fit())
	})
}

// TestCancelDialerIgnoresItsContext: what it returns too late is closed unused.
func TestCancelDialerIgnoresItsContext(t *testing.T) {
	deaf := func(_ *testing.T, server *fakepg.Server, o *Options) {
		o.CancelDial = func(_ context.Context, network, address string) (net.Conn, error) {
			<-time.After(time.Second) // of fake time
			return server.CancelDial(context.Background(), network, address)
		}
	}
	inMemory(t, deaf, func(t *testing.T, server *fakepg.Server, c *Conn) {
		took, err := within(t, c, 15*ms, "select pg_sleep(0.02)")
		require.NoError(t, err)
		require.Equal(t, 45*ms, took)
		require.True(t, c.CancelPending())
		require.NoError(t, c.WaitCancel(t.Context()))
		require.Zero(t, server.Cancels())
	})
}

func TestCancelFromElsewhere(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, server *fakepg.Server, c *Conn) {
		server.DelayCancels(50 * ms)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				<-time.After(10 * ms)
				if err := c.Cancel(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		took, err := within(t, c, time.Minute, "select pg_sleep(10)")
		var answer *pgconn.PgError
		require.ErrorAs(t, err, &answer)
		require.NotErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 60*ms, took)
		wg.Wait()
		require.Equal(t, 1, server.Cancels(), "one at a time")
		require.True(t, c.Fit())
	})
}

func TestCancelGoesOnWithoutItsCaller(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, server *fakepg.Server, c *Conn) {
		server.DelayCancels(50 * ms)
		ctx, cancel := context.WithTimeout(t.Context(), 10*ms)
		defer cancel()
		require.ErrorIs(t, c.Cancel(ctx), context.DeadlineExceeded)
		require.True(t, c.CancelPending())
		require.NoError(t, c.WaitCancel(t.Context()))
		require.Equal(t, 1, server.Cancels())
	})
}

func TestCancelDialerPanics(t *testing.T) {
	for name, dial := range map[string]pgconn.DialFunc{
		"panic": func(context.Context, string, string) (net.Conn, error) { panic("no cancel today") },
		"exit":  func(context.Context, string, string) (net.Conn, error) { runtime.Goexit(); return nil, nil },
		"nil":   func(context.Context, string, string) (net.Conn, error) { return nil, nil },
		"socket panics": func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			_ = there.Close()
			return brokenConn{here}, nil
		},
	} {
		options := func(_ *testing.T, _ *fakepg.Server, o *Options) { o.CancelDial = dial }
		inMemory(t, options, func(t *testing.T, server *fakepg.Server, c *Conn) {
			require.Error(t, c.Cancel(t.Context()))
			require.Equal(t, name == "socket panics" || name == "exit", c.CancelPending(), "who knows how far it came")
			took, err := within(t, c, 15*ms, "select pg_sleep(10)")
			require.Error(t, err)
			require.LessOrEqual(t, took, 45*ms)
		})
		if name == "socket panics" {
			continue // there is no goroutine of ours around a socket that pgx itself uses
		}
		inMemory(t, options, func(t *testing.T, server *fakepg.Server, c *Conn) {
			time.AfterFunc(10*ms, c.Sever)
			_, err := within(t, c, time.Minute, "select pg_sleep(1)")
			require.Error(t, err)
			synctest.Wait()
			require.False(t, c.CancelPending(), "the one that pgx asked for")
		})
	}
}

type brokenConn struct{ net.Conn }

func (brokenConn) Write([]byte) (int, error) { panic("broken") }

// TestContextEndsBeforeTheStatementIsSent: pgx looked at the context just before that, and sends.
func TestContextEndsBeforeTheStatementIsSent(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, server *fakepg.Server, c *Conn) {
		d := &deadline{link: c.link, pg: c.PGX().PgConn()}
		d.HandleCancel(t.Context())
		require.False(t, c.CancelPending(), "nothing runs")
		begun := time.Now()
		_, err := c.PGX().Exec(context.Background(), "select pg_sleep(10)")
		var answer *pgconn.PgError
		require.ErrorAs(t, err, &answer)
		require.Equal(t, "57014", answer.Code)
		d.HandleUnwatchAfterCancel()
		if time.Since(begun) == 0 {
			require.Equal(t, 1, server.Cancels())
		} else { // it came before the server had begun the statement
			require.Equal(t, cancelPause, time.Since(begun))
			require.Equal(t, 2, server.Cancels())
		}
		require.NoError(t, c.Check(t.Context()))
	})
}

// TestCancelIsRepeated: a cancel request that comes before the server has begun the statement is ignored.
func TestCancelIsRepeated(t *testing.T) {
	detour := func(_ *testing.T, server *fakepg.Server, o *Options) {
		o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := server.Dial(ctx, network, address)
			return lateQueries{conn}, err
		}
	}
	inMemory(t, detour, func(t *testing.T, server *fakepg.Server, c *Conn) {
		took, err := within(t, c, 15*ms, "select pg_sleep(10)")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 15*ms+cancelPause, took)
		require.Equal(t, 2, server.Cancels())
		require.True(t, c.Fit())
		require.False(t, c.CancelPending())
	})
}

// TestCancelIsNotRepeatedForEver: not when the statement has been given up.
func TestCancelIsNotRepeatedForEver(t *testing.T) {
	var elsewhere *fakepg.Server // where no request hits
	astray := func(t *testing.T, _ *fakepg.Server, o *Options) {
		elsewhere = fakepg.New()
		t.Cleanup(elsewhere.Close)
		o.CancelDial, o.CancelBound = elsewhere.CancelDial, cancelPause+cancelPause*3/2
	}
	inMemory(t, astray, func(t *testing.T, server *fakepg.Server, c *Conn) {
		took, err := within(t, c, 15*ms, "select pg_sleep(1)")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 40*ms, took)
		<-time.After(time.Second)
		require.Equal(t, 2, elsewhere.Cancels())
	})
}

// lateQueries is a socket on which queries take 20 ms to the server.
type lateQueries struct{ net.Conn }

func (c lateQueries) Write(p []byte) (int, error) {
	if p[0] != 'Q' {
		return c.Conn.Write(p)
	}
	query := bytes.Clone(p)
	time.AfterFunc(20*ms, func() { _, _ = c.Conn.Write(query) })
	return len(p), nil
}

// TestWaitForNotificationCancelsNothing: nothing runs while pgx listens.
func TestWaitForNotificationCancelsNothing(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, server *fakepg.Server, c *Conn) {
		ctx, cancel := context.WithTimeout(t.Context(), 15*ms)
		defer cancel()
		_, err := c.PGX().WaitForNotification(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, c.Check(t.Context()))
		require.Zero(t, server.Cancels())
	})
}
