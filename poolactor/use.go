package poolactor

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// With leases a connection for the time of f, and releases it however f ends. The context that f gets tells the pool
// that its caller holds a lease: an Acquire with it that finds the pool exhausted says so.
func (p *Pool) With(ctx context.Context, f func(context.Context, *Lease) error) error {
	l, err := p.Acquire(ctx)
	if err != nil {
		return err
	}
	defer l.Release()
	return f(context.WithValue(ctx, heldKey{p}, true), l)
}

// WithTx runs f in a transaction: committed if f returns nil, rolled back if it returns an error or panics. A commit
// whose outcome is not known gives an error that matches ErrOutcomeUnknown.
func (p *Pool) WithTx(ctx context.Context, o pgx.TxOptions, f func(context.Context, pgx.Tx) error) error {
	return p.With(ctx, func(ctx context.Context, l *Lease) error {
		t, err := l.BeginTx(ctx, o)
		if err != nil {
			return err
		}
		if err := f(ctx, t); err != nil {
			return errors.Join(err, p.rollback(ctx, t))
		}
		return t.Commit(ctx)
	})
}

// rollback ends a transaction also when its caller's context has ended. The connection's loss is no news then: it has
// ended the transaction, and the caller's own error says why.
func (p *Pool) rollback(ctx context.Context, t pgx.Tx) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.checkBound())
	defer cancel()
	if err := t.Rollback(ctx); err != nil && answered(err) {
		return err
	}
	return nil
}

// Exec leases a connection for one statement.
func (p *Pool) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	l, err := p.Acquire(ctx)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	defer l.Release()
	return l.Exec(ctx, sql, args...)
}

// Query leases a connection until the rows are closed; reading to their end closes them.
func (p *Pool) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	l, err := p.Acquire(ctx)
	if err != nil {
		return failedRows{err}, err
	}
	s, err := l.begin()
	if err != nil {
		l.Release()
		return failedRows{err}, err
	}
	return l.rows(ctx, s, l.Release)(s.conn.Load().PGX().Query(ctx, sql, args...))
}

// QueryRow leases a connection until Scan.
func (p *Pool) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	rows, err := p.Query(ctx, sql, args...)
	return row{rows, err}
}

// SendBatch leases a connection until the results are closed.
func (p *Pool) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	l, err := p.Acquire(ctx)
	if err != nil {
		return failedBatch{err}
	}
	s, err := l.begin()
	if err != nil {
		l.Release()
		return failedBatch{err}
	}
	return l.batch(ctx, s, s.conn.Load().PGX().SendBatch(ctx, b), l.Release)
}

// CopyFrom leases a connection to copy rows into a table.
func (p *Pool) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, src pgx.CopyFromSource) (int64, error) {
	l, err := p.Acquire(ctx)
	if err != nil {
		return 0, err
	}
	defer l.Release()
	return l.CopyFrom(ctx, table, columns, src)
}

// Ping leases a connection for one round trip to the server.
func (p *Pool) Ping(ctx context.Context) error {
	l, err := p.Acquire(ctx)
	if err != nil {
		return err
	}
	defer l.Release()
	return l.Ping(ctx)
}

// Resize changes how many connections the pool keeps and has at most, and returns when that is in force: no dial begins
// above max any more, and what is leased beyond it is closed when it comes back. Errors: ErrClosed, ctx's, a size
// that is not allowed.
func (p *Pool) Resize(ctx context.Context, minSize, maxSize int) error {
	c := p.cfg
	c.MinSize, c.MaxSize, c.MinIdle = minSize, maxSize, min(c.MinIdle, maxSize)
	if minSize < 0 {
		return errors.New("poolactor: the minimum size cannot be negative")
	}
	if err := c.check(); err != nil {
		return err
	}
	watch, done := context.WithCancel(ctx)
	defer done()
	applied := p.applied.Subscribe(watch, 1)
	p.mu.Lock()
	p.makeSlots(maxSize)
	p.minSize.Store(int64(minSize))
	p.maxSize.Store(int64(maxSize))
	sequence := p.sizeAsked.Add(1)
	p.mu.Unlock()
	p.wake()
	for p.sizeApplied.Load() < sequence {
		if _, open := <-applied; !open && p.sizeApplied.Load() < sequence {
			if err := ctx.Err(); err != nil {
				return err
			}
			return ErrClosed
		}
	}
	return nil
}

// Suspend stops handing out connections and returns when none is out. Calls wait meanwhile, as in an outage; Resume
// ends it. When ctx ends first the pool stays suspended.
func (p *Pool) Suspend(ctx context.Context) error {
	p.gate.set(gateSuspended)
	p.wake()
	if out := p.drain(ctx); len(out) > 0 {
		return &ExhaustedError{Waiting: int(p.waiting.Load()), Holders: out, Err: ctx.Err()}
	}
	return nil
}

// Resume ends a Suspend.
func (p *Pool) Resume() error {
	if p.gate.Load().closed() {
		return ErrClosed
	}
	p.gate.clear(gateSuspended)
	p.wake()
	return nil
}
