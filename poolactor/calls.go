package poolactor

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// calls are statements that lease for themselves: those of the pool, or of a package of this module that has its own way to
// get a lease and to give it back.
type calls struct {
	acquire   acquirer // the first lease of a call
	reacquire acquirer // another one, for a connection that was dead
	release   func(*Lease)
}

// acquirer leases a connection.
type acquirer func(context.Context) (*Lease, error)

// next are the same calls where each is the continuation of one that was let in.
func (c *calls) next() *calls {
	return &calls{acquire: c.reacquire, reacquire: c.reacquire, release: c.release}
}

// Exec is Pool.Exec. See begun for what all of these do about dead connections.
func (c *calls) Exec(ctx context.Context, sql string, args ...any) (tag pgconn.CommandTag, err error) {
	l, err := c.begun(ctx, func(l *Lease) (err error) {
		tag, err = l.Exec(ctx, sql, args...)
		return err
	})
	if l != nil {
		c.release(l)
	}
	return tag, err
}

// Query is Pool.Query.
func (c *calls) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	var r *rows
	l, err := c.begun(ctx, func(l *Lease) error {
		s, err := l.begin()
		if err != nil {
			return err
		}
		conn := l.conn
		if r, err = l.rows(ctx, s)(conn.PGX().Query(ctx, sql, args...)); err == nil && conn.Closed() {
			r.Close() // pgx tells only now that it could not send
			err = r.Err()
		}
		return err
	})
	if err != nil {
		if l != nil {
			c.release(l)
		}
		return failedRows{err}, err
	}
	r.after = func() { c.release(l) }
	return r, nil
}

// QueryRow is Pool.QueryRow.
func (c *calls) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	rows, err := c.Query(ctx, sql, args...)
	return row{rows, err}
}

// SendBatch is Pool.SendBatch.
func (c *calls) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	var r *batch
	l, err := c.begun(ctx, func(l *Lease) error {
		s, err := l.begin()
		if err != nil {
			return err
		}
		conn, once := l.conn, copyBatch(b)
		r = l.batch(ctx, s, conn.PGX().SendBatch(ctx, once))
		if !conn.Closed() {
			return nil
		}
		for _, q := range once.QueuedQueries {
			q.Fn = nil // there is no result to tell anybody
		}
		return r.Close()
	})
	if err != nil {
		if l != nil {
			c.release(l)
		}
		return pgx.FailedBatchResults(b, err)
	}
	r.after = func() { c.release(l) }
	return r
}

// CopyFrom is Pool.CopyFrom.
func (c *calls) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, src pgx.CopyFromSource) (n int64, err error) {
	once := &source{CopyFromSource: src}
	l, err := c.begun(ctx, func(l *Lease) (err error) {
		n, err = l.CopyFrom(ctx, table, columns, once)
		if once.read {
			l.spent()
		}
		return err
	})
	if l != nil {
		c.release(l)
	}
	return n, err
}

// Ping is Pool.Ping.
func (c *calls) Ping(ctx context.Context) error {
	l, err := c.begun(ctx, func(l *Lease) error { return l.Ping(ctx) })
	if l != nil {
		c.release(l)
	}
	return err
}

// BeginTx leases a connection for one transaction.
func (c *calls) BeginTx(ctx context.Context, o pgx.TxOptions) (pgx.Tx, error) {
	var t *tx
	l, err := c.begun(ctx, func(l *Lease) (err error) {
		t, err = l.beginTx(ctx, o)
		return err
	})
	if err != nil {
		if l != nil {
			c.release(l)
		}
		return nil, err
	}
	t.after = func() { c.release(l) }
	return t, nil
}
