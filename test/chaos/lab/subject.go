package lab

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// Kind names a pool that can be put to the test.
type Kind string

// The pool of this project, and those that users would otherwise pick.
const (
	Ours    Kind = "supervised"
	Pgxpool Kind = "pgxpool"
	Stdlib  Kind = "database/sql"
)

// Kinds are all of them, ours first.
var Kinds = []Kind{Ours, Pgxpool, Stdlib}

// Session is what a caller works with while it holds a connection.
type Session interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Begin(ctx context.Context) (pgx.Tx, error)
}

// subject is a pool under test.
type subject interface {
	// Do leases a connection for the time of f. The raw connection is for looking at only, and nil
	// where a look would change something.
	Do(ctx context.Context, f func(ctx context.Context, s Session, raw *pgconn.PgConn) error) error
	// Exec runs a statement on whichever connection the pool takes, on another one if the pool says so.
	Exec(ctx context.Context, sql string, args ...any) error
	// Scan does so with one that gives a row of one column.
	Scan(ctx context.Context, to any, sql string, args ...any) error
	// Insert puts a key into the table by a transaction, in the way in which a pool's users mostly do that. After an error it
	// tells whether the key may be there.
	Insert(ctx context.Context, key int64) (unknown bool, err error)
	// Leased is how many connections are with callers, by the pool's own account.
	Leased() int
	// Close takes the time it takes.
	Close() error
}

// Tuning is what an experiment sets; zero is the pool's own default.
type Tuning struct {
	Size     int                     // connections at most; default 20
	Ours     func(*poolactor.Config) // more settings, of our pool only
	Connect  func(*pgx.ConnConfig)   // how to reach the server, of each kind
	Dial     dialer                  // how sockets are made, inside the meter; default as net.Dialer makes them
	ConnWait time.Duration           // bounds one dial of a peer, as ConnectTimeout does ours; default 10 s
}

// open makes a pool of a kind whose sockets go through the meter.
func open(ctx context.Context, kind Kind, dsn string, t Tuning, m *meter) (subject, error) {
	switch kind {
	case Pgxpool:
		return openPgxpool(ctx, dsn, t, m)
	case Stdlib:
		return openStdlib(dsn, t, m)
	default:
		return openOurs(ctx, kind, dsn, t, m)
	}
}

// ours is the pool of this project, whole or without one of its safeguards.
type ours struct {
	*poolactor.Pool
	lacks *safeguard // nil: nothing
}

func openOurs(ctx context.Context, kind Kind, dsn string, t Tuning, m *meter) (subject, error) {
	cfg, err := poolactor.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	cfg.MaxSize = t.Size
	cfg.DialFunc, cfg.CancelDialFunc = m.dial, m.cancelDial
	cfg.ConnConfig.Tracer = witness{}
	if t.Connect != nil {
		t.Connect(cfg.ConnConfig)
		if cfg.ConnConfig.LookupFunc != nil {
			cfg.LookupFunc = cfg.ConnConfig.LookupFunc
		}
	}
	if t.Ours != nil {
		t.Ours(&cfg)
	}
	lacks := safeguardOf(kind)
	if lacks != nil && lacks.off != nil {
		lacks.off(&cfg)
	}
	p, err := poolactor.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return ours{p, lacks}, nil
}

func (o ours) Do(ctx context.Context, f func(context.Context, Session, *pgconn.PgConn) error) error {
	return o.With(ctx, func(ctx context.Context, l *poolactor.Lease) error {
		if o.lacks != nil && o.lacks.unseen {
			return f(ctx, l, nil)
		}
		var raw *pgx.Conn
		if err := l.Raw(func(c *pgx.Conn) error { raw = c; return nil }); err != nil {
			return err
		}
		if o.lacks != nil && o.lacks.unfenced {
			return f(ctx, raw, raw.PgConn())
		}
		return f(ctx, l, raw.PgConn())
	})
}

func (o ours) Exec(ctx context.Context, sql string, args ...any) error {
	_, err := o.Pool.Exec(ctx, sql, args...)
	return err
}

func (o ours) Scan(ctx context.Context, to any, sql string, args ...any) error {
	return o.QueryRow(ctx, sql, args...).Scan(to)
}

// Insert may try more than once, with the same key.
func (o ours) Insert(ctx context.Context, key int64) (unknown bool, err error) {
	err = o.Retry(ctx, poolactor.RetryPolicy{}, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, inserts, key)
		return err
	})
	return errors.Is(err, poolactor.ErrOutcomeUnknown), err
}

func (o ours) Leased() int { return o.Stat().Leased }

// peer is pgxpool.
type peer struct{ *pgxpool.Pool }

func openPgxpool(ctx context.Context, dsn string, t Tuning, m *meter) (subject, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = int32(t.Size)
	t.connect(cfg.ConnConfig, m)
	p, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return peer{p}, nil
}

func (p peer) Do(ctx context.Context, f func(context.Context, Session, *pgconn.PgConn) error) error {
	return p.AcquireFunc(ctx, func(c *pgxpool.Conn) error { return f(ctx, c, c.Conn().PgConn()) })
}

func (p peer) Exec(ctx context.Context, sql string, args ...any) error {
	_, err := p.Pool.Exec(ctx, sql, args...)
	return err
}

func (p peer) Scan(ctx context.Context, to any, sql string, args ...any) error {
	return p.QueryRow(ctx, sql, args...).Scan(to)
}

func (p peer) Insert(ctx context.Context, key int64) (unknown bool, err error) {
	err = pgx.BeginFunc(ctx, p.Pool, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, inserts, key)
		unknown = err == nil // COMMIT comes next
		return err
	})
	return unknown, err
}

func (p peer) Leased() int { return int(p.Stat().AcquiredConns()) }

// Close waits for those who hold a connection; pgxpool knows no bound.
func (p peer) Close() error { p.Pool.Close(); return nil }

// standard is database/sql with pgx as its driver.
type standard struct{ *sql.DB }

func openStdlib(dsn string, t Tuning, m *meter) (subject, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	t.connect(cfg, m)
	db := stdlib.OpenDB(*cfg)
	db.SetMaxOpenConns(t.Size)
	db.SetMaxIdleConns(t.Size)
	return standard{db}, nil
}

func (s standard) Do(ctx context.Context, f func(context.Context, Session, *pgconn.PgConn) error) (err error) {
	c, err := s.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { // also when f ends its goroutine
		if back := c.Close(); back != nil && !errors.Is(back, sql.ErrConnDone) && err == nil {
			err = back
		}
	}()
	return c.Raw(func(driver any) error {
		conn := driver.(*stdlib.Conn).Conn()
		return f(ctx, conn, conn.PgConn())
	})
}

func (s standard) Exec(ctx context.Context, sql string, args ...any) error {
	_, err := s.ExecContext(ctx, sql, args...)
	return err
}

func (s standard) Scan(ctx context.Context, to any, sql string, args ...any) error {
	return s.QueryRowContext(ctx, sql, args...).Scan(to)
}

func (s standard) Insert(ctx context.Context, key int64) (unknown bool, err error) {
	tx, err := s.BeginTx(ctx, nil)
	if err != nil {
		return false, err
	}
	if _, err := tx.ExecContext(ctx, inserts, key); err != nil {
		_ = tx.Rollback() // the connection may be gone
		return false, err
	}
	return true, tx.Commit()
}

func (s standard) Leased() int { return s.Stats().InUse }

// connect sets how a peer reaches the server.
func (t Tuning) connect(cfg *pgx.ConnConfig, m *meter) {
	cfg.DialFunc, cfg.Tracer = m.dial, witness{}
	cfg.ConnectTimeout = t.ConnWait
	if t.Connect != nil {
		t.Connect(cfg)
	}
}
