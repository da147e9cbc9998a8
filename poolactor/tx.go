package poolactor

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// tx is a pgx transaction on a lease: each of its statements takes the lease's connection as the lease's own do, so it
// answers ErrReleased after Release.
type tx struct {
	pgx.Tx
	lease  *Lease
	after  func() // done when the transaction has ended; nil: nothing
	around *tx    // this is a savepoint: what it commits is lost with the transaction around it; nil: it is none
	over   atomic.Bool
	// tried is set by the first Commit, outcome is what that returned.
	tried   bool
	outcome error
}

// beginTx starts a transaction on the lease.
func (l *Lease) beginTx(ctx context.Context, o pgx.TxOptions) (*tx, error) {
	s, err := l.begin()
	if err != nil {
		return nil, err
	}
	inner, err := l.conn.PGX().BeginTx(ctx, o)
	if err = l.end(ctx, s, err); err != nil {
		return nil, err
	}
	return &tx{Tx: inner, lease: l}, nil
}

// begin takes the lease's connection for a statement of the transaction. When both are over, it is the end of the transaction
// that its user has to know of: the pool's own releases the lease then.
func (t *tx) begin() (*slot, error) {
	s, err := t.lease.begin()
	if errors.Is(err, ErrReleased) && t.closed() {
		err = pgx.ErrTxClosed
	}
	return s, err
}

// last takes the lease's connection for the end of the transaction. A transaction that gives its lease back does so even if it
// cannot have the connection, because rows were not closed, say: nobody else would. What is in use is closed then.
func (t *tx) last() (*slot, error) {
	s, err := t.begin()
	if err != nil && t.after != nil {
		t.ended()
	}
	return s, err
}

// closed tells whether the transaction, or one around it, has ended.
func (t *tx) closed() bool { return t.over.Load() || t.around != nil && t.around.closed() }

// ended does what is to follow the transaction.
func (t *tx) ended() {
	t.over.Store(true)
	if t.after != nil {
		t.after()
	}
}

// Begin starts a transaction inside this one, by a savepoint.
func (t *tx) Begin(ctx context.Context) (pgx.Tx, error) {
	s, err := t.begin()
	if err != nil {
		return nil, err
	}
	inner, err := t.Tx.Begin(ctx)
	if err = t.lease.end(ctx, s, err); err != nil {
		return nil, err
	}
	return &tx{Tx: inner, lease: t.lease, around: t}, nil
}

// Commit ends the transaction. If the connection is lost after the COMMIT was sent and before the server's answer, the
// error matches ErrOutcomeUnknown. With a context that has ended already nothing is sent but a rollback.
func (t *tx) Commit(ctx context.Context) error {
	err := t.commit(ctx)
	if !t.tried {
		t.tried, t.outcome = true, err
	}
	return err
}

func (t *tx) commit(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return errors.Join(err, t.Rollback(ctx))
	}
	s, err := t.last()
	if err != nil {
		return err
	}
	defer t.ended() // also by a panic of a tracer: what is in use then is closed
	c := t.lease.conn
	c.ClearSent()
	err = t.Tx.Commit(ctx)
	unknown := err != nil && c.Sent() && t.around == nil && !answered(err) && !errors.Is(err, pgx.ErrTxCommitRollback)
	err = t.lease.end(ctx, s, err)
	if unknown {
		return fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	}
	return err
}

// Rollback ends the transaction without effect, also when ctx has ended: it then takes as long as a check may. After
// Release, which rolls back by itself, it is over already.
func (t *tx) Rollback(ctx context.Context) error {
	s, err := t.last()
	if errors.Is(err, ErrReleased) {
		return pgx.ErrTxClosed
	}
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), s.pool.checkBound())
		defer cancel()
	}
	defer t.ended()
	err = t.Tx.Rollback(ctx)
	if errors.Is(err, pgx.ErrTxClosed) {
		s.end(t.lease.gen)
		return err
	}
	return t.lease.end(ctx, s, err)
}

func (t *tx) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	s, err := t.begin()
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	tag, err := t.Tx.Exec(ctx, sql, args...)
	return tag, t.lease.end(ctx, s, err)
}

func (t *tx) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	s, err := t.begin()
	if err != nil {
		return failedRows{err}, err
	}
	return t.lease.rows(ctx, s)(t.Tx.Query(ctx, sql, args...))
}

func (t *tx) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	rows, err := t.Query(ctx, sql, args...)
	return row{rows, err}
}

func (t *tx) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	s, err := t.begin()
	if err != nil {
		return pgx.FailedBatchResults(b, err)
	}
	return t.lease.batch(ctx, s, t.Tx.SendBatch(ctx, b))
}

func (t *tx) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, src pgx.CopyFromSource) (int64, error) {
	s, err := t.begin()
	if err != nil {
		return 0, err
	}
	return t.lease.copyFrom(ctx, s, src, func(src pgx.CopyFromSource) (int64, error) {
		return t.Tx.CopyFrom(ctx, table, columns, src)
	})
}

func (t *tx) Prepare(ctx context.Context, name, sql string) (*pgconn.StatementDescription, error) {
	s, err := t.begin()
	if err != nil {
		return nil, err
	}
	d, err := t.Tx.Prepare(ctx, name, sql)
	return d, t.lease.end(ctx, s, err)
}
