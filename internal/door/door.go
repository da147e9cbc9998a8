// Package door is what poolactor shows to the packages of this module that stand on it, and not to its users: the raw
// connection outside of a callback, what is known about it, idle connections, and the pool's own calls on leases of somebody
// else's making. poolactor fills it in. Leases and functions about them are passed as any, since this package cannot know their type.
package door

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Calls are statements that lease for themselves, and begin again on another lease if the connection turns out to be dead
// before a byte was written to it.
type Calls interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
	CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, src pgx.CopyFromSource) (int64, error)
	BeginTx(ctx context.Context, o pgx.TxOptions) (pgx.Tx, error)
	Ping(ctx context.Context) error
}

var (
	// Raw is the connection of a *poolactor.Lease; nil when that is over. No fence protects it: whoever keeps it beyond the
	// lease meets its next holder.
	Raw func(lease any) *pgx.Conn
	// Use gives f the connection of a *poolactor.Lease behind the fence, as a statement has it. f asks the server something
	// and does not keep the connection.
	Use func(ctx context.Context, lease any, f func(*pgx.Conn) error) error
	// Attempt runs f, which does one thing with a *poolactor.Lease, and tells whether its error came of a connection that was
	// lost before a byte of that was written: only then can it be done again on another lease.
	Attempt func(lease any, f func() error) (unsent bool, err error)
	// Rested is how long ago the server had last answered on the connection of a *poolactor.Lease that was just acquired.
	Rested func(lease any) time.Duration
	// Outlived tells whether the connection of a *poolactor.Lease has reached MaxLifetime and can be replaced now.
	Outlived func(lease any) bool
	// AllIdle leases what nobody uses in a *poolactor.Pool: a []*poolactor.Lease. It dials nothing, and waits at most for
	// checks that are going on.
	AllIdle func(ctx context.Context, pool any) any
	// Upkeep sets how often the pool of a *poolactor.Config looks at lifetimes and idle times.
	Upkeep func(config any, every time.Duration)
	// Panicked tells of a panic in a hook, by an event of the *poolactor.Pool and its log.
	Panicked func(pool any, where string, err error)
	// NewCalls makes calls that acquire with a func(context.Context) (*poolactor.Lease, error) and release with a
	// func(*poolactor.Lease).
	NewCalls func(acquire, release any) Calls
)
