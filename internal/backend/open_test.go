package backend

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

func TestOpen(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		begun := time.Now()
		c := open(t, realConfig(t, encrypted), Options{})
		var pid uint32
		require.NoError(t, c.PGX().QueryRow(t.Context(), "select pg_backend_pid()").Scan(&pid))
		require.Equal(t, pid, c.PID())
		require.Equal(t, realServer(t).Address(), c.Address())
		require.Equal(t, encrypted, c.TLS())
		require.WithinRange(t, c.OpenedAt(), begun, time.Now())
		require.True(t, c.Fit())
		require.False(t, c.InTx())
		require.Zero(t, c.Changes())
		require.False(t, c.CancelPending())
		require.NoError(t, c.Look())
		require.NoError(t, c.Check(t.Context()))
		shut(t, c)
		require.False(t, c.Fit())
		require.Error(t, c.Look())
		require.Error(t, c.Check(t.Context()))
	}
}

func TestFitOnlyAtRest(t *testing.T) {
	c := open(t, realConfig(t, false), Options{})
	rows, err := c.PGX().Query(t.Context(), "select generate_series(1, 10)")
	require.NoError(t, err)
	require.True(t, rows.Next())
	require.False(t, c.Fit(), "in the middle of a result")
	require.False(t, c.InTx())
	rows.Close()
	require.True(t, c.Fit())
	tx, err := c.PGX().Begin(t.Context())
	require.NoError(t, err)
	require.False(t, c.Fit())
	require.True(t, c.InTx())
	_, err = tx.Exec(t.Context(), "select 1/0")
	require.Error(t, err)
	require.True(t, c.InTx(), "failed")
	require.NoError(t, tx.Rollback(t.Context()))
	require.True(t, c.Fit())
}

func TestOpenFails(t *testing.T) {
	sentinel := errors.New("not today")
	for name, install := range map[string]func(*fakepg.Server, *pgx.ConnConfig, *Options){
		"refused by the system": func(s *fakepg.Server, _ *pgx.ConnConfig, _ *Options) { s.Stop() },
		"refused by the server": func(s *fakepg.Server, _ *pgx.ConnConfig, _ *Options) { s.Refuse("53300", "sorry") },
		"no socket": func(_ *fakepg.Server, _ *pgx.ConnConfig, o *Options) {
			o.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, nil }
		},
		"hook": func(_ *fakepg.Server, cfg *pgx.ConnConfig, _ *Options) {
			cfg.AfterConnect = func(context.Context, *pgconn.PgConn) error { return sentinel }
		},
		"hook that closes": func(_ *fakepg.Server, cfg *pgx.ConnConfig, _ *Options) {
			cfg.AfterConnect = func(ctx context.Context, pg *pgconn.PgConn) error {
				return errors.Join(sentinel, pg.Close(ctx))
			}
		},
		"hook that loses the server": func(s *fakepg.Server, cfg *pgx.ConnConfig, _ *Options) {
			cfg.ValidateConnect = func(ctx context.Context, pg *pgconn.PgConn) error {
				s.Kill(pg.PID())
				return pg.Exec(ctx, "select 1").Close()
			}
		},
		"hook that takes the connection away": func(_ *fakepg.Server, cfg *pgx.ConnConfig, _ *Options) {
			cfg.AfterConnect = func(_ context.Context, pg *pgconn.PgConn) error {
				_, err := pg.Hijack()
				return errors.Join(sentinel, err)
			}
		},
		"lost context": func(_ *fakepg.Server, cfg *pgx.ConnConfig, _ *Options) { cfg.Tracer = &amnesiac{} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := fakepg.New()
				defer server.Close()
				d := &dialer{next: server.Dial}
				cfg, o := server.Config(), Options{Dial: d.Dial}
				install(server, cfg, &o)
				c, err := Open(t.Context(), cfg, o)
				require.Error(t, err)
				require.Nil(t, c)
				require.Zero(t, d.opened.Load())
			})
		})
	}
}

// amnesiac is a tracer that does not derive its context from the one it is given.
type amnesiac struct{ tracer }

func (*amnesiac) TraceConnectStart(context.Context, pgx.TraceConnectStartData) context.Context {
	return context.Background()
}

// TestOpenEndsWithItsContext: wherever the server falls silent, nothing is left behind.
func TestOpenEndsWithItsContext(t *testing.T) {
	for name, install := range map[string]func(*fakepg.Server, *pgx.ConnConfig){
		"dial":   func(s *fakepg.Server, _ *pgx.ConnConfig) { s.Freeze() },
		"log-in": func(s *fakepg.Server, _ *pgx.ConnConfig) { s.StopBehindProxy() },
		"tls": func(s *fakepg.Server, cfg *pgx.ConnConfig) {
			cfg.TLSConfig = &tls.Config{ServerName: "db.test"}
			s.StopBehindProxy()
		},
		"validation": func(s *fakepg.Server, cfg *pgx.ConnConfig) {
			cfg.ValidateConnect = func(ctx context.Context, pg *pgconn.PgConn) error {
				s.Freeze()
				return pg.Exec(ctx, "select 1").Close()
			}
		},
		"statement of a hook": func(_ *fakepg.Server, cfg *pgx.ConnConfig) {
			cfg.AfterConnect = func(ctx context.Context, pg *pgconn.PgConn) error {
				return pg.Exec(ctx, "select pg_sleep(60)").Close()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := fakepg.New()
				defer server.Close()
				dials, cancels := &dialer{next: server.Dial}, &dialer{next: server.CancelDial}
				cfg := server.Config()
				install(server, cfg)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				begun := time.Now()
				_, err := Open(ctx, cfg, Options{Dial: dials.Dial, CancelDial: cancels.Dial})
				require.Error(t, err)
				require.LessOrEqual(t, time.Since(begun), time.Second+defaultCancelBound)
				require.EqualValues(t, 1, dials.dials.Load())
				require.Zero(t, dials.opened.Load()+cancels.opened.Load())
			})
		})
	}
}

// TestOpenTriesEveryHost: the socket of the attempt that won is the connection's own.
func TestOpenTriesEveryHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := fakepg.New(), fakepg.New()
		defer first.Close()
		defer second.Close()
		first.Refuse("57P03", "the database system is starting up")
		d := &dialer{next: func(ctx context.Context, network, address string) (net.Conn, error) {
			switch host, _, _ := net.SplitHostPort(address); host {
			case "192.0.2.10":
				return nil, &net.OpError{Op: "dial", Err: errors.New("no route")}
			case "192.0.2.11":
				return first.Dial(ctx, network, address)
			default:
				return second.Dial(ctx, network, address)
			}
		}}
		cfg := parse(t, "host=192.0.2.10,192.0.2.11,192.0.2.12 user=app sslmode=disable")
		c, err := Open(t.Context(), cfg, Options{Dial: d.Dial})
		require.NoError(t, err)
		require.Equal(t, "192.0.2.12:5432", c.Address())
		require.EqualValues(t, 3, d.dials.Load())
		require.EqualValues(t, 1, d.opened.Load())
		require.NoError(t, c.Cancel(t.Context()))
		require.Equal(t, 1, second.Cancels())
		second.Kill(c.PID())
		require.Error(t, c.Look())
		require.NoError(t, c.Close(t.Context()))
		require.Zero(t, d.opened.Load())
	})
}

// TestOpenLeavesNoAttemptBehind: a cancel request for the statement of a hook ends with the attempt that it belongs to.
func TestOpenLeavesNoAttemptBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := fakepg.New(), fakepg.New()
		defer first.Close()
		defer second.Close()
		d := &dialer{next: func(ctx context.Context, network, address string) (net.Conn, error) {
			if host, _, _ := net.SplitHostPort(address); host == "192.0.2.1" {
				return first.Dial(ctx, network, address)
			}
			return second.Dial(ctx, network, address)
		}}
		cfg := parse(t, "host=192.0.2.1,192.0.2.2 user=app sslmode=disable connect_timeout=1")
		cfg.ValidateConnect = func(ctx context.Context, pg *pgconn.PgConn) error {
			first.Freeze()
			return pg.Exec(ctx, "select 1").Close()
		}
		var cancels atomic.Int64
		cancelDial := func(ctx context.Context, network, address string) (net.Conn, error) {
			cancels.Add(1)
			defer cancels.Add(-1)
			return first.CancelDial(ctx, network, address)
		}
		begun := time.Now()
		c, err := Open(t.Context(), cfg, Options{Dial: d.Dial, CancelDial: cancelDial})
		require.NoError(t, err)
		require.Zero(t, cancels.Load())
		require.Equal(t, time.Second+defaultCancelBound, time.Since(begun))
		require.Equal(t, "192.0.2.2:5432", c.Address())
		require.EqualValues(t, 1, d.opened.Load())
		require.NoError(t, c.Close(t.Context()))
	})
}

// TestOpenPrefersAStandby: pgx leaves a server that will do, and comes back to it when there is no better one.
func TestOpenPrefersAStandby(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := fakepg.New()
		defer server.Close()
		d := &dialer{next: server.Dial}
		cfg := parse(t, "host=192.0.2.1,192.0.2.2 user=app sslmode=disable target_session_attrs=prefer-standby")
		c, err := Open(t.Context(), cfg, Options{Dial: d.Dial})
		require.NoError(t, err)
		require.EqualValues(t, 3, d.dials.Load())
		require.EqualValues(t, 1, d.opened.Load())
		require.NoError(t, c.Look())
		require.NoError(t, c.Check(t.Context()))
		require.NoError(t, c.Close(t.Context()))
	})
}

// TestOpenWithoutTLS: sslmode=prefer falls back to plain text where the server speaks no TLS.
func TestOpenWithoutTLS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := fakepg.New()
		defer server.Close()
		d := &dialer{next: server.Dial}
		c, err := Open(t.Context(), parse(t, "host=192.0.2.1 user=app sslmode=prefer"), Options{Dial: d.Dial})
		require.NoError(t, err)
		require.False(t, c.TLS())
		require.EqualValues(t, 2, d.dials.Load())
		require.NoError(t, c.Look())
		require.NoError(t, c.Close(t.Context()))
		require.Zero(t, d.opened.Load())
	})
}

// TestOpenChainsHooks: what the user has put into the configuration still runs, and the configuration stays as it was.
func TestOpenChainsHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := fakepg.New()
		defer server.Close()
		var read, wrote, wrapped int
		cfg := server.Config()
		buildFrontend := cfg.BuildFrontend
		cfg.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
			return buildFrontend(readFunc(func(p []byte) (int, error) { read++; return r.Read(p) }),
				writeFunc(func(p []byte) (int, error) { wrote++; return w.Write(p) }))
		}
		cfg.AfterNetConnect = func(_ context.Context, _ *pgconn.Config, conn net.Conn) (net.Conn, error) {
			wrapped++
			return opaque{conn}, nil
		}
		sentinel := errors.New("untouched")
		cfg.DialFunc = func(context.Context, string, string) (net.Conn, error) { return nil, sentinel }
		c, err := Open(t.Context(), cfg, Options{Dial: server.Dial})
		require.NoError(t, err)
		require.NoError(t, c.Check(t.Context()))
		require.Positive(t, read)
		require.Positive(t, wrote)
		require.Equal(t, 1, wrapped)
		_, err = c.PGX().Exec(t.Context(), "set work_mem = '5MB'")
		require.NoError(t, err)
		require.Equal(t, ChangedSettings, c.Changes())
		_, err = cfg.DialFunc(t.Context(), "", "")
		require.ErrorIs(t, err, sentinel)
		require.NoError(t, c.Close(t.Context()))
	})
}

type (
	readFunc  func([]byte) (int, error)
	writeFunc func([]byte) (int, error)
)

func (f readFunc) Read(p []byte) (int, error)   { return f(p) }
func (f writeFunc) Write(p []byte) (int, error) { return f(p) }

// TestCancelGoesToTheAddressThatAnswered: not to where a name leads by then. A Unix socket, whose address the system
// does not tell, is dialled as the connection was.
func TestCancelGoesToTheAddressThatAnswered(t *testing.T) {
	address := realServer(t).Address()
	cfg := realConfig(t, false)
	cfg.LookupFunc = func(context.Context, string) ([]string, error) { return []string{"db.test"}, nil }
	var cancels []string
	c := open(t, cfg, Options{
		Dial: func(ctx context.Context, network, named string) (net.Conn, error) {
			require.Equal(t, net.JoinHostPort("db.test", portOf(address)), named)
			return DefaultDialer.DialContext(ctx, network, address)
		},
		CancelDial: func(ctx context.Context, network, address string) (net.Conn, error) {
			cancels = append(cancels, network+" "+address)
			return DefaultDialer.DialContext(ctx, network, address)
		},
	})
	require.Equal(t, address, c.Address())
	require.NoError(t, c.Cancel(t.Context()))
	require.Equal(t, []string{"tcp " + address}, cancels)

	synctest.Test(t, func(t *testing.T) {
		server := fakepg.New()
		defer server.Close()
		var dials []string
		cfg := parse(t, "host=/run/elsewhere,/run/here user=app port=5433")
		c, err := Open(t.Context(), cfg, Options{Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			if address == "/run/elsewhere/.s.PGSQL.5433" {
				return nil, errors.New("nobody there")
			}
			dials = append(dials, network+" "+address)
			return server.Dial(ctx, network, address)
		}})
		require.NoError(t, err)
		require.Equal(t, "/run/here/.s.PGSQL.5433", c.Address())
		require.NoError(t, c.Cancel(t.Context()))
		require.Equal(t, []string{"unix /run/here/.s.PGSQL.5433", "unix /run/here/.s.PGSQL.5433"}, dials)
		require.NoError(t, c.Close(t.Context()))
	})
}

// TestConstruct: pgx can take a connection apart and put it together again. What this package knows of it stays right.
func TestConstruct(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := fakepg.New()
		defer server.Close()
		c, err := Open(t.Context(), server.Config(), Options{Dial: server.Dial})
		require.NoError(t, err)
		hijacked, err := c.PGX().PgConn().Hijack()
		require.NoError(t, err)
		pg, err := pgconn.Construct(hijacked)
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Millisecond)
		defer cancel()
		require.ErrorContains(t, pg.Exec(ctx, "select pg_sleep(10)").Close(), "57014")
		require.NoError(t, pg.Exec(t.Context(), "set work_mem = '"+strconv.Itoa(5)+"MB'").Close())
		require.Equal(t, ChangedSettings, c.Changes())
		require.NoError(t, pg.Close(t.Context()))
		begun := time.Now()
		require.ErrorIs(t, c.Close(t.Context()), context.DeadlineExceeded, "what was taken away never tells its end")
		require.Equal(t, closeLimit+hijackGrace, time.Since(begun))
	})
}

// What Greet sets up is there, counts as set up and not as changed, and must be a connection that can serve.
func TestGreet(t *testing.T) {
	greeted := func(greet func(context.Context, *pgx.Conn) error) (*Conn, error) {
		return Open(t.Context(), realConfig(t, false), Options{Greet: greet})
	}
	c, err := greeted(func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "set application_name = 'greeted'")
		return err
	})
	require.NoError(t, err)
	var name string
	require.NoError(t, c.PGX().QueryRow(t.Context(), "show application_name").Scan(&name))
	require.Equal(t, "greeted", name)
	require.NotZero(t, c.SetUp()&ChangedSettings)
	require.Zero(t, c.Changes())
	shut(t, c)

	for reason, greet := range map[string]func(context.Context, *pgx.Conn) error{
		"no":     func(context.Context, *pgx.Conn) error { return errors.New("no") },
		"closed": func(ctx context.Context, conn *pgx.Conn) error { return conn.Close(ctx) },
		"unread": func(ctx context.Context, conn *pgx.Conn) error {
			_, err := conn.Query(ctx, "select generate_series(1, 10)")
			return err
		},
		"a transaction open": func(ctx context.Context, conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, "begin")
			return err
		},
	} {
		c, err := greeted(greet)
		require.ErrorContains(t, err, reason)
		require.Nil(t, c)
	}
}
