package poolactor

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// tx is a pgx transaction on a lease: each of its statements takes the lease's connection as the lease's own do, so it
// answers ErrReleased after Release.
type tx struct {
	pgx.Tx
	lease  *Lease
	after  func() // done when the transaction has ended; nil: nothing
	nested bool   // a savepoint: what it commits is lost with the transaction around it
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

// ended does what is to follow the transaction.
func (t *tx) ended() {
	if t.after != nil {
		t.after()
	}
}

// Begin starts a transaction inside this one, by a savepoint.
func (t *tx) Begin(ctx context.Context) (pgx.Tx, error) {
	s, err := t.lease.begin()
	if err != nil {
		return nil, err
	}
	inner, err := t.Tx.Begin(ctx)
	if err = t.lease.end(ctx, s, err); err != nil {
		return nil, err
	}
	return &tx{Tx: inner, lease: t.lease, nested: true}, nil
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
	s, err := t.lease.begin()
	if err != nil {
		return err
	}
	c := t.lease.conn
	c.ClearSent()
	err = t.Tx.Commit(ctx)
	unknown := err != nil && c.Sent() && !t.nested && !answered(err) && !errors.Is(err, pgx.ErrTxCommitRollback)
	err = t.lease.end(ctx, s, err)
	t.ended()
	if unknown {
		return fmt.Errorf("%w: %w", ErrOutcomeUnknown, err)
	}
	return err
}

// Rollback ends the transaction without effect, also when ctx has ended: it then takes as long as a check may. After
// Release, which rolls back by itself, it is over already.
func (t *tx) Rollback(ctx context.Context) error {
	s, err := t.lease.begin()
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
	err = t.Tx.Rollback(ctx)
	if errors.Is(err, pgx.ErrTxClosed) {
		s.end(t.lease.gen)
	} else {
		err = t.lease.end(ctx, s, err)
	}
	t.ended()
	return err
}

func (t *tx) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	s, err := t.lease.begin()
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	tag, err := t.Tx.Exec(ctx, sql, args...)
	return tag, t.lease.end(ctx, s, err)
}

func (t *tx) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	s, err := t.lease.begin()
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
	s, err := t.lease.begin()
	if err != nil {
		return failedBatch{err}
	}
	return t.lease.batch(ctx, s, t.Tx.SendBatch(ctx, b))
}

func (t *tx) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, src pgx.CopyFromSource) (int64, error) {
	s, err := t.lease.begin()
	if err != nil {
		return 0, err
	}
	return t.lease.copyFrom(ctx, s, src, func(src pgx.CopyFromSource) (int64, error) {
		return t.Tx.CopyFrom(ctx, table, columns, src)
	})
}

func (t *tx) Prepare(ctx context.Context, name, sql string) (*pgconn.StatementDescription, error) {
	s, err := t.lease.begin()
	if err != nil {
		return nil, err
	}
	d, err := t.Tx.Prepare(ctx, name, sql)
	return d, t.lease.end(ctx, s, err)
}
