package poolactor

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

// Everything that a lease can do is over after Release, and says so.
func TestAReleasedLeaseDoesNothing(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		ctx := t.Context()
		l, err := p.Acquire(ctx)
		require.NoError(t, err)
		tx, err := l.Begin(ctx)
		require.NoError(t, err)
		l.Release()
		synctest.Wait()

		_, err = l.Exec(ctx, "select 1")
		require.ErrorIs(t, err, ErrReleased)
		_, err = l.Query(ctx, "select 1")
		require.ErrorIs(t, err, ErrReleased)
		require.ErrorIs(t, l.QueryRow(ctx, "select 1").Scan(new(int)), ErrReleased)
		require.ErrorIs(t, l.Ping(ctx), ErrReleased)
		_, err = l.Begin(ctx)
		require.ErrorIs(t, err, ErrReleased)
		_, err = l.CopyFrom(ctx, pgx.Identifier{"t"}, []string{"a"}, pgx.CopyFromRows(nil))
		require.ErrorIs(t, err, ErrReleased)
		require.ErrorIs(t, l.Raw(func(*pgx.Conn) error { return nil }), ErrReleased)
		_, err = l.Hijack()
		require.ErrorIs(t, err, ErrReleased)
		b := l.SendBatch(ctx, &pgx.Batch{})
		_, err = b.Exec()
		require.ErrorIs(t, err, ErrReleased)
		_, err = b.Query()
		require.ErrorIs(t, err, ErrReleased)
		require.ErrorIs(t, b.QueryRow().Scan(new(int)), ErrReleased)
		require.Nil(t, b.Tx())
		require.ErrorIs(t, b.Close(), ErrReleased)
		l.Discard()

		_, err = tx.Exec(ctx, "select 1")
		require.ErrorIs(t, err, ErrReleased)
		require.ErrorIs(t, tx.QueryRow(ctx, "select 1").Scan(new(int)), ErrReleased)
		_, err = tx.Begin(ctx)
		require.ErrorIs(t, err, ErrReleased)
		_, err = tx.Prepare(ctx, "a", "select 1")
		require.ErrorIs(t, err, ErrReleased)
		_, err = tx.CopyFrom(ctx, pgx.Identifier{"t"}, []string{"a"}, pgx.CopyFromRows(nil))
		require.ErrorIs(t, err, ErrReleased)
		require.ErrorIs(t, tx.SendBatch(ctx, &pgx.Batch{}).Close(), ErrReleased)
		require.ErrorIs(t, tx.Commit(ctx), ErrReleased)
		require.ErrorIs(t, tx.Rollback(ctx), pgx.ErrTxClosed, "a deferred Rollback after Release has nothing to say")
	})
}

// A lease that was released never reaches the next holder of its connection, however it is used.
func TestAStaleLeaseDoesNotDisturbTheNext(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize = 1 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		old, err := p.Acquire(t.Context())
		require.NoError(t, err)
		old.Release()
		next, err := p.Acquire(t.Context())
		require.NoError(t, err)
		before := len(server.Statements())
		_, err = old.Exec(t.Context(), "select 1")
		require.ErrorIs(t, err, ErrReleased)
		old.Release()
		old.Discard()
		require.Len(t, server.Statements(), before)
		require.Equal(t, 1, one(t, t.Context(), next, "select 1"))
		require.Equal(t, 1, p.Stat().Leased)
		next.Release()
	})
}

func TestDiscardCloses(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize = 1 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		l, err := p.Acquire(t.Context())
		require.NoError(t, err)
		l.Discard()
		require.Equal(t, 1, one(t, t.Context(), p, "select 1"))
		require.Equal(t, 2, server.Dials())
	})
}

func TestHijackTakesTheConnectionOut(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize = 1 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		l, err := p.Acquire(t.Context())
		require.NoError(t, err)
		conn, err := l.Hijack()
		require.NoError(t, err)
		require.Equal(t, 1, one(t, t.Context(), p, "select 1"), "its place is free for another")
		require.Equal(t, 1, one(t, t.Context(), conn, "select 1"))
		require.Equal(t, 2, server.Connections())
		l.Release()
		require.NoError(t, conn.Close(t.Context()))
	})
}

func TestRawPanicClosesTheConnection(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize = 1 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		require.Panics(t, func() {
			_ = p.With(t.Context(), func(_ context.Context, l *Lease) error {
				return l.Raw(func(*pgx.Conn) error { panic("oh") })
			})
		})
		require.Equal(t, 1, one(t, t.Context(), p, "select 1"))
		require.Equal(t, 2, server.Dials())
	})
}

func TestBatchesAndTransactionsInside(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize = 1 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		ctx := t.Context()
		var b pgx.Batch
		b.Queue("select 1")
		b.Queue("select 2")
		r := p.SendBatch(ctx, &b)
		var n int
		require.NoError(t, r.QueryRow().Scan(&n))
		require.Equal(t, 1, n)
		require.Equal(t, 1, p.Stat().Leased)
		require.NoError(t, r.Close())
		require.NoError(t, r.Close())
		require.Zero(t, p.Stat().Leased)

		require.NoError(t, p.WithTx(ctx, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
			inner, err := tx.Begin(ctx)
			if err != nil {
				return err
			}
			if _, err := inner.Exec(ctx, "insert into t values (1)"); err != nil {
				return err
			}
			if err := inner.Rollback(ctx); err != nil {
				return err
			}
			rows, err := tx.Query(ctx, "select 1 from generate_series(1, 3)")
			if err != nil {
				return err
			}
			all, err := pgx.CollectRows(rows, pgx.RowTo[int])
			require.Equal(t, []int{1, 1, 1}, all)
			return errors.Join(err, tx.SendBatch(ctx, &b).Close())
		}))
		require.Equal(t, 1, server.Dials())
	})
}

// Rows give their connection back when they end, however they end.
func TestRowsOfThePoolReleaseTheirLease(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize = 1 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		ctx := t.Context()
		rows, err := p.Query(ctx, "select 1 from generate_series(1, 3)")
		require.NoError(t, err)
		for rows.Next() {
			values, err := rows.Values()
			require.NoError(t, err)
			require.Len(t, values, 1)
		}
		require.NoError(t, rows.Err())
		require.Zero(t, p.Stat().Leased)
		require.False(t, rows.Next())

		rows, err = p.Query(ctx, "select 1 from generate_series(1, 3)")
		require.NoError(t, err)
		require.True(t, rows.Next())
		require.Error(t, rows.Scan(new(struct{})))
		require.Zero(t, p.Stat().Leased)
		require.Error(t, rows.Err())

		rows, _ = p.Query(ctx, "fail 42601")
		rows.Close()
		var said interface{ SQLState() string }
		require.ErrorAs(t, rows.Err(), &said)
		require.Equal(t, "42601", said.SQLState())
		require.ErrorIs(t, p.QueryRow(ctx, "insert into t values (1)").Scan(), pgx.ErrNoRows)
		require.NoError(t, p.Ping(ctx))
		synctest.Wait()
		require.Zero(t, p.Stat().Leased)
		require.Equal(t, 1, server.Dials())
	})
}

// Statements that ran out of time keep their connection.
func TestADeadlineKeepsTheConnection(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize = 1 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		for range 20 {
			began := time.Now()
			_, err := p.Exec(within(t, 15*time.Millisecond), "select pg_sleep(1)")
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.LessOrEqual(t, time.Since(began), 50*time.Millisecond)
			require.Equal(t, 1, one(t, t.Context(), p, "select 1"))
		}
		require.Equal(t, 1, server.Dials())
	})
}

func TestALostCommitIsUnknown(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		err := p.WithTx(t.Context(), pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
			server.Freeze()
			time.AfterFunc(time.Second, func() { server.Kill(server.PIDs()[0]); server.Thaw() })
			return nil
		})
		require.ErrorIs(t, err, ErrOutcomeUnknown)
	})
}

// A transaction whose time is over leaves its rollback to the cleaner: the caller is told at its deadline, whatever the
// server does.
func TestATransactionEndsAtItsDeadline(t *testing.T) {
	for name, outcome := range map[string]func(context.Context) error{
		"with an error": context.Context.Err,
		"well":          func(context.Context) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			inMemory(t, neverChecked(1), func(t *testing.T, p *Pool, server *fakepg.Server) {
				began := time.Now()
				err := p.WithTx(within(t, 500*time.Millisecond), pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
					server.Freeze()
					<-ctx.Done()
					return outcome(ctx)
				})
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Equal(t, 500*time.Millisecond, time.Since(began))
				server.Thaw()
				require.Equal(t, 1, one(t, within(t, time.Minute), p, "select 1"))
			})
		})
	}
}
