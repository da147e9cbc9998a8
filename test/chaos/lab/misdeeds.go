package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// What callers do to a pool in a soak that they should not. Nobody else may notice.

var callerSteps = []func(*rand.Rand) deed{
	misdeed("a lease is forgotten", func(context.Context, *poolactor.Lease) error { return nil }),
	misdeed("a lease is released by several at once", func(_ context.Context, l *poolactor.Lease) error {
		var all sync.WaitGroup
		for range 4 {
			all.Go(l.Release)
		}
		all.Wait()
		return nil
	}),
	misdeed("a lease is used after its release", func(ctx context.Context, l *poolactor.Lease) error {
		l.Release()
		if _, err := l.Exec(ctx, "insert into inserted values (-2)"); !errors.Is(err, poolactor.ErrReleased) {
			return fmt.Errorf("a statement after the release ended with %w", err)
		}
		return nil
	}),
	misdeed("a transaction is left open", releasing(func(ctx context.Context, l *poolactor.Lease) {
		if tx, err := l.Begin(ctx); err == nil {
			_, _ = tx.Exec(ctx, "insert into inserted values (-1)") // whether it can or not
		}
	})),
	misdeed("a transaction is left open after an error", releasing(func(ctx context.Context, l *poolactor.Lease) {
		_, _ = l.Exec(ctx, "begin")
		_, _ = l.Exec(ctx, "insert into inserted values (-1)")
		_, _ = l.Exec(ctx, "select 1 / 0")
	})),
	misdeed("a result is half read", releasing(func(ctx context.Context, l *poolactor.Lease) {
		if rows, err := l.Query(ctx, longResult); err == nil {
			rows.Next()
		}
	})),
	soakDirty, soakDirty, soakDirty,
	misdeed("the connection is closed", releasing(func(ctx context.Context, l *poolactor.Lease) {
		_ = l.Raw(func(c *pgx.Conn) error { return c.Close(ctx) })
	})),
	misdeed("a caller ends its own backend", releasing(func(ctx context.Context, l *poolactor.Lease) {
		_, _ = l.Exec(ctx, "select pg_terminate_backend(pg_backend_pid())")
	})),
	misdeed("a goroutine ends with a lease", func(ctx context.Context, l *poolactor.Lease) error {
		defer l.Release()
		_, _ = l.Exec(ctx, "begin")
		runtime.Goexit()
		return nil
	}),
	misdeed("a lease is discarded, and released", releasing(func(_ context.Context, l *poolactor.Lease) { l.Discard() })),
	misdeed("a lease is released during a statement", func(ctx context.Context, l *poolactor.Lease) error {
		var beside sync.WaitGroup
		beside.Go(func() { _, _ = l.Exec(ctx, "select pg_sleep(0.05)") })
		l.Release()
		beside.Wait()
		return nil
	}),
	misdeed("a statement is cancelled", releasing(func(ctx context.Context, l *poolactor.Lease) {
		ctx, cancel := context.WithCancel(ctx)
		var beside sync.WaitGroup
		beside.Go(func() { _, _ = l.Exec(ctx, "select pg_sleep(1)") })
		cancel()
		beside.Wait()
	})),
}

// releasing makes a misdeed of something that is done before a release. That it fails is nobody's business.
func releasing(f func(context.Context, *poolactor.Lease)) func(context.Context, *poolactor.Lease) error {
	return func(ctx context.Context, l *poolactor.Lease) error {
		defer l.Release()
		f(ctx, l)
		return nil
	}
}

// misdeed makes a step of what one caller does with a lease; an error says what the pool let it do. It is left to itself
// then, and ends with the round.
func misdeed(what string, f func(context.Context, *poolactor.Lease) error) func(*rand.Rand) deed {
	return func(*rand.Rand) deed {
		return deed{what: what, do: func(ctx context.Context, b *bout) error {
			b.x.load.group.Go(func() {
				ctx, cancel := context.WithTimeout(ctx, patience)
				defer cancel()
				lease, err := b.pool.Acquire(poolactor.WithLabel(ctx, what))
				if err != nil {
					b.fail("%s: nobody got that far: %v", what, err)
					return
				}
				if err := f(ctx, lease); err != nil {
					b.fail("%s: %v", what, err)
				}
			})
			return nil
		}}
	}
}

// dirt is what a lease changes about its session.
var dirt = []string{
	"set work_mem = '1MB'",
	"set app.tenant = 'Ada'",
	"set search_path = nowhere",
	"set role pg_monitor",
	"create temp table mine (a int)",
	"select pg_advisory_lock_shared(7)",
	"listen news",
	"prepare mine as select 1",
	"declare mine cursor with hold for select 1",
	"begin; set local work_mem = '1MB'; set time zone 'Asia/Tokyo'",
}

func soakDirty(r *rand.Rand) deed {
	sql := pick(r, dirt)
	return misdeed(sql, releasing(func(ctx context.Context, l *poolactor.Lease) { _, _ = l.Exec(ctx, sql) }))(r)
}
