package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// Row 14, the calls: each may end by a panic of what its caller supplied, and by nothing else.

// panicsInCalls lets callers' own code panic at all places where pgx or the pool calls it.
func panicsInCalls(ctx context.Context, l *Lab, k Kind) (Result, error) {
	m := newMine(0.02)
	setup := Setup{Load: m.call, Tuning: Tuning{Ours: func(c *poolactor.Config) {
		c.Tracer = leaseTracer{m}
		c.ConnConfig.Tracer = tracer{mine: m}
		c.ConnConfig.OnNotice = func(on *pgconn.PgConn, _ *pgconn.Notice) { m.stepFor("OnNotice", m.user(on)) }
		c.ConnConfig.OnNotification = func(on *pgconn.PgConn, _ *pgconn.Notification) { m.stepFor("OnNotification", m.user(on)) }
		onError := c.ConnConfig.OnPgError
		c.ConnConfig.OnPgError = func(on *pgconn.PgConn, answer *pgconn.PgError) bool {
			m.stepFor("OnPgError", m.user(on))
			return onError(on, answer)
		}
		m.config = *c
	}}}
	return l.on(ctx, k, postgres.Options{}, setup, func(x *Experiment, _ *postgres.Server) error {
		m.rage(ctx, x, "QueryTracer start", "QueryTracer end", "BatchTracer start", "BatchTracer query", "BatchTracer end",
			"CopyFromTracer start", "CopyFromTracer end", "PrepareTracer start", "PrepareTracer end",
			"Tracer.AcquireStart", "Tracer.AcquireEnd", "Tracer.Released", "PoolTracer.TracePool",
			"OnNotice", "OnNotification", "OnPgError", "With", "WithTx", "Retry", "Raw", "batch function", "source of rows")
		x.Excuse(func(c Call) bool { return errors.Is(c.Err, errThrown) })
		m.compare(x)
		return nil
	})
}

// call makes one call, of a kind left to chance, with the pool's own methods. Whatever panics in it is its error.
func (m *mine) call(w *workload) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), w.patience)
	defer cancel()
	pool, key := w.pool.(ours).Pool, w.keys.Add(1)
	ctx = context.WithValue(ctx, callKey{}, key)
	c := Call{Began: time.Now(), Backend: &Backend{}, Granted: time.Now()} // which one, only the pool knows
	inserts, err := m.contained(ctx, pool, key)
	c.Ended, c.Err = time.Now(), err
	w.note(c)
	m.hit(key, err)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !inserts:
	case err == nil:
		w.acked = append(w.acked, key)
	default:
		w.unknown = append(w.unknown, key)
	}
	return err
}

// contained makes an error of a panic.
func (m *mine) contained(ctx context.Context, pool *poolactor.Pool, key int64) (inserts bool, err error) {
	defer func() {
		if v := recover(); v != nil {
			var thrown bool
			if err, thrown = v.(error); !thrown {
				err = fmt.Errorf("an unexpected panic: %v", v)
			}
		}
	}()
	calls := []func(context.Context, *poolactor.Pool, int64) error{m.insert, m.retried, m.copied, m.read, m.batch, m.raw, m.noticed, m.refused, m.another}
	kind := rand.IntN(len(calls))
	inserts = kind < 3
	return inserts, calls[kind](ctx, pool, key)
}

const inserts = "insert into inserted values ($1)"

func (m *mine) insert(ctx context.Context, pool *poolactor.Pool, key int64) error {
	return pool.WithTx(ctx, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, inserts, key)
		m.stepFor("WithTx", key)
		return err
	})
}

func (m *mine) retried(ctx context.Context, pool *poolactor.Pool, key int64) error {
	return pool.Retry(ctx, poolactor.RetryPolicy{}, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, inserts, key)
		m.stepFor("Retry", key)
		return err
	})
}

func (m *mine) copied(ctx context.Context, pool *poolactor.Pool, key int64) error {
	done := false
	_, err := pool.CopyFrom(ctx, pgx.Identifier{"inserted"}, []string{"key"}, pgx.CopyFromFunc(func() ([]any, error) {
		m.stepFor("source of rows", key)
		if done {
			return nil, nil
		}
		done = true
		return []any{key}, nil
	}))
	return err
}

// read reads rows, and relies on their end to give the lease back.
func (m *mine) read(ctx context.Context, pool *poolactor.Pool, _ int64) error {
	rows, err := pool.Query(ctx, "select generate_series(1, $1::int)", 10)
	if err != nil {
		return err
	}
	for rows.Next() {
		var n int
		if err := rows.Scan(&n); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (m *mine) batch(ctx context.Context, pool *poolactor.Pool, key int64) error {
	var b pgx.Batch
	for range 3 {
		b.Queue("select $1::int", 1).QueryRow(func(row pgx.Row) error {
			m.stepFor("batch function", key)
			var n int
			return row.Scan(&n)
		})
	}
	return pool.SendBatch(ctx, &b).Close()
}

func (m *mine) raw(ctx context.Context, pool *poolactor.Pool, key int64) error {
	return pool.With(ctx, func(ctx context.Context, l *poolactor.Lease) error {
		m.stepFor("With", key)
		return l.Raw(func(c *pgx.Conn) error {
			_, err := c.Exec(ctx, "select 1")
			m.stepFor("Raw", key)
			return err
		})
	})
}

// noticed makes the server say something that nobody asked for.
func (m *mine) noticed(ctx context.Context, pool *poolactor.Pool, _ int64) error {
	_, err := pool.Exec(ctx, "listen news; notify news; do $$ begin raise notice 'news'; end $$")
	return err
}

// refused makes the server answer with an error, which is what its caller wants.
func (m *mine) refused(ctx context.Context, pool *poolactor.Pool, _ int64) error {
	_, err := pool.Exec(ctx, "select 1/0")
	if code(err) == "22012" {
		return nil
	}
	return err
}

// another makes a pool, which nobody uses.
func (m *mine) another(_ context.Context, _ *poolactor.Pool, key int64) error {
	c := m.config
	c.Tracer = newTracer{leaseTracer{m}, key}
	p, err := poolactor.New(c)
	if err != nil {
		return err
	}
	return p.Close()
}
