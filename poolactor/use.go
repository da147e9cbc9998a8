package poolactor

import (
	"context"
	"errors"
	"fmt"

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

// WithTx runs f in a transaction: committed if f returns nil, rolled back if it returns an error or panics. If f called
// Commit itself, its outcome counts. A commit whose outcome is not known gives an error that matches ErrOutcomeUnknown.
// The transaction runs once; Retry runs it again after failures that allow it.
func (p *Pool) WithTx(ctx context.Context, o pgx.TxOptions, f func(context.Context, pgx.Tx) error) error {
	_, err := p.transact(ctx, p.own, o, f)
	return err
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

// Exec leases a connection for one statement. Like the pool's other methods that lease for themselves it takes another
// connection if the first turns out to be dead before a byte of the statement was written to it, twice at most.
func (p *Pool) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return p.own.Exec(ctx, sql, args...)
}

// Query leases a connection until the rows are closed; reading to their end closes them. See Exec for dead connections.
func (p *Pool) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return p.own.Query(ctx, sql, args...)
}

// QueryRow leases a connection until Scan. See Exec for dead connections.
func (p *Pool) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return p.own.QueryRow(ctx, sql, args...)
}

// SendBatch leases a connection until the results are closed. See Exec for dead connections.
func (p *Pool) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	return p.own.SendBatch(ctx, b)
}

// CopyFrom leases a connection to copy rows into a table. See Exec for dead connections; once src was read from, no
// other is taken.
func (p *Pool) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, src pgx.CopyFromSource) (int64, error) {
	return p.own.CopyFrom(ctx, table, columns, src)
}

// Ping leases a connection for one round trip to the server. See Exec for dead connections.
func (p *Pool) Ping(ctx context.Context) error { return p.own.Ping(ctx) }

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
		return fmt.Errorf("poolactor: %w", err)
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

// Suspend stops handing out connections and returns when none is out. Calls wait meanwhile, as long as their deadlines and
// Config.AcquireTimeout allow; Resume ends it. No further dial is ordered; what is open stays so, unless Evict is called as
// well. When ctx ends first the pool stays suspended. Errors: *SuspendError (ctx ended, and something is out), ErrClosed.
func (p *Pool) Suspend(ctx context.Context) error {
	if p.gate.Load().closed() {
		return ErrClosed
	}
	p.gate.set(gateSuspended)
	p.wake()
	if out, err := p.drain(ctx); err != nil {
		return &SuspendError{Holders: out, Cleaning: p.pending().Cleaning, Err: err}
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
