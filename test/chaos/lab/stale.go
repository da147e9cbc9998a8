package lab

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
)

// Row 16, the rest: callers that go on using what they have released, and callers that never release.

const (
	staleSize = 4
	staleFor  = 2 * time.Second

	forgetfulSize     = 8
	forgetfulFor      = 5 * time.Second
	forgetfulPatience = 5 * time.Second
	// collectEvery is how often the garbage is collected meanwhile: a lease that is lost comes back no earlier.
	collectEvery = 20 * time.Millisecond
)

// step is what one of several holders does with its session.
type step func(ctx context.Context, i int, s Session) error

// together lets each connection of the pool be held, all of them at the same time: each holder does before, then between is
// done, once, then each does after. It returns how many holders there were at once.
func (x *Experiment) together(ctx context.Context, before step, between func(), after step) int {
	var (
		group   sync.WaitGroup
		size    = x.setup.Tuning.Size
		holding atomic.Int64
		all     = make(chan struct{})
	)
	for i := range size {
		group.Go(func() {
			_ = x.load.run(ctx, func(ctx context.Context, s Session) error { // it is noted
				err := before(ctx, i, s)
				if holding.Add(1) == int64(size) {
					between()
					close(all)
				}
				select {
				case <-all:
				case <-ctx.Done():
					return ctx.Err()
				}
				return errors.Join(err, after(ctx, i, s))
			})
		})
	}
	group.Wait()
	return int(holding.Load())
}

// idly does nothing with a session.
func idly(context.Context, int, Session) error { return nil }

// allPlaces looks whether every connection that the pool may have can still be had.
func (x *Experiment) allPlaces(ctx context.Context) {
	if n := x.together(ctx, idly, func() {}, idly); n < x.setup.Tuning.Size {
		x.Against("%d of %d connections can still be had", n, x.setup.Tuning.Size)
	}
}

// kept is what a caller keeps of a lease past its end.
type kept struct {
	session Session
	tx      pgx.Tx
}

// intrude uses it all, and returns how many of the statements reached a server. What a pool makes of that is its own affair:
// some panic.
func (k kept) intrude(ctx context.Context) (reached int) {
	try := func(f func() error) {
		defer func() { _ = recover() }()
		if f() == nil {
			reached++
		}
	}
	try(func() error {
		_, err := k.session.Exec(ctx, "select set_config('lab.mark', 'stale', false)")
		return err
	})
	try(func() error { var n int; return k.session.QueryRow(ctx, "select 1").Scan(&n) })
	try(func() error { _, err := k.tx.Exec(ctx, "set local lab.mark = 'stale'"); return err })
	try(func() error { return k.tx.Rollback(ctx) })
	try(func() error {
		if s, ok := k.session.(interface{ Release() }); ok {
			s.Release()
		}
		return errors.New("nothing was asked")
	})
	return reached
}

// staleness goes in rounds, so that nobody uses a connection at the same moment as its holder: some callers keep what they
// have released, others hold the same connections in the middle of a transaction, and then the former use what they kept.
func staleness(ctx context.Context, l *Lab, k Kind) (Result, error) {
	setup := Setup{Callers: -1, Tuning: Tuning{Size: staleSize}}
	return l.on(ctx, k, postgres.Options{}, setup, func(x *Experiment, _ *postgres.Server) error {
		f, rounds := &finds{}, 0
		for end := time.Now().Add(staleFor); time.Now().Before(end); rounds++ {
			x.round(ctx, f)
		}
		x.Note("%d rounds of %d sessions", rounds, staleSize)
		x.found(f)
		x.allPlaces(ctx)
		return nil
	})
}

// round is one of them. Every second transaction is left open by those who keep it.
func (x *Experiment) round(ctx context.Context, f *finds) {
	all := make([]kept, staleSize)
	x.together(ctx, func(ctx context.Context, i int, s Session) (err error) {
		all[i].session = s
		if all[i].tx, err = s.Begin(ctx); err != nil || i%2 == 0 {
			return err
		}
		return all[i].tx.Commit(ctx)
	}, func() {}, idly)
	txs, keys := make([]pgx.Tx, staleSize), make([]int64, staleSize)
	x.together(ctx, func(ctx context.Context, i int, s Session) (err error) {
		if err := f.look(ctx, s); err != nil {
			return err
		}
		keys[i] = x.load.keys.Add(1)
		if txs[i], err = s.Begin(ctx); err != nil {
			return err
		}
		_, err = txs[i].Exec(ctx, "insert into inserted values ($1)", keys[i])
		return err
	}, func() {
		for _, k := range all {
			for range k.intrude(ctx) {
				f.add("statements of somebody who had released")
			}
		}
		x.nobodyElse(ctx, f)
	}, func(ctx context.Context, i int, s Session) error {
		var mark string
		err := txs[i].QueryRow(ctx, "select coalesce(current_setting('lab.mark', true), '')").Scan(&mark)
		if mark != "" {
			f.add("settings of somebody who had released")
		}
		err = errors.Join(err, txs[i].Commit(ctx))
		x.load.inserted(keys[i], err)
		return err
	})
}

// nobodyElse looks that nobody gets a connection while all are held.
func (x *Experiment) nobodyElse(ctx context.Context, f *finds) {
	ctx, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	_ = x.pool.Do(ctx, func(context.Context, Session, *pgconn.PgConn) error {
		f.add("connections with two holders")
		return nil
	})
}

// forgetfulness: a pool that only counts what comes back is soon empty.
func forgetfulness(ctx context.Context, l *Lab, k Kind) (Result, error) {
	var forgotten atomic.Int64
	setup := Setup{Patience: forgetfulPatience, Tuning: Tuning{Size: forgetfulSize}, Load: func(w *workload) error {
		if rand.IntN(4) > 0 {
			return w.call()
		}
		err := w.forget()
		if err == nil {
			forgotten.Add(1)
		}
		return err
	}}
	return l.on(ctx, k, postgres.Options{}, setup, func(x *Experiment, _ *postgres.Server) error {
		collecting, stop := context.WithCancel(ctx)
		var collector sync.WaitGroup
		collector.Go(func() {
			for ; collecting.Err() == nil; Pass(collecting, collectEvery) {
				runtime.GC()
			}
		})
		Pass(ctx, forgetfulFor)
		x.load.end() // as long as callers wait, garbage is collected
		if pool := x.Pool(); pool != nil {
			until(ctx, eventually, func() bool { return pool.Stat().Leased == 0 })
		}
		stop()
		collector.Wait()
		x.Note("%d leases forgotten", forgotten.Load())
		if forgotten.Load() < 2*forgetfulSize {
			x.Against("only %d leases could be forgotten", forgotten.Load())
		}
		x.allPlaces(ctx)
		return nil
	})
}

// forget makes a call that never gives its connection back.
func (w *workload) forget() error {
	ctx, cancel := context.WithTimeout(context.Background(), w.patience)
	defer cancel()
	c := Call{Began: time.Now()}
	c.Err = lose(ctx, w.pool)
	c.Ended = time.Now()
	w.note(c)
	return c.Err
}

// lose takes a connection from a pool, uses it, and drops it.
func lose(ctx context.Context, pool subject) error {
	const use = "select 1"
	switch p := pool.(type) {
	case ours:
		lease, err := p.Acquire(ctx)
		if err != nil {
			return err
		}
		_, err = lease.Exec(ctx, use)
		return err
	case peer:
		conn, err := p.Acquire(ctx)
		if err != nil {
			return err
		}
		_, err = conn.Exec(ctx, use)
		return err
	default:
		conn, err := p.(standard).Conn(ctx)
		if err != nil {
			return err
		}
		_, err = conn.ExecContext(ctx, use)
		return err
	}
}
