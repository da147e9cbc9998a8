package stdlib

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/seed-4ff2b7b9/supervised/internal/door"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// Conn is a lease as database/sql sees it. Programs meet it in sql.Conn.Raw only, and want nothing but Conn of it.
type Conn struct {
	pool  *poolactor.Pool
	plans *plans
	lease *poolactor.Lease
	used  bool // so its session may be like no other
}

// The ways of database/sql to use a connection, but for Prepare and Begin, which are its old ones.
var (
	_ driver.ConnPrepareContext = (*Conn)(nil)
	_ driver.ConnBeginTx        = (*Conn)(nil)
	_ driver.ExecerContext      = (*Conn)(nil)
	_ driver.QueryerContext     = (*Conn)(nil)
	_ driver.Pinger             = (*Conn)(nil)
	_ driver.NamedValueChecker  = (*Conn)(nil)
	_ driver.SessionResetter    = (*Conn)(nil)
	_ driver.Validator          = (*Conn)(nil)
)

// Conn returns the connection itself. It is the caller's until the function given to sql.Conn.Raw returns; nothing keeps
// whoever holds on to it away from the connection's next user.
func (c *Conn) Conn() *pgx.Conn {
	c.used = true
	return door.Raw(c.lease)
}

// Prepare is PrepareContext without a context.
func (c *Conn) Prepare(query string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

// PrepareContext prepares a statement; see the package's description for what that costs.
func (c *Conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if known, ok := c.plans.of(query); ok {
		return &stmt{conn: c, query: query, plan: known}, nil
	}
	var asked plan
	err := c.attempt(func() error {
		return door.Use(ctx, c.lease, func(conn *pgx.Conn) (err error) {
			asked, err = askPlan(ctx, conn, query)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	c.plans.keep(query, asked)
	return &stmt{conn: c, query: query, plan: asked}, nil
}

// ExecContext runs a statement without rows.
func (c *Conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return c.exec(ctx, query, arguments(args))
}

func (c *Conn) exec(ctx context.Context, query string, args []any) (driver.Result, error) {
	var affected int64
	err := c.attempt(func() error {
		tag, err := c.lease.Exec(ctx, query, args...)
		affected = tag.RowsAffected()
		return err
	})
	if err != nil {
		return nil, err
	}
	return driver.RowsAffected(affected), nil
}

// QueryContext runs a statement and returns its rows.
func (c *Conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return c.query(ctx, query, arguments(args, resultFormats))
}

func (c *Conn) query(ctx context.Context, query string, args []any) (driver.Rows, error) {
	var r *rows
	err := c.attempt(func() error {
		inner, err := c.lease.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		r, err = newRows(inner)
		return err
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// attempt runs a statement. If the connection was lost before a byte of it was written, it can be repeated on another
// lease, which database/sql does when it is told that this connection is bad.
func (c *Conn) attempt(f func() error) error {
	c.used = true
	unsent, err := door.Attempt(c.lease, f)
	if unsent {
		return fmt.Errorf("%w: %w", driver.ErrBadConn, err)
	}
	return err
}

// Begin is BeginTx without a context and options.
func (c *Conn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

// isolation are the levels that PostgreSQL knows. What the standard calls a snapshot, it calls REPEATABLE READ.
var isolation = map[sql.IsolationLevel]pgx.TxIsoLevel{
	sql.LevelDefault:         "",
	sql.LevelReadUncommitted: pgx.ReadUncommitted,
	sql.LevelReadCommitted:   pgx.ReadCommitted,
	sql.LevelRepeatableRead:  pgx.RepeatableRead,
	sql.LevelSnapshot:        pgx.RepeatableRead,
	sql.LevelSerializable:    pgx.Serializable,
}

// BeginTx begins a transaction. database/sql rolls it back when ctx ends.
func (c *Conn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	level, ok := isolation[sql.IsolationLevel(o.Isolation)]
	if !ok {
		return nil, fmt.Errorf("stdlib: PostgreSQL has no isolation level %v", sql.IsolationLevel(o.Isolation))
	}
	options := pgx.TxOptions{IsoLevel: level}
	if o.ReadOnly {
		options.AccessMode = pgx.ReadOnly
	}
	if err := ctx.Err(); err != nil {
		return nil, err // pgx closes a connection on which it cannot begin
	}
	var begun pgx.Tx
	err := c.attempt(func() (err error) {
		begun, err = c.lease.BeginTx(ctx, options)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &tx{ctx: ctx, tx: begun}, nil
}

// tx is a transaction, whose statements database/sql runs on its Conn.
type tx struct {
	ctx context.Context // of BeginTx: database/sql has none for the end
	tx  pgx.Tx
}

func (t *tx) Commit() error   { return t.tx.Commit(t.ctx) }
func (t *tx) Rollback() error { return t.tx.Rollback(t.ctx) }

// maxRepeats is how often database/sql repeats what it is told to.
const maxRepeats = 2

// Ping asks the server for an answer. It is the one call that database/sql does not repeat, so it is repeated here, on
// another lease if nobody can miss the session of this one.
func (c *Conn) Ping(ctx context.Context) error {
	for repeats := 0; ; repeats++ {
		held := c.used
		err := c.attempt(func() error { return c.lease.Ping(ctx) })
		if held || repeats == maxRepeats || !errors.Is(err, driver.ErrBadConn) {
			return err
		}
		if renewal := c.renew(ctx); renewal != nil {
			return fmt.Errorf("%w: %w", driver.ErrBadConn, renewal) // a sql.Conn is over with its lease
		}
	}
}

// renew takes another lease instead of this one.
func (c *Conn) renew(ctx context.Context) error {
	c.lease.Release()
	lease, err := c.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	c.lease, c.used = lease, false
	return nil
}

// CheckNamedValue lets every argument through: pgx knows more types than database/sql, and its interfaces as well.
func (c *Conn) CheckNamedValue(*driver.NamedValue) error { return nil }

// IsValid says no, so that database/sql gives the lease back whenever somebody is done with it, even if it was told to
// keep idle connections: the pool then cleans the session and serves others.
func (c *Conn) IsValid() bool { return false }

// ResetSession refuses a second user.
func (c *Conn) ResetSession(context.Context) error { return driver.ErrBadConn }

// Close gives the lease back.
func (c *Conn) Close() error {
	c.lease.Release()
	return nil
}

// arguments are those of a statement, behind options of pgx.
func arguments(args []driver.NamedValue, options ...any) []any {
	all := make([]any, 0, len(options)+len(args))
	all = append(all, options...)
	for _, a := range args {
		all = append(all, a.Value)
	}
	return all
}
