// Package server holds the pool against a real PostgreSQL: what only a server can show about leases, statements,
// sessions, log-ins and the end of a pool.
package server

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/faultproxy"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// patience bounds whatever a test waits for, on a machine that is busy with others.
const patience = 30 * time.Second

// applications counts the pools, each of which the server knows by a name of its own.
var applications atomic.Int64

// configure reads a connection string, changed as the test wants it. Afterwards the server must have no backend left
// under the name in it.
func configure(t *testing.T, dsn string, change func(*poolactor.Config)) poolactor.Config {
	t.Helper()
	cfg, err := poolactor.ParseConfig(dsn)
	require.NoError(t, err)
	cfg.ConnConfig.RuntimeParams["application_name"] = fmt.Sprintf("pool-%d", applications.Add(1))
	if change != nil {
		change(&cfg)
	}
	return cfg
}

// open opens a pool on the shared server, closes it with the test, and asks the server whether anything is left of it.
func open(t *testing.T, change func(*poolactor.Config)) *poolactor.Pool {
	t.Helper()
	dsn := pgtest.Server(t).DSN()
	cfg := configure(t, dsn, change)
	p, err := poolactor.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = p.Close() // what a test closes itself, it judges itself
		require.Zero(t, p.Stat().Total())
		beside := connect(t, dsn)
		require.Eventually(t, func() bool {
			return backends(t, beside, cfg.ConnConfig.RuntimeParams["application_name"]) == 0
		}, patience, time.Millisecond, "the server has no backend of the pool left")
		require.NoError(t, beside.Close(context.Background()))
	})
	return p
}

// backends counts the server's processes for one application.
func backends(t *testing.T, beside *pgx.Conn, application string) int {
	t.Helper()
	return ask[int](t, beside, "select count(*) from pg_stat_activity where application_name = $1", application)
}

// connect is a connection beside the pool; its maker closes it, or the test's end.
func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(within(t, patience), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// within is a context with a deadline, cancelled with the test.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

type querier interface {
	QueryRow(context.Context, string, ...any) pgx.Row
}

// ask runs a query for one value.
func ask[T any](t *testing.T, q querier, sql string, args ...any) (value T) {
	t.Helper()
	require.NoError(t, q.QueryRow(within(t, patience), sql, args...).Scan(&value))
	return value
}

func acquire(t *testing.T, p *poolactor.Pool) *poolactor.Lease {
	t.Helper()
	l, err := p.Acquire(within(t, patience))
	require.NoError(t, err)
	return l
}

// single makes a pool of one connection, so that every lease is on the same.
func single(c *poolactor.Config) { c.MaxSize = 1 }

// pidOf is the server process that a lease is on.
func pidOf(t *testing.T, q querier) int { return ask[int](t, q, "select pg_backend_pid()") }

// counted counts the dials of a pool; those of cancel requests go another way.
func counted(c *poolactor.Config, dials *atomic.Int64) {
	c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		dials.Add(1)
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	c.CancelDialFunc = (&net.Dialer{}).DialContext
}

// proxied puts a proxy before the shared server.
func proxied(t *testing.T) (*faultproxy.Proxy, func(*poolactor.Config)) {
	t.Helper()
	proxy, err := faultproxy.New(pgtest.Server(t).Address())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, proxy.Close()) })
	return proxy, func(c *poolactor.Config) {
		c.ConnConfig.Port = uint16(proxy.Port())
		for _, f := range c.ConnConfig.Fallbacks {
			f.Port = uint16(proxy.Port())
		}
	}
}

// table makes an empty table that goes with the test.
func table(t *testing.T, name, columns string) pgx.Identifier {
	t.Helper()
	conn := connect(t, pgtest.Server(t).DSN())
	id := pgx.Identifier{name}
	_, err := conn.Exec(within(t, patience), "drop table if exists "+id.Sanitize()+"; create table "+id.Sanitize()+" ("+columns+")")
	require.NoError(t, err)
	require.NoError(t, conn.Close(within(t, patience)))
	return id
}

// paper is a log that can be read while it is written.
type paper struct {
	mu   sync.Mutex
	text strings.Builder
}

func (p *paper) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *paper) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

func (p *paper) logger() *zerolog.Logger {
	l := zerolog.New(p).Level(zerolog.DebugLevel)
	return &l
}
