package pgxpool

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Tx is a transaction of [Pool.Begin], [Pool.BeginTx] or a batch: its end gives the connection back. After that its methods
// answer pgx.ErrTxClosed.
type Tx struct{ t pgx.Tx }

// Begin starts a transaction inside this one, by a savepoint.
func (tx *Tx) Begin(ctx context.Context) (pgx.Tx, error) { return tx.t.Begin(ctx) }

// Commit commits and gives the connection back, whatever comes of it. If the transaction had failed before, the error is
// pgx.ErrTxCommitRollback; if the connection was lost before the answer, it matches poolactor.ErrOutcomeUnknown.
func (tx *Tx) Commit(ctx context.Context) error { return tx.t.Commit(ctx) }

// Rollback rolls back and gives the connection back, also if ctx has ended. After Commit it does nothing but answer
// pgx.ErrTxClosed, so it can be deferred.
func (tx *Tx) Rollback(ctx context.Context) error { return tx.t.Rollback(ctx) }

// CopyFrom copies rows into a table.
func (tx *Tx) CopyFrom(ctx context.Context, tableName pgx.Identifier, columnNames []string, rowSrc pgx.CopyFromSource) (int64, error) {
	return tx.t.CopyFrom(ctx, tableName, columnNames, rowSrc)
}

// SendBatch sends several statements in one round trip.
func (tx *Tx) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	return tx.t.SendBatch(ctx, b)
}

// LargeObjects gives access to large objects, which PostgreSQL allows inside a transaction only.
func (tx *Tx) LargeObjects() pgx.LargeObjects { return tx.t.LargeObjects() }

// Prepare prepares a statement under a name, or one without if that is empty. Doing it again is no error.
func (tx *Tx) Prepare(ctx context.Context, name, sql string) (*pgconn.StatementDescription, error) {
	return tx.t.Prepare(ctx, name, sql)
}

// Exec runs one statement.
func (tx *Tx) Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error) {
	return tx.t.Exec(ctx, sql, arguments...)
}

// Query runs one statement and returns its rows.
func (tx *Tx) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return tx.t.Query(ctx, sql, args...)
}

// QueryRow runs one statement that returns one row.
func (tx *Tx) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return tx.t.QueryRow(ctx, sql, args...)
}

// Conn is the connection itself; it must not be used after the end of the transaction.
func (tx *Tx) Conn() *pgx.Conn { return tx.t.Conn() }

// batchResults are results whose transaction is a *Tx, as that of Begin is.
type batchResults struct {
	pgx.BatchResults
	tx *Tx // made once, on demand
}

func (b *batchResults) Tx() pgx.Tx {
	if b.tx == nil {
		inner := b.BatchResults.Tx()
		if inner == nil {
			return nil
		}
		b.tx = &Tx{inner}
	}
	return b.tx
}
