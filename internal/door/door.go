// Package door is what poolactor shows to the packages of this module that stand on it, and not to its users: the raw
// connection outside of a callback, how long it rested, and the pool's own calls on leases of somebody else's making.
// poolactor fills it in. Leases and functions about them are passed as any, since this package cannot know their type.
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
	// Rested is how long ago the server had last answered on the connection of a *poolactor.Lease that was just acquired.
	Rested func(lease any) time.Duration
	// NewCalls makes calls that acquire with a func(context.Context) (*poolactor.Lease, error) and release with a
	// func(*poolactor.Lease).
	NewCalls func(acquire, release any) Calls
)
