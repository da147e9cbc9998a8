package pgxpool

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

func TestAConnectionThatWasReleasedReachesNobody(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, _ *fakepg.Server) {
		ctx := t.Context()
		c := acquired(t, p)
		c.Release()
		_, err := c.Exec(ctx, "select 1")
		require.ErrorIs(t, err, poolactor.ErrReleased)
		_, err = c.Query(ctx, "select 1")
		require.ErrorIs(t, err, poolactor.ErrReleased)
		require.ErrorIs(t, c.QueryRow(ctx, "select 1").Scan(new(int)), poolactor.ErrReleased)
		require.ErrorIs(t, c.SendBatch(ctx, &pgx.Batch{}).Close(), poolactor.ErrReleased)
		_, err = c.CopyFrom(ctx, pgx.Identifier{"t"}, nil, pgx.CopyFromRows(nil))
		require.ErrorIs(t, err, poolactor.ErrReleased)
		_, err = c.Begin(ctx)
		require.ErrorIs(t, err, poolactor.ErrReleased)
		require.ErrorIs(t, c.Ping(ctx), poolactor.ErrReleased)
		require.Nil(t, c.Conn())
		require.PanicsWithValue(t, "cannot hijack already released or hijacked connection", func() { c.Hijack() })
	})
}

func TestHijack(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		c := acquired(t, p)
		rows, err := c.Query(t.Context(), "select 1")
		require.NoError(t, err)
		require.PanicsWithError(t, poolactor.ErrBusy.Error(), func() { c.Hijack() })
		rows.Close()
		conn := c.Hijack()
		require.PanicsWithValue(t, "cannot hijack already released or hijacked connection", func() { c.Hijack() })
		c.Release()
		require.Zero(t, p.Stat().TotalConns())
		require.NoError(t, conn.Ping(t.Context()))
		works(t, p)
		require.Equal(t, 2, server.Connections())
		require.NoError(t, conn.Close(t.Context()))
	})
}

func TestCloseIsBounded(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, _ *fakepg.Server) {
		c := acquired(t, p)
		waiter := make(chan error)
		go func() { _, err := p.Acquire(t.Context()); waiter <- err }()
		synctest.Wait()
		began := time.Now()
		done := make(chan struct{})
		go func() { p.Close(); close(done) }()
		err := <-waiter
		require.ErrorIs(t, err, poolactor.ErrClosed)
		require.ErrorContains(t, err, "closed pool")
		require.Zero(t, time.Since(began), "who waits is told at once")
		<-done
		require.Equal(t, 10*time.Second, time.Since(began))
		_, err = c.Exec(t.Context(), "select 1")
		require.ErrorIs(t, err, poolactor.ErrRevoked)
		c.Release()
		_, err = p.Exec(t.Context(), "select 1")
		require.ErrorContains(t, err, "closed pool")
		p.Reset()
		require.Empty(t, p.AcquireAllIdle(t.Context()))
	})
}

// A transaction of the pool's gives its connection back, whatever becomes of it.
func TestTransactionsGiveTheirConnectionBack(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, _ *fakepg.Server) {
		ctx := t.Context()
		tx, err := p.Begin(ctx)
		require.NoError(t, err)
		require.IsType(t, &Tx{}, tx)
		require.NotNil(t, tx.Conn())
		require.NoError(t, tx.Commit(ctx))
		require.ErrorIs(t, tx.Commit(ctx), pgx.ErrTxClosed)
		require.ErrorIs(t, tx.Rollback(ctx), pgx.ErrTxClosed)
		works(t, p)

		tx, err = p.BeginTx(ctx, pgx.TxOptions{BeginQuery: "fail 23505"})
		require.Error(t, err)
		require.Nil(t, tx)
		works(t, p)

		for _, end := range []func(pgx.Tx) error{
			func(tx pgx.Tx) error { return tx.Commit(ctx) }, func(tx pgx.Tx) error { return tx.Rollback(ctx) },
		} {
			tx, err = p.Begin(ctx)
			require.NoError(t, err)
			rows, err := tx.Query(ctx, "select 1")
			require.NoError(t, err)
			require.ErrorIs(t, end(tx), poolactor.ErrBusy)
			require.ErrorIs(t, tx.Rollback(ctx), pgx.ErrTxClosed)
			works(t, p) // although nobody has closed the rows
			rows.Close()
		}

		var b pgx.Batch
		b.BeginTx(pgx.TxOptions{})
		b.Queue("fail 23505")
		results := p.SendBatch(ctx, &b)
		tx = results.Tx()
		require.Same(t, tx, results.Tx())
		require.Error(t, results.Close())
		require.EqualValues(t, 1, p.Stat().AcquiredConns())
		require.NoError(t, tx.Rollback(ctx))
		works(t, p)
		require.Nil(t, p.SendBatch(within(t, 0), &pgx.Batch{}).Tx())

		failed := errors.New("no")
		require.ErrorIs(t, pgx.BeginFunc(ctx, p, func(pgx.Tx) error { return failed }), failed)
		works(t, p)
	})
}

func TestFigures(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		require.EqualValues(t, 1, p.Stat().MaxConns())
		server.Delay(100 * time.Millisecond)
		c := acquired(t, p) // waits for a dial
		server.Delay(0)
		s := p.Stat()
		require.EqualValues(t, 1, s.AcquireCount())
		require.EqualValues(t, 1, s.EmptyAcquireCount())
		require.Equal(t, s.AcquireDuration(), s.EmptyAcquireWaitTime())
		require.GreaterOrEqual(t, s.AcquireDuration(), 100*time.Millisecond)
		require.EqualValues(t, 1, s.NewConnsCount())
		_, err := p.Acquire(within(t, time.Second))
		require.Error(t, err)
		_, err = p.Acquire(within(t, 0))
		require.Equal(t, context.DeadlineExceeded, err)
		require.EqualValues(t, 2, p.Stat().CanceledAcquireCount())
		require.Equal(t, s.EmptyAcquireWaitTime(), p.Stat().EmptyAcquireWaitTime(), "of those that were served")
		c.Release()
		works(t, p)
		s = p.Stat()
		require.EqualValues(t, 2, s.AcquireCount())
		require.EqualValues(t, 1, s.EmptyAcquireCount())
		require.EqualValues(t, 1, s.IdleConns())
		require.Zero(t, s.ConstructingConns())
		require.Len(t, p.AcquireAllIdle(t.Context()), 1)
		require.EqualValues(t, 2, p.Stat().AcquireCount(), "not counted")
	})
}

// A connection is as old as it may be where it is handed out and where it comes back, however seldom the pool looks.
func TestAnOldConnectionIsNotHandedOut(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxConnLifetime = 300 * time.Millisecond }, func(t *testing.T, p *Pool, _ *fakepg.Server) {
		c := acquired(t, p)
		first := c.Conn()
		c.Release()
		pass(301 * time.Millisecond)
		c = acquired(t, p)
		require.NotSame(t, first, c.Conn())
		second := c.Conn()
		pass(301 * time.Millisecond)
		c.Release()
		c = acquired(t, p)
		require.NotSame(t, second, c.Conn())
		c.Release()
		require.EqualValues(t, 2, p.Stat().MaxLifetimeDestroyCount())
		require.Zero(t, p.Stat().MaxIdleDestroyCount())
	})
}

func TestTheSupervisedPoolIsThere(t *testing.T) {
	inMemory(t, func(c *Config) {
		tune := c.Tune
		c.Tune = func(s *poolactor.Config) { tune(s); s.RecordStacks = true }
	}, func(t *testing.T, p *Pool, _ *fakepg.Server) {
		rows, err := p.Query(poolactor.WithLabel(t.Context(), "report"), "select 1")
		require.NoError(t, err)
		h := p.Supervised().Holders()
		require.Len(t, h, 1)
		require.Equal(t, "report", h[0].Label)
		require.Regexp(t, `acquired at \S+\.TestTheSupervisedPoolIsThere`, h[0].String(), "whoever called this pool")
		rows.Close()
	})
}

// Who has shown the connection itself is kept until its end, so that its lease is not taken for forgotten, and no longer.
func TestWhoHasShownItsConnectionIsKept(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, _ *fakepg.Server) {
		kept := func() (n int) {
			p.shown.Range(func(any, any) bool { n++; return true })
			return n
		}
		c := acquired(t, p)
		require.Zero(t, kept())
		require.Same(t, c.Conn(), c.Conn())
		require.Equal(t, 1, kept())
		c.Release()
		require.Zero(t, kept())
		require.Nil(t, c.Conn())
		require.Zero(t, kept())

		c = acquired(t, p)
		raw := c.Conn()
		require.Same(t, raw, c.Hijack())
		require.Zero(t, kept())
		require.NoError(t, raw.Close(t.Context()))
	})
}
