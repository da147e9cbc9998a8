package lab

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/rs/zerolog"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// Row 14: what the user supplied panics or blocks, and the runtime is busy with itself. The peers are put to the last of
// these only: in pgxpool a panic of a dialer or a hook, and in each of them one of a source of rows, ends the process.

// ofTheClock is why no row sets the wall clock.
const ofTheClock = "no row sets the wall clock: internal/archtest asserts that nothing of the pool decides by it"

// foreignFor is how long each of these goes on.
const foreignFor = 8 * time.Second

func foreigners() []Row {
	return []Row{
		{
			ID: "14-dial", Fault: fmt.Sprintf("panics while connections are opened, closed and cancelled, for %v: dialers, lookup, hooks, TLS callbacks, tracers", foreignFor),
			Alone: true, Bounds: []Bound{NothingFails}, Run: panicsWhileDialling,
		},
		{
			ID:    "14-call",
			Fault: fmt.Sprintf("panics in calls, for %v: each method of the tracers of statements, leases and pools, OnNotice, OnNotification, OnPgError, functions handed over, sources of rows", foreignFor),
			Alone: true, Short: true, Bounds: []Bound{HitsSomebody}, Run: panicsInCalls,
		},
		{
			ID: "14-log", Fault: "a log whose writer takes a second for each line and whose hook panics, subscribers that read nothing: kill -9, down 1 s",
			Timed: true, Alone: true, Bounds: []Bound{DialsWithin(80), FirstWithin(100 * time.Millisecond)}, Run: deafLog,
		},
		{
			ID: "14-gc", Fault: fmt.Sprintf("the garbage collector without a pause, beside goroutines that allocate, for %v", foreignFor),
			Bounds: []Bound{NothingFails}, Run: garbage,
		},
	}
}

// panicsWhileDialling lets connections grow old soon, and everything panic that has a part in opening the next one, which
// is encrypted and for which the server asks for a certificate. A dial that fails costs nobody a call.
func panicsWhileDialling(ctx context.Context, l *Lab, k Kind) (Result, error) {
	m := newMine(0.05)
	files, trusted, err := postgres.Certificate()
	if err != nil {
		return Result{}, err
	}
	encrypted := postgres.Options{Files: files, Settings: map[string]string{"ssl": "on", "ssl_ca_file": "server.crt"}}
	setup := Setup{Load: callOrGiveUp, Tuning: Tuning{Ours: func(c *poolactor.Config) {
		c.MaxLifetime, c.MaxLifetimeJitter = time.Second, time.Second/2
		c.ConnConfig.TLSConfig = m.handshake(trusted, c.ConnConfig.Host)
		m.layWhereDialled(c)
	}}}
	return l.on(ctx, k, encrypted, setup, func(x *Experiment, _ *postgres.Server) error {
		m.rage(ctx, x, "DialFunc", "CancelDialFunc", "LookupFunc", "AfterNetConnect", "BuildFrontend", "ValidateConnect",
			"PgConn AfterConnect", "BeforeConnect", "AfterConnect", "BeforeClose", "DialTracer.DialEnd",
			"GetClientCertificate", "VerifyPeerCertificate", "VerifyConnection", "ConnectTracer start", "ConnectTracer end")
		return nil
	})
}

// handshake makes everything panic that a user can supply for the handshake of TLS.
func (m *mine) handshake(trusted *x509.CertPool, host string) *tls.Config {
	return &tls.Config{
		RootCAs: trusted, ServerName: host,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			m.step("GetClientCertificate")
			return new(tls.Certificate), nil // none: the server does without
		},
		VerifyPeerCertificate: func([][]byte, [][]*x509.Certificate) error { m.step("VerifyPeerCertificate"); return nil },
		VerifyConnection:      func(tls.ConnectionState) error { m.step("VerifyConnection"); return nil },
	}
}

// layWhereDialled makes everything panic that a user can supply for the opening, the closing and the cancelling of a
// connection.
func (m *mine) layWhereDialled(c *poolactor.Config) {
	dial, cancel, host := c.DialFunc, c.CancelDialFunc, c.ConnConfig.Host
	c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		m.step("DialFunc")
		return dial(ctx, network, address)
	}
	c.CancelDialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		m.step("CancelDialFunc")
		return cancel(ctx, network, address)
	}
	c.LookupFunc = func(context.Context, string) ([]string, error) {
		m.step("LookupFunc")
		return []string{host}, nil
	}
	c.BeforeConnect = func(context.Context, *pgx.ConnConfig) error { m.step("BeforeConnect"); return nil }
	c.AfterConnect = func(context.Context, *pgx.Conn) error { m.step("AfterConnect"); return nil }
	c.BeforeClose = func(*pgx.Conn) { m.step("BeforeClose") }
	c.Tracer = dialTracer{leaseTracer{newMine(0)}, m}
	cc := c.ConnConfig
	cc.Host = nameOfServer
	for _, other := range cc.Fallbacks {
		other.Host = nameOfServer
	}
	cc.AfterNetConnect = func(_ context.Context, _ *pgconn.Config, conn net.Conn) (net.Conn, error) {
		m.step("AfterNetConnect")
		return conn, nil
	}
	build := cc.BuildFrontend
	cc.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		m.step("BuildFrontend")
		return build(r, w)
	}
	cc.ValidateConnect = func(context.Context, *pgconn.PgConn) error { m.step("ValidateConnect"); return nil }
	cc.AfterConnect = func(context.Context, *pgconn.PgConn) error { m.step("PgConn AfterConnect"); return nil }
	cc.Tracer = connectTracer{tracer{newMine(0)}, m}
}

// callOrGiveUp makes a call of the usual mix, or one that gives up in the middle of its statement, which is no failure.
func callOrGiveUp(w *workload) error {
	if rand.IntN(4) > 0 {
		return w.call()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	err := w.pool.Do(ctx, func(ctx context.Context, s Session, _ *pgconn.PgConn) error {
		_, err := s.Exec(ctx, "select pg_sleep(1)")
		return err
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	c := Call{Began: time.Now(), Ended: time.Now(), Err: fmt.Errorf("a call that was to give up: %w", err)}
	w.note(c)
	return c.Err
}

// deafLog kills the server while nobody listens to what the pool has to say.
func deafLog(ctx context.Context, l *Lab, k Kind) (Result, error) {
	m := newMine(0.2)
	free := make(chan struct{})
	setup := Setup{Tuning: Tuning{Ours: func(c *poolactor.Config) {
		log := zerolog.New(slowWriter{free}).Hook(zerolog.HookFunc(func(*zerolog.Event, zerolog.Level, string) { m.step("hook") }))
		c.Logger = &log
	}}}
	server, err := l.server(ctx, postgres.Options{})
	if err != nil {
		return Result{}, err
	}
	defer server.Close()
	setup.DSN, setup.Log = server.DSN(), server.Log
	x, err := Begin(ctx, k, setup)
	if err != nil {
		return Result{}, err
	}
	listen, ignore := context.WithCancel(ctx)
	defer ignore()
	for range 10 {
		x.Pool().Events(listen)
	}
	err = x.overflow(ctx)
	if err == nil {
		x.lookAfterBackends()
		var f *Fault
		if f, err = x.killAndStart(ctx, server, time.Second); err == nil {
			x.Accepted(ctx, f, server.AcceptedAt(), bareLogIn(ctx, server))
		}
	}
	ignore()
	close(free)
	return x.Finish(ctx), err
}

// overflow makes events happen until subscribers that read nothing have no room for more.
func (x *Experiment) overflow(ctx context.Context) (err error) {
	full := until(ctx, eventually, func() bool {
		err = x.Pool().Evict(ctx, 0)
		return err != nil || x.Pool().Stat().LostEvents > 0
	})
	if !full && err == nil {
		err = errors.New("no event was lost")
	}
	return err
}

// slowWriter takes a second for each line, until it is freed.
type slowWriter struct{ free chan struct{} }

func (s slowWriter) Write(p []byte) (int, error) {
	select {
	case <-s.free:
	case <-time.After(time.Second):
	}
	return len(p), nil
}

// garbage keeps the collector running, and a processor busy with allocations.
func garbage(ctx context.Context, l *Lab, k Kind) (Result, error) {
	return l.on(ctx, k, postgres.Options{}, Setup{}, func(x *Experiment, _ *postgres.Server) error {
		over, end := context.WithTimeout(ctx, foreignFor)
		defer end()
		var busy sync.WaitGroup
		before := collections()
		for range 2 {
			busy.Go(func() {
				var kept [1024][]byte
				for n := 0; over.Err() == nil; n++ {
					kept[n%len(kept)] = make([]byte, 1+rand.IntN(64<<10))
				}
			})
		}
		busy.Go(func() {
			for over.Err() == nil {
				runtime.GC()
			}
		})
		busy.Wait()
		x.Note("%s", ofTheClock)
		x.Note("the garbage was collected %d times", collections()-before)
		return nil
	})
}

func collections() uint32 {
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.NumGC
}

// connectTracer traces the opening of connections, besides calls.
type connectTracer struct {
	tracer
	opening *mine
}

func (t connectTracer) TraceConnectStart(ctx context.Context, _ pgx.TraceConnectStartData) context.Context {
	t.opening.step("ConnectTracer start")
	return ctx
}

func (t connectTracer) TraceConnectEnd(context.Context, pgx.TraceConnectEndData) {
	t.opening.step("ConnectTracer end")
}
