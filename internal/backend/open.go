package backend

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgproto3"
)

// PanicError is a panic of something that the user supplied (a dialer, a tracer, a hook of the configuration) while a
// connection was opened.
type PanicError struct {
	Value any    // what was given to panic
	Stack []byte // where
}

func (e *PanicError) Error() string {
	return fmt.Sprintf("backend: panic while connecting: %v", e.Value)
}

// Unwrap returns Value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// Open opens a connection as pgx does it: hosts, fallbacks and hooks as cfg says, but for the dialer and the context
// watcher, which are this package's own. cfg must come from [pgx.ParseConfig]; it is copied, never changed. ctx bounds
// only Open. A panic of the user's code in it is returned as a *[PanicError]. After an error no socket is left open
// and no goroutine runs on.
func Open(ctx context.Context, cfg *pgx.ConnConfig, o Options) (c *Conn, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // also ends a watch on ctx that a panic left behind
	op := &opening{options: o.withDefaults()}
	// Deferred rather than done at each return, so that a runtime.Goexit in a hook leaves nothing behind either.
	defer func() {
		if c != nil {
			return
		}
		if p := recover(); p != nil {
			err = &PanicError{Value: p, Stack: debug.Stack()}
		}
		op.discard()
	}()
	conn, err := pgx.ConnectConfig(context.WithValue(ctx, attemptKey{}, op), op.configure(cfg))
	if err != nil {
		return nil, err
	}
	if greet := op.options.Greet; greet != nil {
		if err := greet(ctx, conn); err != nil {
			return nil, err
		}
		if err := fitAfter(conn.PgConn()); err != nil {
			return nil, err
		}
	}
	l := op.current.Load()
	return &Conn{link: l, conn: conn, look: newLooker(l.socket), openedAt: time.Now(), setUp: l.setUp()}, nil
}

// fitAfter says why a connection cannot serve anybody after what Greet did to it.
func fitAfter(pg *pgconn.PgConn) error {
	switch {
	case pg.IsClosed():
		return errors.New("backend: the connection was closed or lost while it was being set up")
	case pg.IsBusy():
		return errors.New("backend: the set-up of the connection has left rows or results unread: close them")
	case pg.TxStatus() != 'I':
		return errors.New("backend: the set-up of the connection has left a transaction open: end it")
	default:
		return nil
	}
}

// attemptKey marks the context of an Open, by its *opening: what is dialled with it is to become a connection, and what
// is dialled without it carries a cancel request.
type attemptKey struct{}

// opening is what the hooks in a connection's configuration lead to, for as long as the connection lives. But for
// current, only the goroutine of Open uses it.
type opening struct {
	options Options
	current atomic.Pointer[link] // the latest socket; the connection's own once Open has returned
}

// configure returns a copy of cfg that dials, reads, writes and cancels through this package.
func (op *opening) configure(cfg *pgx.ConnConfig) *pgx.ConnConfig {
	cfg = cfg.Copy()
	cfg.DialFunc = op.dial
	contain(cfg.TLSConfig)
	for _, other := range cfg.Fallbacks {
		contain(other.TLSConfig)
	}
	cfg.BuildContextWatcherHandler = func(pg *pgconn.PgConn) ctxwatch.Handler {
		l := op.current.Load()
		if l.pg == nil { // else pgconn.Construct makes a new one over the same socket
			l.pg = pg
		}
		return &deadline{link: l, pg: pg}
	}
	afterNetConnect := cfg.AfterNetConnect
	cfg.AfterNetConnect = func(ctx context.Context, c *pgconn.Config, conn net.Conn) (net.Conn, error) {
		l := op.current.Load()
		_, l.tls = conn.(*tls.Conn)
		if afterNetConnect != nil {
			var err error
			if conn, err = afterNetConnect(ctx, c, conn); err != nil {
				return conn, err
			}
		}
		_, l.clear = conn.(*wire)
		l.wrapped = !l.clear
		return conn, nil
	}
	buildFrontend := cfg.BuildFrontend
	cfg.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		l := op.current.Load()
		t := &tap{link: l, r: r, w: w}
		if l.pg == nil { // else pgconn.Construct makes a new one over the same socket
			l.tap = t
		}
		return buildFrontend(t, t)
	}
	return cfg
}

// dial is where every socket comes from that pgx asks for.
func (op *opening) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if ctx.Value(attemptKey{}) == op {
		return op.attempt(ctx, network, address)
	}
	if f, ok := ctx.Value(flightKey{}).(*flight); ok {
		return f.dial(ctx)
	}
	if l := op.current.Load(); l != nil {
		return l.dialForPGX(ctx)
	}
	return nil, errors.New("backend: pgx connects without the context it was given: does a tracer replace it?")
}

var errNoSocket = errors.New("backend: the dialer returned neither a socket nor an error")

// attempt dials for a connection. The socket before it, if there was one, has failed.
func (op *opening) attempt(ctx context.Context, network, address string) (net.Conn, error) {
	op.discard()
	socket, err := op.options.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if socket == nil {
		return nil, errNoSocket
	}
	l := newLink(op.options, socket, network, address)
	op.current.Store(l)
	return &wire{Conn: socket, link: l}, nil
}

// discard closes the latest socket and joins what used it.
func (op *opening) discard() {
	if l := op.current.Load(); l != nil {
		l.cutShort()
		l.join()
		op.current.Store(nil)
	}
}
