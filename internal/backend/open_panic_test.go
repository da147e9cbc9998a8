package backend

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

// hooks are all the places where a user's code runs while a connection is opened.
var hooks = map[string]func(cfg *pgx.ConnConfig, o *Options, hook func()){
	"dial": func(_ *pgx.ConnConfig, o *Options, hook func()) {
		o.Dial = func(context.Context, string, string) (net.Conn, error) { hook(); return nil, nil }
	},
	"lookup": func(cfg *pgx.ConnConfig, _ *Options, hook func()) {
		cfg.LookupFunc = func(context.Context, string) ([]string, error) { hook(); return nil, nil }
	},
	"trace start": func(cfg *pgx.ConnConfig, _ *Options, hook func()) { cfg.Tracer = &tracer{start: hook} },
	"trace end":   func(cfg *pgx.ConnConfig, _ *Options, hook func()) { cfg.Tracer = &tracer{end: hook} },
	"net connect": func(cfg *pgx.ConnConfig, _ *Options, hook func()) {
		cfg.AfterNetConnect = func(context.Context, *pgconn.Config, net.Conn) (net.Conn, error) { hook(); return nil, nil }
	},
	"frontend": func(cfg *pgx.ConnConfig, _ *Options, hook func()) {
		cfg.BuildFrontend = func(io.Reader, io.Writer) *pgproto3.Frontend { hook(); return nil }
	},
	"validate": func(cfg *pgx.ConnConfig, _ *Options, hook func()) {
		cfg.ValidateConnect = func(context.Context, *pgconn.PgConn) error { hook(); return nil }
	},
	"validate, in a statement": func(cfg *pgx.ConnConfig, _ *Options, hook func()) {
		cfg.ValidateConnect = func(ctx context.Context, pg *pgconn.PgConn) error {
			pg.Exec(ctx, "select 1")
			hook()
			return nil
		}
	},
	"after connect": func(cfg *pgx.ConnConfig, _ *Options, hook func()) {
		cfg.AfterConnect = func(context.Context, *pgconn.PgConn) error { hook(); return nil }
	},
	"greet": func(_ *pgx.ConnConfig, o *Options, hook func()) {
		o.Greet = func(context.Context, *pgx.Conn) error { hook(); return nil }
	},
	"greet, in a statement": func(_ *pgx.ConnConfig, o *Options, hook func()) {
		o.Greet = func(ctx context.Context, conn *pgx.Conn) error {
			_, _ = conn.Query(ctx, "select 1")
			hook()
			return nil
		}
	},
	"parameter status": func(cfg *pgx.ConnConfig, _ *Options, hook func()) {
		cfg.OnPgError = func(*pgconn.PgConn, *pgconn.PgError) bool { hook(); return false }
		cfg.AfterConnect = func(ctx context.Context, pg *pgconn.PgConn) error { return pg.Exec(ctx, "fail 23505").Close() }
	},
	"socket": func(_ *pgx.ConnConfig, o *Options, hook func()) {
		dial := o.Dial
		o.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			return &hookedConn{conn, hook}, err
		}
	},
}

type tracer struct{ start, end func() }

func (*tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}
func (*tracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (t *tracer) TraceConnectStart(ctx context.Context, _ pgx.TraceConnectStartData) context.Context {
	if t.start != nil {
		t.start()
	}
	return ctx
}

func (t *tracer) TraceConnectEnd(context.Context, pgx.TraceConnectEndData) {
	if t.end != nil {
		t.end()
	}
}

// hookedConn calls its hook when it is written to.
type hookedConn struct {
	net.Conn
	hook func()
}

func (c *hookedConn) Write([]byte) (int, error) { c.hook(); return 0, nil }

// TestOpenContainsPanics: whatever of the user's panics, Open says so, and nothing is left behind. The same with
// runtime.Goexit, but for the saying.
func TestOpenContainsPanics(t *testing.T) {
	for name, install := range hooks {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := fakepg.New()
				defer server.Close()
				for _, end := range []func(){func() { panic(io.ErrNoProgress) }, runtime.Goexit} {
					called := false
					d := &dialer{next: server.Dial}
					cfg, o := server.Config(), Options{Dial: d.Dial, CancelDial: server.CancelDial}
					install(cfg, &o, func() { called = true; end() })
					var c *Conn
					var err error
					var wg sync.WaitGroup
					wg.Go(func() { c, err = Open(t.Context(), cfg, o) })
					wg.Wait()
					require.True(t, called)
					require.Nil(t, c)
					require.Zero(t, d.opened.Load())
					if err != nil {
						require.ErrorIs(t, err, io.ErrNoProgress)
						var p *PanicError
						require.ErrorAs(t, err, &p)
						require.Contains(t, string(p.Stack), "open_panic_test.go")
						require.EqualError(t, err, "backend: panic while connecting: "+io.ErrNoProgress.Error())
					}
				}
			})
		})
	}
}

func TestPanicWithoutAnError(t *testing.T) {
	require.NoError(t, errors.Unwrap(&PanicError{Value: "no error"}))
	_, err := Open(t.Context(), nil, Options{})
	var p *PanicError
	require.ErrorAs(t, err, &p, "no configuration")
	_, err = Open(t.Context(), &pgx.ConnConfig{}, Options{})
	require.ErrorContains(t, err, "ParseConfig")
}
