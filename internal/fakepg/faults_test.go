package fakepg_test

import (
	"context"
	"io"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

func TestStopAndStart(t *testing.T) {
	everywhere(t, func(t *testing.T, server *fakepg.Server) {
		conn := connect(t, server)
		server.Stop()
		_, err := conn.Exec(t.Context(), "select 1")
		require.Error(t, err)
		require.True(t, conn.IsClosed())
		<-conn.PgConn().CleanupDone() // pgx dials for a cancel request when it loses a connection
		before := server.Dials()
		_, err = pgx.ConnectConfig(t.Context(), server.Config())
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		require.Equal(t, before+1, server.Dials())

		server.Start()
		require.Equal(t, 1, scan[int](t, connect(t, server), "select 1"))
	})
}

func TestStopInsideAStatement(t *testing.T) {
	inBubble(t, func(t *testing.T, server *fakepg.Server) {
		conn := connect(t, server)
		time.AfterFunc(time.Second, server.Stop)
		_, err := conn.Exec(t.Context(), "select pg_sleep($1)", 60)
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	})
}

func TestStopBehindProxyAcceptsAndSaysNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, server *fakepg.Server) {
		conn := connect(t, server)
		server.StopBehindProxy()
		require.Error(t, conn.Ping(t.Context()))

		bounded, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		begun := time.Now()
		hanging := make(chan error, 1)
		go func() {
			_, err := pgx.ConnectConfig(bounded, server.Config())
			hanging <- err
		}()
		synctest.Wait()
		server.Start()
		connect(t, server)
		require.ErrorIs(t, <-hanging, context.DeadlineExceeded, "what hung once hangs for ever")
		require.Equal(t, 5*time.Second, time.Since(begun))
	})
}

func TestTerminate(t *testing.T) {
	everywhere(t, func(t *testing.T, server *fakepg.Server) {
		for _, code := range []string{"57P01", "57P02", "57P05", "08006"} {
			conn := connect(t, server)
			server.Terminate(code)
			_, err := conn.Exec(t.Context(), "select 1", pgx.QueryExecModeSimpleProtocol)
			require.Error(t, err)
			require.True(t, conn.IsClosed())
		}
		require.Equal(t, 1, scan[int](t, connect(t, server), "select 1"), "dials are still accepted")
	})
}

func TestTerminateInsideAStatement(t *testing.T) {
	inBubble(t, func(t *testing.T, server *fakepg.Server) {
		conn, other := connect(t, server), connect(t, server)
		time.AfterFunc(time.Second, func() {
			server.TerminateOne(conn.PgConn().PID(), "57P01")
			server.TerminateOne(1, "57P01")
		})
		_, err := conn.Exec(t.Context(), "select pg_sleep(60)")
		requireCode(t, "57P01", err)
		require.NoError(t, other.Ping(t.Context()))

		require.True(t, scan[bool](t, connect(t, server), "select pg_terminate_backend($1)", other.PgConn().PID()))
		require.Error(t, other.Ping(t.Context()))
		last := connect(t, server)
		require.False(t, scan[bool](t, last, "select pg_terminate_backend(1)"))
		_, err = last.Exec(t.Context(), "select pg_terminate_backend(pg_backend_pid())")
		requireCode(t, "57P01", err)
		require.True(t, last.IsClosed())
	})
}

func TestKill(t *testing.T) {
	everywhere(t, func(t *testing.T, server *fakepg.Server) {
		conn, other := connect(t, server), connect(t, server)
		server.Kill(conn.PgConn().PID())
		server.Kill(1)
		require.Error(t, conn.Ping(t.Context()))
		require.NoError(t, other.Ping(t.Context()))
	})
}

func TestFreeze(t *testing.T) {
	inBubble(t, func(t *testing.T, server *fakepg.Server) {
		conn := connect(t, server)
		server.Freeze()
		begun := time.Now()
		time.AfterFunc(3*time.Second, server.Thaw)

		bounded, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := pgx.ConnectConfig(bounded, server.Config())
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(begun), "a dial hangs until its context ends")

		require.NoError(t, conn.Ping(t.Context()))
		require.Equal(t, 3*time.Second, time.Since(begun), "what was sent meanwhile is answered after the thaw")

		server.Freeze()
		time.AfterFunc(time.Second, server.Thaw)
		connect(t, server)
		require.Equal(t, 4*time.Second, time.Since(begun))
	})
}

func TestFreezeHoldsBackAnAnswer(t *testing.T) {
	inBubble(t, func(t *testing.T, server *fakepg.Server) {
		conn := connect(t, server)
		begun := time.Now()
		time.AfterFunc(time.Second, server.Freeze)
		time.AfterFunc(5*time.Second, server.Thaw)
		exec(t, conn, "select pg_sleep(2)")
		require.Equal(t, 5*time.Second, time.Since(begun))
	})
}

func TestCloseEndsEverything(t *testing.T) {
	everywhere(t, func(t *testing.T, server *fakepg.Server) {
		conn := connect(t, server)
		server.Freeze()
		var waiting sync.WaitGroup
		waiting.Go(func() { _ = conn.Ping(context.Background()) })
		waiting.Go(func() { _, _ = pgx.ConnectConfig(context.Background(), server.Config()) })
		server.Close()
		waiting.Wait()
		server.Start()
		server.Freeze()
		_, err := server.Dial(t.Context(), "tcp", fakepg.Address+":5432")
		require.ErrorIs(t, err, syscall.ECONNREFUSED, "closed is for ever")
	})
}

func TestRefuse(t *testing.T) {
	everywhere(t, func(t *testing.T, server *fakepg.Server) {
		conn := connect(t, server)
		server.Refuse("57P03", "the database system is starting up")
		_, err := pgx.ConnectConfig(t.Context(), server.Config())
		requireCode(t, "57P03", err)
		require.ErrorContains(t, err, "starting up")
		require.NoError(t, conn.Ping(t.Context()), "a refusal is for newcomers only")
		server.Refuse("", "")
		connect(t, server)
	})
}

func TestRefuseParameter(t *testing.T) {
	everywhere(t, func(t *testing.T, server *fakepg.Server) {
		server.RefuseParameter("tcp_user_timeout", "22023")
		server.RefuseParameter("client_connection_check_interval", "42704")
		cfg := server.Config()
		cfg.RuntimeParams["client_connection_check_interval"] = "2000"
		cfg.RuntimeParams["tcp_user_timeout"] = "2000"
		_, err := pgx.ConnectConfig(t.Context(), cfg)
		requireCode(t, "42704", err)
		require.ErrorContains(t, err, `unrecognized configuration parameter "client_connection_check_interval"`)
		delete(cfg.RuntimeParams, "client_connection_check_interval")
		_, err = pgx.ConnectConfig(t.Context(), cfg)
		requireCode(t, "22023", err)
		server.RefuseParameter("tcp_user_timeout", "")
		conn, err := pgx.ConnectConfig(t.Context(), cfg)
		require.NoError(t, err)
		require.Equal(t, "2000", scan[string](t, conn, "show tcp_user_timeout"))
		require.NoError(t, conn.Close(t.Context()))
	})
}

func TestStandbyIsToldWithTheNextAnswer(t *testing.T) {
	everywhere(t, func(t *testing.T, server *fakepg.Server) {
		conn := connect(t, server)
		server.Standby(true)
		require.True(t, scan[bool](t, conn, "select pg_is_in_recovery()"))
		require.Equal(t, "on", conn.PgConn().ParameterStatus("in_hot_standby"))
		require.Equal(t, "on", connect(t, server).PgConn().ParameterStatus("in_hot_standby"))
	})
}

func TestDelay(t *testing.T) {
	inBubble(t, func(t *testing.T, server *fakepg.Server) {
		server.Delay(20 * time.Millisecond)
		begun := time.Now()
		conn := connect(t, server)
		require.Equal(t, 20*time.Millisecond, time.Since(begun))
		require.NoError(t, conn.Ping(t.Context()))
		require.Equal(t, 40*time.Millisecond, time.Since(begun))
		_, err := conn.Exec(t.Context(), "select $1::int", pgx.QueryExecModeCacheDescribe, 1)
		require.NoError(t, err)
		require.Equal(t, 80*time.Millisecond, time.Since(begun), "describe and execute are two round trips")
		server.Delay(0)
		require.NoError(t, conn.Ping(t.Context()))
		require.Equal(t, 80*time.Millisecond, time.Since(begun))
	})
}

// cancelsAtOnce sends a cancel request as soon as a context ends, and closes nothing.
func cancelsAtOnce(cfg *pgx.ConnConfig) {
	cfg.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: time.Minute}
	}
}

func TestCancel(t *testing.T) {
	inBubble(t, func(t *testing.T, server *fakepg.Server) {
		cfg := server.Config()
		cancelsAtOnce(cfg)
		conn, err := pgx.ConnectConfig(t.Context(), cfg)
		require.NoError(t, err)
		for _, mode := range execModes {
			bounded, cancel := context.WithTimeout(t.Context(), 15*time.Millisecond)
			begun := time.Now()
			_, err = conn.Exec(bounded, "select pg_sleep(60)", mode)
			cancel()
			requireCode(t, "57014", err)
			require.Less(t, time.Since(begun), time.Second)
			require.Equal(t, 1, scan[int](t, conn, "select 1"), "the connection lives on")
		}
		require.Equal(t, len(execModes), server.Cancels())
		require.Equal(t, 1, server.Dials(), "a cancel request is no dial")
		require.NoError(t, conn.Close(t.Context()))
	})
}

func TestCancelHitsOnlyWhatItMeans(t *testing.T) {
	inBubble(t, func(t *testing.T, server *fakepg.Server) {
		conn, other := connect(t, server), connect(t, server)
		require.NoError(t, conn.PgConn().CancelRequest(t.Context()))
		exec(t, conn, "select pg_sleep(1)")
		require.Equal(t, 1, server.Cancels(), "it came while the connection was idle")

		time.AfterFunc(time.Second, func() { _ = other.PgConn().CancelRequest(context.Background()) })
		exec(t, conn, "select pg_sleep(2)")
		require.Equal(t, 2, server.Cancels(), "it was for another PID")
	})
}

func TestCancelNeedsTheKey(t *testing.T) {
	inBubble(t, func(t *testing.T, server *fakepg.Server) {
		conn := connect(t, server)
		time.AfterFunc(time.Second, func() {
			raw, err := server.CancelDial(context.Background(), "tcp", fakepg.Address+":5432")
			if err == nil {
				pid := conn.PgConn().PID()
				_, _ = raw.Write([]byte{
					0, 0, 0, 16, 4, 210, 22, 46, byte(pid >> 24), byte(pid >> 16), byte(pid >> 8), byte(pid), 1, 2, 3, 4,
				})
				_, _ = io.Copy(io.Discard, raw)
				_ = raw.Close()
			}
		})
		exec(t, conn, "select pg_sleep(2)")
		require.Equal(t, 1, server.Cancels())
		require.Equal(t, 1, server.Dials(), "CancelDial is not counted")
	})
}

func TestLateCancelHitsTheNextStatement(t *testing.T) {
	inBubble(t, func(t *testing.T, server *fakepg.Server) {
		server.DelayCancels(time.Second)
		conn := connect(t, server)
		go func() { _ = conn.PgConn().CancelRequest(context.Background()) }()
		exec(t, conn, "select pg_sleep(0.5)")
		begun := time.Now()
		_, err := conn.Exec(t.Context(), "select pg_sleep(60)")
		requireCode(t, "57014", err)
		require.Equal(t, 500*time.Millisecond, time.Since(begun))
	})
}

func TestCancelEndsADelay(t *testing.T) {
	inBubble(t, func(t *testing.T, server *fakepg.Server) {
		conn := connect(t, server)
		server.Delay(time.Minute)
		time.AfterFunc(time.Second, func() { _ = conn.PgConn().CancelRequest(context.Background()) })
		_, err := conn.Exec(t.Context(), "select 1", pgx.QueryExecModeExec)
		requireCode(t, "57014", err)
		require.Empty(t, server.Statements())
	})
}

func TestStatementTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T, server *fakepg.Server) {
		conn := connect(t, server)
		for setting, bound := range map[string]time.Duration{"250": 250 * time.Millisecond, "'1min'": time.Minute} {
			exec(t, conn, "set statement_timeout = "+setting)
			begun := time.Now()
			_, err := conn.Exec(t.Context(), "select pg_sleep(3600)")
			requireCode(t, "57014", err)
			require.ErrorContains(t, err, "statement timeout")
			require.Equal(t, bound, time.Since(begun))
		}
		exec(t, conn, "set statement_timeout = nonsense")
		exec(t, conn, "select pg_sleep(100)")
	})
}

func TestStatementOutlivesItsClient(t *testing.T) {
	inBubble(t, func(t *testing.T, server *fakepg.Server) {
		server.DelayCancels(time.Minute) // pgx sends one when it loses a connection
		conn := connect(t, server)
		go func() { _, _ = conn.Exec(context.Background(), "select pg_sleep(10)") }()
		synctest.Wait()
		require.NoError(t, conn.PgConn().Conn().Close())
		synctest.Wait()
		require.Equal(t, 1, server.Connections())
		time.Sleep(11 * time.Second)
		synctest.Wait()
		require.Equal(t, 0, server.Connections())
	})
}

func TestDialObeysItsContext(t *testing.T) {
	everywhere(t, func(t *testing.T, server *fakepg.Server) {
		over, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := server.Dial(over, "tcp", fakepg.Address+":5432")
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, 1, server.Dials())
	})
}

func TestManyClientsUnderFaults(t *testing.T) {
	const clients, rounds = 8, 12
	server := fakepg.New()
	defer server.Close()
	over, cancel := context.WithCancel(t.Context())
	loggedIn := make(chan struct{}, clients)
	var running sync.WaitGroup
	for range clients {
		running.Go(func() {
			for over.Err() == nil {
				workUntilKilled(over, t, server, loggedIn)
			}
		})
	}
	for round := range rounds {
		for range clients {
			<-loggedIn // so every fault hits all of them
		}
		switch round % 4 {
		case 0:
			server.Stop()
			server.Start()
		case 1:
			server.Terminate("57P01")
		case 2:
			server.Freeze()
			server.Thaw()
			server.Terminate("57P02")
		case 3:
			for _, pid := range server.PIDs() {
				server.Kill(pid)
			}
		}
	}
	cancel()
	running.Wait()
	require.GreaterOrEqual(t, server.LogIns(), rounds*clients)
}

// workUntilKilled asks the same thing until its connection dies.
func workUntilKilled(ctx context.Context, t *testing.T, server *fakepg.Server, loggedIn chan<- struct{}) {
	conn, err := pgx.ConnectConfig(ctx, server.Config())
	if err != nil {
		return
	}
	defer conn.Close(context.Background())
	select {
	case loggedIn <- struct{}{}:
	case <-ctx.Done():
	}
	for {
		var got int
		if conn.QueryRow(ctx, "select $1::int", 5).Scan(&got) != nil {
			return
		}
		if got != 5 {
			t.Errorf("asked for 5, got %d", got)
			return
		}
	}
}
