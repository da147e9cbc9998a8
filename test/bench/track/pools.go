package track

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jackc/puddle/v2"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// The peers, by their names in the tables.
const (
	pgxPool   = "pgxpool"
	puddleV2  = "puddle"
	stdlibSQL = "database/sql"
	floor     = "channel of connections"
	limit     = "a connection each"
)

// pool is a contestant, as far as rows use it; what a kind cannot do is nil.
type pool struct {
	cycle func(context.Context) error                       // leases and gives back at once
	lease func(context.Context) (release func(), err error) // what is done with the connection does not matter
	query func(ctx context.Context, caller int, sql string, arg int, into any) error
	open  func() int // how many connections there are
	close func() error

	ours *poolactor.Pool // if it is ours
}

// size says how many connections a pool has. All of them are there before anybody calls.
type size struct{ min, max int }

func fixed(n int) size { return size{n, n} }

// openOurs opens this project's pool with its defaults, but for the size and what more says.
func openOurs(ctx context.Context, dsn string, n size, more func(*poolactor.Config)) (*pool, error) {
	cfg, err := poolactor.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	cfg.MinSize, cfg.MaxSize = n.min, n.max
	if more != nil {
		more(&cfg)
	}
	p, err := poolactor.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	c := &pool{
		cycle: func(ctx context.Context) error {
			l, err := p.Acquire(ctx)
			if err != nil {
				return err
			}
			l.Release()
			return nil
		},
		lease: func(ctx context.Context) (func(), error) {
			l, err := p.Acquire(ctx)
			if err != nil {
				return nil, err
			}
			return l.Release, nil
		},
		query: func(ctx context.Context, _ int, sql string, arg int, into any) error {
			return p.QueryRow(ctx, sql, arg).Scan(into)
		},
		open:  func() int { s := p.Stat(); return s.Idle + s.Leased },
		close: p.Close,
		ours:  p,
	}
	return c, c.fill(ctx, n.min)
}

// openPgxpool opens pgxpool with its defaults, but for the size and what more says.
func openPgxpool(ctx context.Context, dsn string, n size, more func(*pgxpool.Config)) (*pool, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	cfg.MinConns, cfg.MaxConns = int32(n.min), int32(n.max)
	if more != nil {
		more(cfg)
	}
	p, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	c := &pool{
		cycle: func(ctx context.Context) error {
			c, err := p.Acquire(ctx)
			if err != nil {
				return err
			}
			c.Release()
			return nil
		},
		lease: func(ctx context.Context) (func(), error) {
			c, err := p.Acquire(ctx)
			if err != nil {
				return nil, err
			}
			return c.Release, nil
		},
		query: func(ctx context.Context, _ int, sql string, arg int, into any) error {
			return p.QueryRow(ctx, sql, arg).Scan(into)
		},
		open:  func() int { s := p.Stat(); return int(s.IdleConns() + s.AcquiredConns()) },
		close: func() error { p.Close(); return nil },
	}
	return c, c.fill(ctx, n.min)
}

// openStdlib opens database/sql over pgx's driver.
func openStdlib(ctx context.Context, dsn string, n size) (*pool, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	db := stdlib.OpenDB(*cfg)
	db.SetMaxOpenConns(n.max)
	db.SetMaxIdleConns(n.max)
	lease := func(ctx context.Context) (func(), error) {
		c, err := db.Conn(ctx)
		if err != nil {
			return nil, err
		}
		return func() { _ = c.Close() }, nil // it gives back, and fails only the second time
	}
	c := &pool{
		cycle: func(ctx context.Context) error {
			c, err := db.Conn(ctx)
			if err != nil {
				return err
			}
			return c.Close()
		},
		lease: lease,
		query: func(ctx context.Context, _ int, sql string, arg int, into any) error {
			return db.QueryRowContext(ctx, sql, arg).Scan(into)
		},
		open:  func() int { return db.Stats().OpenConnections },
		close: db.Close,
	}
	return c, c.leaseAll(ctx, n.min)
}

// openPuddle opens what is below pgxpool, over resources that are nothing.
func openPuddle(ctx context.Context, n size) (*pool, error) {
	p, err := puddle.NewPool(&puddle.Config[*sql.NullInt64]{
		Constructor: func(context.Context) (*sql.NullInt64, error) { return new(sql.NullInt64), nil },
		Destructor:  func(*sql.NullInt64) {},
		MaxSize:     int32(n.max),
	})
	if err != nil {
		return nil, err
	}
	lease := func(ctx context.Context) (func(), error) {
		r, err := p.Acquire(ctx)
		if err != nil {
			return nil, err
		}
		return r.Release, nil
	}
	c := &pool{
		cycle: func(ctx context.Context) error {
			r, err := p.Acquire(ctx)
			if err != nil {
				return err
			}
			r.Release()
			return nil
		},
		lease: lease,
		open:  func() int { return int(p.Stat().TotalResources()) },
		close: func() error { p.Close(); return nil },
	}
	return c, c.leaseAll(ctx, n.min)
}

// openChannel puts connections into a channel: what a pool costs that does nothing but hand them out.
func openChannel(ctx context.Context, dsn string, n size) (*pool, error) {
	conns, err := connect(ctx, dsn, n.max)
	if err != nil {
		return nil, err
	}
	free := make(chan *pgx.Conn, len(conns))
	for _, c := range conns {
		free <- c
	}
	take := func(ctx context.Context) (*pgx.Conn, error) {
		select {
		case c := <-free:
			return c, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return &pool{
		cycle: func(ctx context.Context) error {
			c, err := take(ctx)
			if err == nil {
				free <- c
			}
			return err
		},
		lease: func(ctx context.Context) (func(), error) {
			c, err := take(ctx)
			return func() { free <- c }, err
		},
		query: func(ctx context.Context, _ int, sql string, arg int, into any) error {
			c, err := take(ctx)
			if err != nil {
				return err
			}
			defer func() { free <- c }()
			return c.QueryRow(ctx, sql, arg).Scan(into)
		},
		open:  func() int { return len(conns) },
		close: func() error { return disconnect(conns) },
	}, nil
}

// openBare gives each caller a connection of its own: what is left of the time when there is no pool at all.
func openBare(ctx context.Context, dsn string, callers int) (*pool, error) {
	conns, err := connect(ctx, dsn, callers)
	if err != nil {
		return nil, err
	}
	return &pool{
		query: func(ctx context.Context, caller int, sql string, arg int, into any) error {
			return conns[caller].QueryRow(ctx, sql, arg).Scan(into)
		},
		open:  func() int { return len(conns) },
		close: func() error { return disconnect(conns) },
	}, nil
}

func connect(ctx context.Context, dsn string, n int) ([]*pgx.Conn, error) {
	conns := make([]*pgx.Conn, 0, n)
	for range n {
		c, err := pgx.Connect(ctx, dsn)
		if err != nil {
			return nil, errors.Join(err, disconnect(conns))
		}
		conns = append(conns, c)
	}
	return conns, nil
}

func disconnect(conns []*pgx.Conn) error {
	var errs []error
	for _, c := range conns {
		errs = append(errs, c.Close(context.Background()))
	}
	return errors.Join(errs...)
}

// patience bounds the waiting for a pool's connections.
const patience = 60 * time.Second

// fill waits until a pool that opens its connections by itself has n of them.
func (p *pool) fill(ctx context.Context, n int) error {
	return p.orClose(until(ctx, fmt.Sprintf("%d connections", n), func() bool { return p.open() >= n }))
}

// leaseAll makes a pool open n connections that opens none by itself.
func (p *pool) leaseAll(ctx context.Context, n int) error {
	for range n {
		release, err := p.lease(ctx)
		if err != nil {
			return p.orClose(err)
		}
		defer release()
	}
	return nil
}

func (p *pool) orClose(err error) error {
	if err == nil {
		return nil
	}
	return errors.Join(err, p.close())
}

// until looks every few milliseconds whether something has come about.
func until(ctx context.Context, what string, condition func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	for !condition() {
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w", what, ctx.Err())
		}
	}
	return nil
}
