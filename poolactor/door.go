package poolactor

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-4ff2b7b9/supervised/internal/backend"
	"github.com/seed-4ff2b7b9/supervised/internal/door"
)

func init() {
	door.Raw = func(lease any) *pgx.Conn { return lease.(*Lease).raw() }
	door.Use = func(ctx context.Context, lease any, f func(*pgx.Conn) error) error { return lease.(*Lease).use(ctx, f) }
	door.Attempt = func(lease any, f func() error) (bool, error) { return lease.(*Lease).attempt(f) }
	door.Rested = func(lease any) time.Duration { return lease.(*Lease).rested() }
	door.Outlived = func(lease any) bool { return lease.(*Lease).outlived() }
	door.AllIdle = func(ctx context.Context, pool any) any { return pool.(*Pool).leaseAllIdle(ctx) }
	door.Upkeep = func(config any, every time.Duration) { config.(*Config).upkeep = every }
	door.Panicked = func(pool any, where string, err error) { pool.(*Pool).tellPanic(where, err, stackOf(err)) }
	door.NewCalls = func(acquire, release any) door.Calls {
		lease := acquirer(acquire.(func(context.Context) (*Lease, error)))
		return &calls{acquire: lease, reacquire: lease, release: release.(func(*Lease))}
	}
}

// raw is Raw for code of this module that keeps the connection as long as the lease.
func (l *Lease) raw() *pgx.Conn {
	t := l.token.Load()
	if t == nil {
		return nil
	}
	if t.slot.pool.cfg.Reset == ResetNone {
		l.conn.Note(backend.Unfenced)
	}
	return l.conn.PGX()
}

// use is Raw for code of this module that asks the server something pgx.Conn alone can, and keeps nothing.
func (l *Lease) use(ctx context.Context, f func(*pgx.Conn) error) error {
	s, err := l.begin()
	if err != nil {
		return err
	}
	return l.end(ctx, s, f(l.conn.PGX()))
}

// attempt does one thing with the lease, and tells whether it can be done again on another.
func (l *Lease) attempt(f func() error) (unsent bool, err error) {
	l.conn.ClearSent()
	err = f()
	return err != nil && l.unsent(err), err
}

// rested is how long ago the server last answered.
func (l *Lease) rested() time.Duration {
	t := l.token.Load()
	if t == nil {
		return 0
	}
	return time.Duration(t.slot.pool.now() - t.slot.proved.Load())
}

// outlived tells whether the connection has reached MaxLifetime and can be replaced now: in an outage it serves on.
func (l *Lease) outlived() bool {
	t := l.token.Load()
	if t == nil {
		return false
	}
	p := t.slot.pool
	return t.slot.outlived(p.now()) && p.outage.Load().Since.IsZero()
}
