package stdlib_test

import (
	"context"
	"database/sql"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/poolactor/stdlib"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// patience bounds whatever a test waits for, on a machine that is busy with others.
const patience = 30 * time.Second

// stage is a *sql.DB with the pool and the server below it.
type stage struct {
	*sql.DB
	pool   *poolactor.Pool
	server *fakepg.Server // nil: a real one
}

// inMemory runs f in fake time with a pool of three over an in-memory server, which checks nothing that it hands out.
func inMemory(t *testing.T, change func(*poolactor.Config), f func(t *testing.T, s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server := fakepg.New()
		defer server.Close()
		cfg := poolactor.Config{
			ConnConfig: server.Config(), MaxSize: 3,
			DialFunc: server.Dial, CancelDialFunc: server.CancelDial, LookupFunc: server.Lookup,
			Retry:  poolactor.RetryConfig{Jitter: -1},
			Health: poolactor.HealthConfig{OnAcquire: poolactor.CheckNever, Interval: -1},
		}
		s := open(t, cfg, change)
		defer s.pool.Close() // also when f fails
		defer s.Close()
		s.server = server
		f(t, s)
		require.NoError(t, s.Close())
		synctest.Wait()
		require.Zero(t, s.pool.Stat().Leased)
		require.NoError(t, s.pool.Close())
	})
}

// onServer is a *sql.DB on the shared server. It looks at the end that every lease came back.
func onServer(t *testing.T, change func(*poolactor.Config)) *stage {
	t.Helper()
	return onDSN(t, pgtest.Server(t).DSN(), change)
}

func onDSN(t *testing.T, dsn string, change func(*poolactor.Config)) *stage {
	t.Helper()
	cfg, err := poolactor.ParseConfig(dsn)
	require.NoError(t, err)
	s := open(t, cfg, change)
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		require.Zero(t, s.pool.Stat().Leased)
		require.NoError(t, s.pool.Close())
	})
	return s
}

func open(t *testing.T, cfg poolactor.Config, change func(*poolactor.Config)) *stage {
	t.Helper()
	if change != nil {
		change(&cfg)
	}
	pool, err := poolactor.Open(t.Context(), cfg)
	require.NoError(t, err)
	return &stage{DB: stdlib.OpenDB(pool), pool: pool}
}

// single makes a pool of one connection, so that every lease is on the same.
func single(c *poolactor.Config) { c.MaxSize = 1 }

// within is a context with a deadline, cancelled with the test.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// querier is what a *sql.DB, a *sql.Conn and a *sql.Tx have in common.
type querier interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
	QueryRowContext(context.Context, string, ...any) *sql.Row
	PrepareContext(context.Context, string) (*sql.Stmt, error)
}

// ask runs a query for one value.
func ask[T any](t *testing.T, q querier, query string, args ...any) (value T) {
	t.Helper()
	require.NoError(t, q.QueryRowContext(within(t, patience), query, args...).Scan(&value))
	return value
}

func do(t *testing.T, q querier, query string, args ...any) {
	t.Helper()
	_, err := q.ExecContext(within(t, patience), query, args...)
	require.NoError(t, err)
}

// hold is a sql.Conn, closed with the test.
func (s *stage) hold(t *testing.T) *sql.Conn {
	t.Helper()
	conn, err := s.Conn(within(t, patience))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
