package pgxpool

import (
	"context"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed-4ff2b7b9/supervised/internal/door"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// Conn is a connection that was acquired. It serves one statement at a time; another one meanwhile gets
// poolactor.ErrBusy. After Release its methods answer poolactor.ErrReleased, and never reach the connection's next holder;
// what [Conn.Conn] returned does.
type Conn struct {
	p     *Pool
	lease *poolactor.Lease
	over  atomic.Bool // released or hijacked
	shown atomic.Bool // Conn was called
}

// Release gives the connection back; a second call does nothing. One that is closed, has unread rows, or is inside a
// transaction is closed, and what was changed about its session is undone before anybody else has it.
func (c *Conn) Release() {
	if !c.over.Swap(true) {
		c.p.shown.Delete(c)
		c.p.release(c.lease)
	}
}

// Hijack takes the connection out of the pool for good: the caller closes it. It panics if the connection was released or
// hijacked, is in the middle of a statement, or was taken away by the pool.
func (c *Conn) Hijack() *pgx.Conn {
	if c.over.Swap(true) {
		panic("cannot hijack already released or hijacked connection")
	}
	conn, err := c.lease.Hijack()
	if err != nil {
		c.over.Store(false)
		panic(err)
	}
	c.p.shown.Delete(c)
	return conn
}

// Conn is the connection itself, past the fence: it must not be used after Release, when it is somebody else's. nil after
// Release. From the first call on, a Conn that is dropped without Release is not found any more: whoever has only the
// *pgx.Conn goes on, and the pool has one connection less.
func (c *Conn) Conn() *pgx.Conn {
	conn := door.Raw(c.lease)
	if conn != nil && !c.shown.Swap(true) {
		c.p.shown.Store(c, nil)
		if c.over.Load() { // by somebody else meanwhile, who did not find it there
			c.p.shown.Delete(c)
		}
	}
	return conn
}

// Exec runs one statement.
func (c *Conn) Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error) {
	return c.lease.Exec(ctx, sql, arguments...)
}

// Query runs one statement and returns its rows. The connection is busy until they are closed.
func (c *Conn) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return c.lease.Query(ctx, sql, args...)
}

// QueryRow runs one statement that returns one row. The connection is busy until Scan.
func (c *Conn) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return c.lease.QueryRow(ctx, sql, args...)
}

// SendBatch sends several statements in one round trip. The connection is busy until the results are closed.
func (c *Conn) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	return c.lease.SendBatch(ctx, b)
}

// CopyFrom copies rows into a table. A panic of rowSrc comes out of CopyFrom; one in a method of a value that is encoded ends
// the process.
func (c *Conn) CopyFrom(ctx context.Context, tableName pgx.Identifier, columnNames []string, rowSrc pgx.CopyFromSource) (int64, error) {
	return c.lease.CopyFrom(ctx, tableName, columnNames, rowSrc)
}

// Begin starts a transaction with the server's default mode. See BeginTx.
func (c *Conn) Begin(ctx context.Context) (pgx.Tx, error) { return c.lease.Begin(ctx) }

// BeginTx starts a transaction. Its end does not release the connection. ctx is for the BEGIN only.
func (c *Conn) BeginTx(ctx context.Context, txOptions pgx.TxOptions) (pgx.Tx, error) {
	return c.lease.BeginTx(ctx, txOptions)
}

// Ping makes one round trip to the server.
func (c *Conn) Ping(ctx context.Context) error { return c.lease.Ping(ctx) }
