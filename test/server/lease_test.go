package server

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

func TestASecondGoroutineOnABusyLeaseGetsAnError(t *testing.T) {
	p := open(t, single)
	l := acquire(t, p)
	defer l.Release()
	pid := pidOf(t, l)
	first := make(chan error, 1)
	go func() {
		_, err := l.Exec(within(t, patience), "select pg_sleep(0.3)")
		first <- err
	}()
	beside := connect(t, pgtest.Server(t).DSN())
	require.Eventually(t, func() bool {
		return ask[bool](t, beside, "select state = 'active' from pg_stat_activity where pid = $1", pid)
	}, patience, time.Millisecond)
	ctx := within(t, patience)
	_, err := l.Exec(ctx, "select 1")
	require.ErrorIs(t, err, poolactor.ErrBusy)
	_, err = l.Query(ctx, "select 1")
	require.ErrorIs(t, err, poolactor.ErrBusy)
	require.ErrorIs(t, l.QueryRow(ctx, "select 1").Scan(new(int)), poolactor.ErrBusy)
	require.ErrorIs(t, l.SendBatch(ctx, &pgx.Batch{}).Close(), poolactor.ErrBusy)
	_, err = l.Begin(ctx)
	require.ErrorIs(t, err, poolactor.ErrBusy)
	require.ErrorIs(t, l.Raw(func(*pgx.Conn) error { return nil }), poolactor.ErrBusy)
	_, err = l.Hijack()
	require.ErrorIs(t, err, poolactor.ErrBusy)
	require.NoError(t, <-first, "the first is not disturbed")
	require.Equal(t, pid, pidOf(t, l))
}

func TestALeaseReleasedDuringAStatementIsClosed(t *testing.T) {
	p := open(t, single)
	l := acquire(t, p)
	pid := pidOf(t, l)
	started := make(chan struct{})
	first := make(chan error, 1)
	go func() {
		close(started)
		_, err := l.Exec(within(t, patience), "select pg_sleep(20)")
		first <- err
	}()
	<-started
	beside := connect(t, pgtest.Server(t).DSN())
	require.Eventually(t, func() bool {
		return ask[bool](t, beside, "select state = 'active' from pg_stat_activity where pid = $1", pid)
	}, patience, time.Millisecond)
	l.Release()
	require.Error(t, <-first)
	require.NotEqual(t, pid, pidOf(t, p))
}

func TestTransactionsCommitAndRollBack(t *testing.T) {
	p := open(t, single)
	id := table(t, "transactions", "n int primary key")
	ctx := within(t, patience)
	insert := func(n int) func(context.Context, pgx.Tx) error {
		return func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "insert into "+id.Sanitize()+" values ($1)", n)
			return err
		}
	}
	require.NoError(t, p.WithTx(ctx, pgx.TxOptions{}, insert(1)))
	oops := errors.New("oops")
	require.ErrorIs(t, p.WithTx(ctx, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		return errors.Join(insert(2)(ctx, tx), oops)
	}), oops)
	require.Panics(t, func() {
		_ = p.WithTx(ctx, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
			_ = insert(3)(ctx, tx)
			panic("oh")
		})
	})
	var said *pgconn.PgError
	require.ErrorAs(t, p.WithTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly}, insert(4)), &said)
	require.Equal(t, "25006", said.Code)
	require.ErrorAs(t, p.WithTx(ctx, pgx.TxOptions{}, insert(1)), &said)
	require.Equal(t, "23505", said.Code)

	// Savepoints: what is inside can go, what is outside stays.
	require.NoError(t, p.WithTx(ctx, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		inner, err := tx.Begin(ctx)
		require.NoError(t, err)
		require.NoError(t, insert(5)(ctx, inner))
		innermost, err := inner.Begin(ctx)
		require.NoError(t, err)
		require.Error(t, insert(5)(ctx, innermost))
		require.NoError(t, innermost.Rollback(ctx))
		require.NoError(t, inner.Commit(ctx))
		lost, err := tx.Begin(ctx)
		require.NoError(t, err)
		require.NoError(t, insert(6)(ctx, lost))
		return lost.Rollback(ctx)
	}))
	rows, err := p.Query(ctx, "select n from "+id.Sanitize()+" order by n")
	require.NoError(t, err)
	there, err := pgx.CollectRows(rows, pgx.RowTo[int])
	require.NoError(t, err)
	require.Equal(t, []int{1, 5}, there)
	require.EqualValues(t, 1, p.Stat().Opened, "all on one connection")
}

func TestCopyAndBatches(t *testing.T) {
	p := open(t, single)
	id := table(t, "copied", "n int check (n < 1000)")
	ctx := within(t, patience)
	n, err := p.CopyFrom(ctx, id, []string{"n"}, pgx.CopyFromSlice(500, func(i int) ([]any, error) { return []any{i}, nil }))
	require.NoError(t, err)
	require.EqualValues(t, 500, n)
	_, err = p.CopyFrom(ctx, id, []string{"n"}, pgx.CopyFromRows([][]any{{1}, {2000}}))
	var said *pgconn.PgError
	require.ErrorAs(t, err, &said)
	require.Equal(t, "23514", said.Code)
	oops := errors.New("oops")
	_, err = p.CopyFrom(ctx, id, []string{"n"}, pgx.CopyFromFunc(func() ([]any, error) { return nil, oops }))
	require.ErrorContains(t, err, "oops")

	var b pgx.Batch
	b.Queue("insert into copied values (600)")
	b.Queue("select count(*) from copied")
	results := p.SendBatch(ctx, &b)
	tag, err := results.Exec()
	require.NoError(t, err)
	require.EqualValues(t, 1, tag.RowsAffected())
	require.NoError(t, results.QueryRow().Scan(&n))
	require.EqualValues(t, 501, n)
	require.Equal(t, 1, p.Stat().Leased, "until it is closed")
	require.NoError(t, results.Close())
	require.Zero(t, p.Stat().Leased)

	var failing pgx.Batch
	failing.Queue("select 1")
	failing.Queue("select 1 / 0")
	require.ErrorAs(t, p.SendBatch(ctx, &failing).Close(), &said)
	require.Equal(t, "22012", said.Code)
	require.Equal(t, 1, ask[int](t, p, "select 1"))
	require.EqualValues(t, 1, p.Stat().Opened)
}

// A batch that begins a transaction keeps its lease until that has ended.
func TestABatchThatBeginsATransaction(t *testing.T) {
	p := open(t, single)
	table(t, "batched", "n int")
	ctx := within(t, patience)
	for _, commit := range []bool{true, false} {
		var b pgx.Batch
		b.BeginTx(pgx.TxOptions{})
		b.Queue("insert into batched values (1)")
		results := p.SendBatch(ctx, &b)
		require.NoError(t, results.Close())
		tx := results.Tx()
		require.NotNil(t, tx)
		require.Equal(t, 1, p.Stat().Leased)
		require.Equal(t, 1, ask[int](t, tx, "select 1"))
		if commit {
			require.NoError(t, tx.Commit(ctx))
		} else {
			require.NoError(t, tx.Rollback(ctx))
		}
		require.Zero(t, p.Stat().Leased)
	}
	require.Equal(t, 1, ask[int](t, p, "select count(*) from batched"))
	require.EqualValues(t, 1, p.Stat().Opened)
}

func TestRows(t *testing.T) {
	p := open(t, single)
	ctx := within(t, patience)
	const many = "select n from generate_series(1, 10000) n"
	rows, err := p.Query(ctx, many)
	require.NoError(t, err)
	require.Equal(t, 1, p.Stat().Leased)
	all, err := pgx.CollectRows(rows, pgx.RowTo[int])
	require.NoError(t, err)
	require.Len(t, all, 10000)
	require.Zero(t, p.Stat().Leased)

	rows, err = p.Query(ctx, many)
	require.NoError(t, err)
	require.True(t, rows.Next())
	rows.Close()
	require.NoError(t, rows.Err())
	require.Zero(t, p.Stat().Leased)
	require.EqualValues(t, 1, p.Stat().Opened, "closed early, the connection is kept")

	// Rows of a lease that is released before they are read: the connection is not handed out again.
	l := acquire(t, p)
	pid := pidOf(t, l)
	rows, err = l.Query(ctx, many)
	require.NoError(t, err)
	require.True(t, rows.Next())
	_, err = l.Exec(ctx, "select 1")
	require.ErrorIs(t, err, poolactor.ErrBusy)
	l.Release()
	require.NotEqual(t, pid, pidOf(t, p))
	rows.Close()

	// Rows whose context ends while they are read.
	short, cancel := context.WithCancel(ctx)
	rows, err = p.Query(short, "select n, pg_sleep(0.01) from generate_series(1, 100000) n")
	require.NoError(t, err)
	cancel()
	for rows.Next() {
	}
	require.ErrorIs(t, rows.Err(), context.Canceled)
	require.Equal(t, 1, ask[int](t, p, "select 1"))
	require.ErrorIs(t, p.QueryRow(ctx, "select 1 where false").Scan(new(int)), pgx.ErrNoRows)
}

func TestHijackRawAndDiscard(t *testing.T) {
	var dials atomic.Int64
	p := open(t, func(c *poolactor.Config) { c.MaxSize = 1; counted(c, &dials) })
	ctx := within(t, patience)
	l := acquire(t, p)
	mine := pidOf(t, l)
	conn, err := l.Hijack()
	require.NoError(t, err)
	l.Release()
	_, err = l.Exec(ctx, "select 1")
	require.ErrorIs(t, err, poolactor.ErrReleased)
	other := pidOf(t, p)
	require.NotEqual(t, mine, other, "its place is free for another")
	require.Equal(t, mine, pidOf(t, conn), "and it lives on")
	require.NoError(t, conn.Close(ctx))

	l = acquire(t, p)
	require.NoError(t, l.Raw(func(conn *pgx.Conn) error {
		require.EqualValues(t, other, conn.PgConn().PID())
		_, err := conn.Exec(ctx, "begin")
		return err
	}))
	l.Release()
	l = acquire(t, p)
	require.NoError(t, l.Raw(func(conn *pgx.Conn) error {
		require.Equal(t, "I", string(conn.PgConn().TxStatus()))
		return nil
	}))
	require.Equal(t, other, pidOf(t, l), "cleaned and kept")
	l.Discard()
	require.NotEqual(t, other, pidOf(t, p))
	require.EqualValues(t, 3, dials.Load())
}

// forget takes a lease and loses it.
func forget(t *testing.T, p *poolactor.Pool) uint32 {
	t.Helper()
	l, err := p.Acquire(poolactor.WithLabel(within(t, patience), "absent-minded"))
	require.NoError(t, err)
	return uint32(pidOf(t, l))
}

func TestAForgottenLeaseComesBack(t *testing.T) {
	log := &paper{}
	p := open(t, func(c *poolactor.Config) {
		c.MaxSize = 1
		c.RecordStacks = true
		c.Logger = log.logger()
	})
	pid := forget(t, p)
	require.Equal(t, 1, p.Stat().Leased)
	require.Eventually(t, func() bool {
		runtime.GC()
		return p.Stat().Forgotten == 1
	}, patience, 10*time.Millisecond)
	require.NotEqualValues(t, pid, pidOf(t, p), "its place is back, its connection is closed")
	require.Eventually(t, func() bool { return len(log.String()) > 0 }, patience, time.Millisecond)
	require.Eventually(t, func() bool {
		text := log.String()
		return contains(text, `"level":"error"`, `"event":"forgotten"`, "absent-minded", "server.forget")
	}, patience, time.Millisecond, "%s", log)
}
