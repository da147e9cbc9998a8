// Package canary drives every door through which a pool tells something, with a password that would be recognised.
package canary

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/actors"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/internal/secret/canary"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// printout is everything that was told.
type printout struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *printout) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *printout) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// print prints values as people print them who want to see everything, their errors' causes included.
func (p *printout) print(values ...any) {
	for _, v := range values {
		fmt.Fprintf(p, "%v %+v %#v %q\n", v, v, v, fmt.Sprint(v))
		if text, err := json.Marshal(v); err == nil {
			fmt.Fprintf(p, "%s\n", text)
		}
		if err, ok := v.(error); ok {
			p.causes(err)
		}
	}
}

// causes prints what stands behind an error.
func (p *printout) causes(err error) {
	switch e := err.(type) { //nolint:errorlint // each of the links is wanted, one by one
	case interface{ Unwrap() error }:
		if cause := e.Unwrap(); cause != nil {
			p.print(cause)
		}
	case interface{ Unwrap() []error }:
		for _, cause := range e.Unwrap() {
			p.print(cause)
		}
	}
}

// open opens a pool that tells everything to the printout.
func (p *printout) open(t *testing.T, cfg poolactor.Config) *poolactor.Pool {
	t.Helper()
	logger := zerolog.New(p).Level(zerolog.TraceLevel)
	cfg.Logger = &logger
	cfg.RecordStacks = true
	cfg.Retry.Initial = 100 * time.Millisecond
	pool, err := poolactor.Open(t.Context(), cfg)
	require.NoError(t, err)
	told := make(chan struct{})
	events := pool.Events(context.Background())
	go func() {
		defer close(told)
		for e := range events {
			p.print(e)
		}
	}()
	t.Cleanup(func() {
		p.print(pool.Close(), pool.Err())
		<-told
	})
	return pool
}

// look prints what a pool shows of itself.
func (p *printout) look(pool *poolactor.Pool) {
	p.print(pool.Stat(), pool.Holders(), pool.Slots(), pool.Contact(), pool.Target(), pool.Snapshot())
	for node := range pool.Snapshot().All() {
		p.print(node)
	}
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func parse(t *testing.T, dsn string) poolactor.Config {
	t.Helper()
	cfg, err := poolactor.ParseConfig(dsn)
	require.NoError(t, err)
	require.Equal(t, canary.Password, cfg.ConnConfig.Password)
	return cfg
}

// The password is in use behind each of these doors, and comes out of none.
func TestNothingTellsThePassword(t *testing.T) {
	server := pgtest.Own(t, postgres.Options{Password: canary.Password})
	for name, drive := range map[string]func(*testing.T, *postgres.Server, *printout){
		"work":              work,
		"panics":            panics,
		"outage":            outage,
		"refusal":           refusal,
		"no TLS":            noTLS,
		"shutdown":          shutdown,
		"hooks that babble": babble,
	} {
		t.Run(name, func(t *testing.T) {
			out := &printout{}
			t.Cleanup(func() { // after the pool was closed
				require.NotEmpty(t, out.String())
				require.Empty(t, canary.Find(out.String()))
			})
			drive(t, server, out)
		})
	}
}

func work(t *testing.T, server *postgres.Server, out *printout) {
	pool := out.open(t, parse(t, server.DSN()))
	ctx := poolactor.WithLabel(within(t, time.Minute), "a label")
	require.NoError(t, pool.With(ctx, func(ctx context.Context, l *poolactor.Lease) error {
		out.look(pool)
		out.print(l, pool.Holders())
		_, err := l.Exec(ctx, "select nonsense")
		out.print(err)
		_, err = l.Exec(within(t, 10*time.Millisecond), "select pg_sleep(1)")
		out.print(err)
		return l.Raw(func(conn *pgx.Conn) error {
			out.print(conn.PgConn().PID())
			_, err := conn.Exec(ctx, "select pg_terminate_backend(pg_backend_pid())")
			out.print(err)
			return nil
		})
	}))
	out.print(pool.Ping(ctx))
	_, err := pool.Exec(ctx, "select 1 / 0")
	require.Error(t, err)
	out.print(err)
	out.look(pool)
}

func panics(t *testing.T, server *postgres.Server, out *printout) {
	cfg := parse(t, server.DSN())
	first := true
	cfg.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if first {
			first = false
			panic(fmt.Sprintf("cannot dial as %s with %s", cfg.ConnConfig.User, cfg.ConnConfig.Password))
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	cfg.Retry.MaxDials = 1
	pool := out.open(t, cfg)
	require.NoError(t, pool.Ping(within(t, time.Minute)))
	func() {
		defer func() { out.print(recover()) }()
		_ = pool.With(within(t, time.Minute), func(_ context.Context, l *poolactor.Lease) error {
			panic(&actors.PanicError{Value: fmt.Sprintf("%+v", l)})
		})
	}()
	out.look(pool)
}

func outage(t *testing.T, _ *postgres.Server, out *printout) {
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, nobody.Close())
	u := url.URL{Scheme: "postgres", User: url.UserPassword("postgres", canary.Password), Host: nobody.Addr().String(), Path: "/postgres"}
	pool := out.open(t, parse(t, u.String()))
	_, err = pool.Acquire(within(t, 500*time.Millisecond))
	var down *poolactor.UnavailableError
	require.ErrorAs(t, err, &down)
	out.print(err, down.Target, down.Err)
	out.look(pool)
}

func refusal(t *testing.T, server *postgres.Server, out *printout) {
	for _, change := range []func(*poolactor.Config){
		func(c *poolactor.Config) { c.ConnConfig.Password += "!" },
		func(c *poolactor.Config) { c.ConnConfig.User = "nobody" },
		func(c *poolactor.Config) { c.ConnConfig.Database = "nowhere" },
		func(c *poolactor.Config) { c.ConnConfig.RuntimeParams["work_mem"] = canary.Password },
	} {
		cfg := parse(t, server.DSN())
		change(&cfg)
		pool := out.open(t, cfg)
		_, err := pool.Acquire(within(t, time.Minute))
		var refused *poolactor.UnavailableError
		require.ErrorAs(t, err, &refused)
		require.True(t, refused.Refused, "%v", err)
		out.print(err, pool.WaitReady(within(t, time.Minute)))
		out.look(pool)
	}
}

func noTLS(t *testing.T, server *postgres.Server, out *printout) {
	cfg := parse(t, server.DSN())
	cfg.ConnConfig.TLSConfig = &tls.Config{ServerName: "elsewhere", MinVersion: tls.VersionTLS12}
	cfg.ConnConfig.Fallbacks = nil
	pool := out.open(t, cfg)
	_, err := pool.Acquire(within(t, time.Minute))
	var refused *poolactor.UnavailableError
	require.ErrorAs(t, err, &refused)
	require.True(t, refused.Refused, "%v", err)
	out.print(err)
	out.look(pool)
}

func shutdown(t *testing.T, server *postgres.Server, out *printout) {
	pool := out.open(t, parse(t, server.DSN()))
	l, err := pool.Acquire(within(t, time.Minute))
	require.NoError(t, err)
	err = pool.Shutdown(within(t, 20*time.Millisecond))
	var late *poolactor.ShutdownError
	require.ErrorAs(t, err, &late)
	_, used := l.Exec(within(t, time.Minute), "select 1")
	_, closed := pool.Acquire(within(t, time.Minute))
	require.Error(t, used)
	require.ErrorIs(t, closed, poolactor.ErrClosed)
	out.print(err, used, closed, late.Holders)
	out.look(pool)
}

// babble is a DialFunc and a LookupFunc whose errors quote what they should not know.
func babble(t *testing.T, server *postgres.Server, out *printout) {
	for _, spelling := range []string{canary.Password, url.QueryEscape(canary.Password), server.DSN(), fmt.Sprintf("%q", canary.Password)} {
		cfg := parse(t, server.DSN())
		cfg.ConnConfig.Host = "db.test"
		cfg.LookupFunc = func(context.Context, string) ([]string, error) {
			return nil, errors.New("cannot resolve for " + spelling)
		}
		pool := out.open(t, cfg)
		_, err := pool.Acquire(within(t, 300*time.Millisecond))
		require.Error(t, err)
		out.print(err)
		out.look(pool)
	}
}

// A connection string that cannot be parsed is not quoted.
func TestABadConnectionStringIsNotQuoted(t *testing.T) {
	out := &printout{}
	inURL := strings.TrimPrefix(url.UserPassword("", canary.Password).String(), ":")
	inKeywords := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(canary.Password)
	for _, dsn := range []string{
		"postgres://app:" + inURL + "@db.test:notaport/app",
		"postgres://app:" + canary.Password + "@db.test/app",
		"postgres://app:" + inURL + "@db.test/app?sslmode=nonsense",
		"postgres://app:" + inURL + "@db.test/app?connect_timeout=soon",
		"postgres://app:" + inURL + "@db.test/app?sslrootcert=/nowhere/" + inURL,
		"postgres://app:" + inURL + "@[::1/app",
		"host=db.test password='" + inKeywords,
		"host=db.test port=x password='" + inKeywords + "'",
		"password=" + canary.Password,
		"postgres://app@db.test/app?pool_size=x&port=" + inURL,
	} {
		_, err := poolactor.ParseConfig(dsn)
		require.Error(t, err)
		out.print(err)
	}
	_, err := poolactor.Open(t.Context(), poolactor.Config{})
	require.Error(t, err)
	cfg, err := poolactor.ParseConfig("host=db.test password='" + inKeywords + "'")
	require.NoError(t, err)
	cfg.MinSize = 100
	_, err = poolactor.Open(t.Context(), cfg)
	require.Error(t, err)
	out.print(err)
	require.Empty(t, canary.Find(out.String()))
}
