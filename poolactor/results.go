package poolactor

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/seed-4ff2b7b9/supervised/internal/backend"
)

// rows are pgx rows that give the lease back to its holder when they end, and then do what after says: the pool's own
// Query releases the lease there.
type rows struct {
	pgx.Rows
	ctx   context.Context
	lease *Lease
	slot  *slot
	after func()
	over  bool
	err   error
}

// rows returns the last step of a Query: what pgx returned, wrapped.
func (l *Lease) rows(ctx context.Context, s *slot) func(pgx.Rows, error) (*rows, error) {
	return func(inner pgx.Rows, err error) (*rows, error) {
		r := &rows{Rows: inner, ctx: ctx, lease: l, slot: s}
		if err != nil {
			r.finish(err)
			return r, r.err
		}
		return r, nil
	}
}

func (r *rows) finish(err error) {
	if r.over {
		return
	}
	r.over = true
	r.err = r.lease.end(r.ctx, r.slot, err)
	if r.after != nil {
		r.after()
	}
}

// errPanicked is what remains to be said of rows or a batch that something of the user's has ended by a panic.
var errPanicked = errors.New("poolactor: a tracer or a function of the statement's panicked")

// abandon ends rows whose end something of the user's has ended by a panic, a tracer's mostly: there is no other end to
// wait for. In what state the connection is, nobody knows: it stays busy, and is closed when the lease is released.
func (r *rows) abandon(ended *bool) {
	if *ended || r.over {
		return
	}
	r.over, r.err = true, errPanicked
	if r.after != nil {
		r.after()
	}
}

func (r *rows) Next() bool {
	if r.over {
		return false
	}
	ended := false
	defer r.abandon(&ended)
	more := r.Rows.Next()
	ended = true
	if !more {
		r.finish(r.Rows.Err())
	}
	return more
}

func (r *rows) Close() {
	ended := false
	defer r.abandon(&ended)
	r.Rows.Close()
	ended = true
	r.finish(r.Rows.Err())
}

// Err is also what a Scan of closed rows has failed with, as pgx's own is.
func (r *rows) Err() error {
	if r.over && r.err != nil {
		return r.err
	}
	return r.Rows.Err()
}

// Scan closes the rows when it fails, as pgx's own does.
func (r *rows) Scan(dest ...any) error {
	err := r.Rows.Scan(dest...)
	if err != nil {
		r.Close()
	}
	return err
}

// Values closes the rows when it fails, as pgx's own does.
func (r *rows) Values() ([]any, error) {
	values, err := r.Rows.Values()
	if err != nil {
		r.Close()
	}
	return values, err
}

// row is the one row of a QueryRow.
type row struct {
	rows pgx.Rows
	err  error
}

func (r row) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	for _, d := range dest {
		if _, ok := d.(*pgtype.DriverBytes); ok {
			return errors.New("poolactor: QueryRow cannot scan into *pgtype.DriverBytes: its memory is gone when Scan returns")
		}
	}
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return pgx.ErrNoRows
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	r.rows.Close()
	return r.rows.Err()
}

// batch are pgx batch results that give the lease back when they are closed. A transaction that the batch began keeps
// it until that has ended.
type batch struct {
	pgx.BatchResults
	ctx   context.Context
	lease *Lease
	slot  *slot
	conn  *backend.Conn
	after func()
	begun *tx // made once, on demand
	over  bool
	err   error
}

func (l *Lease) batch(ctx context.Context, s *slot, inner pgx.BatchResults) *batch {
	return &batch{BatchResults: inner, ctx: ctx, lease: l, slot: s, conn: l.conn}
}

// Tx is the transaction that the batch began, or nil.
func (b *batch) Tx() pgx.Tx {
	inner := b.BatchResults.Tx()
	if inner == nil {
		return nil
	}
	if b.begun == nil {
		b.begun = &tx{Tx: inner, lease: b.lease, after: b.after}
	}
	return b.begun
}

func (b *batch) Close() error {
	if b.over {
		return b.err
	}
	b.over, b.err = true, errPanicked
	ended := false
	defer func() {
		if !ended && b.after != nil { // by a panic: see rows.abandon
			b.after()
		}
	}()
	err := b.BatchResults.Close()
	ended = true
	inTx := b.BatchResults.Tx() != nil && b.conn.InTx()
	b.err = b.lease.end(b.ctx, b.slot, err)
	if b.after != nil && !inTx {
		b.after()
	}
	return b.err
}

// failedRows are the rows of a query that never reached a connection.
type failedRows struct{ err error }

func (failedRows) Close()                                       {}
func (r failedRows) Err() error                                 { return r.err }
func (failedRows) CommandTag() pgconn.CommandTag                { return pgconn.CommandTag{} }
func (failedRows) FieldDescriptions() []pgconn.FieldDescription { return nil }
func (failedRows) Next() bool                                   { return false }
func (r failedRows) Scan(...any) error                          { return r.err }
func (r failedRows) Values() ([]any, error)                     { return nil, r.err }
func (failedRows) RawValues() [][]byte                          { return nil }
func (failedRows) Conn() *pgx.Conn                              { return nil }
func (failedRows) TypeMap() *pgtype.Map                         { return nil }
