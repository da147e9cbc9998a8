package poolactor

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/backend"
	"github.com/seed-4ff2b7b9/supervised/internal/door"
	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

// gatekeeper has its own way to lease and to release, and counts both.
type gatekeeper struct {
	p                  *Pool
	refuse             error
	acquired, released int
}

func (g *gatekeeper) acquire(ctx context.Context) (*Lease, error) {
	if g.refuse != nil {
		return nil, g.refuse
	}
	l, err := g.p.Acquire(ctx)
	if err == nil {
		g.acquired++
	}
	return l, err
}

func (g *gatekeeper) release(l *Lease) {
	g.released++
	l.Release()
}

// doorCalls are all the calls that the door gives, each run to its end.
var doorCalls = map[string]func(ctx context.Context, c door.Calls) error{
	"exec":      func(ctx context.Context, c door.Calls) error { _, err := c.Exec(ctx, "select 1"); return err },
	"query row": func(ctx context.Context, c door.Calls) error { return c.QueryRow(ctx, "select 1").Scan(new(int)) },
	"ping":      func(ctx context.Context, c door.Calls) error { return c.Ping(ctx) },
	"query": func(ctx context.Context, c door.Calls) error {
		rows, err := c.Query(ctx, "select 1 from generate_series(1, 3)")
		if err != nil {
			return err
		}
		_, err = pgx.CollectRows(rows, pgx.RowTo[int])
		return err
	},
	"batch": func(ctx context.Context, c door.Calls) error {
		var b pgx.Batch
		b.Queue("select 1")
		return c.SendBatch(ctx, &b).Close()
	},
	"transaction": func(ctx context.Context, c door.Calls) error {
		tx, err := c.BeginTx(ctx, pgx.TxOptions{})
		if err != nil {
			return err
		}
		return tx.Commit(ctx)
	},
	"batch that begins a transaction": func(ctx context.Context, c door.Calls) error {
		var b pgx.Batch
		b.BeginTx(pgx.TxOptions{})
		b.Queue("select 1")
		results := c.SendBatch(ctx, &b)
		if err := results.Close(); err != nil {
			return errors.Join(err, results.Tx().Rollback(ctx))
		}
		return results.Tx().Rollback(ctx)
	},
}

// Every call takes its lease from whoever it was made for, and gives it back there, once.
func TestCallsOfSomebodyElse(t *testing.T) {
	inMemory(t, neverChecked(1), func(t *testing.T, p *Pool, server *fakepg.Server) {
		g := &gatekeeper{p: p}
		calls := door.NewCalls(g.acquire, g.release)
		for name, call := range doorCalls {
			*g = gatekeeper{p: p}
			require.NoError(t, call(t.Context(), calls), name)
			require.Equal(t, gatekeeper{p: p, acquired: 1, released: 1}, *g, name)

			*g = gatekeeper{p: p, refuse: errors.New("not today")}
			require.ErrorIs(t, call(t.Context(), calls), g.refuse, name)
			require.Zero(t, g.released, name)

			*g = gatekeeper{p: p}
			synctest.Wait()
			for _, pid := range server.PIDs() {
				server.Kill(pid)
			}
			require.NoError(t, call(t.Context(), calls), name)
			require.Equal(t, gatekeeper{p: p, acquired: 2, released: 2}, *g, "%s: again on another lease", name)
			require.Zero(t, p.Stat().Leased, name)
		}
	})
}

func TestCallsOfSomebodyElseSurvivePanics(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic("oh") }, "goexit": runtime.Goexit} {
		for call, run := range doorCalls {
			trace := &tracer{}
			inMemory(t, func(c *Config) { c.MaxSize = 1; c.ConnConfig.Tracer = trace }, func(t *testing.T, p *Pool, _ *fakepg.Server) {
				g := &gatekeeper{p: p}
				calls := door.NewCalls(g.acquire, g.release)
				for _, at := range []string{"query start", "batch start"} {
					trace.at, trace.do = at, end
					var caller sync.WaitGroup
					caller.Go(func() {
						defer func() { _ = recover() }()
						_ = run(t.Context(), calls)
					})
					caller.Wait()
				}
				trace.at = ""
				require.Equal(t, g.acquired, g.released, "%s: %s", name, call)
				require.Zero(t, p.Stat().Leased)
			})
		}
	}
}

func TestTheRawConnectionOfALease(t *testing.T) {
	for _, policy := range []ResetPolicy{ResetSmart, ResetNone} {
		inMemory(t, func(c *Config) { c.MaxSize = 1; c.Reset = policy; c.Health.Interval = -1 }, func(t *testing.T, p *Pool, _ *fakepg.Server) {
			l := acquired(t, p)
			require.Same(t, l.conn.PGX(), door.Raw(l))
			require.Equal(t, policy == ResetNone, l.conn.Changes()&backend.Unfenced != 0, "what is done past the fence is cleaned")
			require.NoError(t, l.Ping(t.Context()))
			pass(3 * time.Second)
			require.Equal(t, 3*time.Second, door.Rested(l))
			l.Release()
			require.Nil(t, door.Raw(l))
			require.Zero(t, door.Rested(l))
		})
	}
}

// The lease of a pool's transaction ends with it, but what its user has to know of is the end of the transaction.
func TestATransactionThatIsOver(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, _ *fakepg.Server) {
		ctx := t.Context()
		calls := door.NewCalls(p.Acquire, (*Lease).Release)
		tx, err := calls.BeginTx(ctx, pgx.TxOptions{})
		require.NoError(t, err)
		inner, err := tx.Begin(ctx)
		require.NoError(t, err)
		require.NoError(t, tx.Commit(ctx))
		for _, over := range []pgx.Tx{tx, inner} {
			_, err = over.Exec(ctx, "select 1")
			require.ErrorIs(t, err, pgx.ErrTxClosed)
			require.ErrorIs(t, over.QueryRow(ctx, "select 1").Scan(new(int)), pgx.ErrTxClosed)
			_, err = over.Begin(ctx)
			require.ErrorIs(t, err, pgx.ErrTxClosed)
			_, err = over.Prepare(ctx, "", "select 1")
			require.ErrorIs(t, err, pgx.ErrTxClosed)
			_, err = over.CopyFrom(ctx, pgx.Identifier{"t"}, nil, pgx.CopyFromRows(nil))
			require.ErrorIs(t, err, pgx.ErrTxClosed)
			require.ErrorIs(t, over.SendBatch(ctx, &pgx.Batch{}).Close(), pgx.ErrTxClosed)
			require.ErrorIs(t, over.Commit(ctx), pgx.ErrTxClosed)
			require.ErrorIs(t, over.Rollback(ctx), pgx.ErrTxClosed)
		}
	})
}
