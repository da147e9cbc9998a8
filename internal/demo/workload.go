package demo

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-4ff2b7b9/supervised/internal/judge"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// callTimeout is every call's deadline: far longer than any outage here, so no call may fail for it.
const callTimeout = 30 * time.Second

// workload is a service of the tree: the callers.
type workload struct {
	pool    *poolactor.Pool
	keys    []*keys // by caller
	latency latency

	acknowledged, reads, writes atomic.Int64
	failed, unknown             atomic.Int64
	longest                     atomic.Int64 // the longest acknowledged call, in nanoseconds
	misread                     atomic.Int64 // reads that did not find an acknowledged key exactly once

	mu       sync.Mutex
	failures []judge.Call
}

// figures are the counts of a workload.
type figures struct{ acknowledged, reads, writes, failed, unknown int64 }

func newWorkload(pool *poolactor.Pool, callers int) *workload {
	w := &workload{pool: pool}
	for i := range callers {
		w.keys = append(w.keys, &keys{caller: int64(i)})
	}
	return w
}

func (w *workload) figures() figures {
	return figures{w.acknowledged.Load(), w.reads.Load(), w.writes.Load(), w.failed.Load(), w.unknown.Load()}
}

// String names the service.
func (w *workload) String() string { return "callers" }

// Serve lets the callers call until ctx ends, and each end the call that it has begun.
func (w *workload) Serve(ctx context.Context) error {
	var callers sync.WaitGroup
	for _, k := range w.keys {
		callers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				w.call(k, n%2 == 0)
			}
		})
	}
	callers.Wait()
	return ctx.Err()
}

// call makes one call, a write or a read.
func (w *workload) call(k *keys, write bool) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	began := time.Now()
	var c judge.Call
	err := w.lease(ctx, &c, func(l *poolactor.Lease) error {
		if write {
			return w.write(ctx, l, k)
		}
		return w.read(ctx, l, k)
	})
	if err != nil {
		c.Ended, c.Err = time.Now(), err
		w.note(c)
		return
	}
	took := time.Since(began)
	w.latency.add(took)
	raise(&w.longest, int64(took))
	w.acknowledged.Add(1)
	if write {
		w.writes.Add(1)
	} else {
		w.reads.Add(1)
	}
}

// lease runs a call's statements on a lease, and takes down which backend it had since when.
func (w *workload) lease(ctx context.Context, c *judge.Call, use func(*poolactor.Lease) error) error {
	l, err := w.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer l.Release()
	c.Granted = time.Now()
	if c.Backend, err = behind(l); err != nil {
		return err
	}
	return use(l)
}

// behind is the backend that a lease leads to.
func behind(l *poolactor.Lease) (b *judge.Backend, err error) {
	err = l.Raw(func(c *pgx.Conn) error {
		b, err = judge.Behind(c.PgConn())
		return err
	})
	return b, err
}

// write inserts a new key in a transaction.
func (w *workload) write(ctx context.Context, l *poolactor.Lease, k *keys) error {
	key := k.next()
	tx, err := l.Begin(ctx)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "insert into demo (key) values ($1)", key); err != nil {
		_ = tx.Rollback(ctx) // the insert's error is the one that counts
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		if errors.Is(err, poolactor.ErrOutcomeUnknown) {
			k.set(key, unknown)
		}
		return err
	}
	k.set(key, acknowledged)
	return nil
}

// read looks for a key whose commit was acknowledged.
func (w *workload) read(ctx context.Context, l *poolactor.Lease, k *keys) error {
	key, ok := k.any()
	var n int
	err := l.QueryRow(ctx, "select count(*) from demo where key = $1", key).Scan(&n)
	if err == nil && ok && n != 1 {
		w.misread.Add(1)
	}
	return err
}

// note takes a failed call down.
func (w *workload) note(c judge.Call) {
	if errors.Is(c.Err, poolactor.ErrOutcomeUnknown) {
		w.unknown.Add(1)
	} else {
		w.failed.Add(1)
	}
	c.Err = errors.New(c.Err.Error()) // as it reads now: it may tell how long ago something was
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failures = append(w.failures, c)
}

// raise lifts a maximum.
func raise(highest *atomic.Int64, v int64) {
	for {
		old := highest.Load()
		if v <= old || highest.CompareAndSwap(old, v) {
			return
		}
	}
}

// createTable makes the table. It has no unique index: a key that is there twice is to be seen.
func createTable(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "create table demo (key bigint not null); create index on demo (key)")
	return errors.Join(err, conn.Close(ctx))
}

// keys are what one caller has inserted. Only that caller uses them, until it has ended.
type keys struct {
	caller   int64
	outcomes []outcome // by number
	sure     []int64   // some that were acknowledged, for reads
}

// outcome is what a caller knows about a key.
type outcome uint8

const (
	failed       outcome = iota // never committed
	acknowledged                // committed
	unknown                     // the answer to the commit was lost
)

// A key is its caller and a number.
const numberBits = 40

// next makes a new key, which counts as failed until more is known.
func (k *keys) next() int64 {
	k.outcomes = append(k.outcomes, failed)
	return k.caller<<numberBits | int64(len(k.outcomes)-1)
}

// remembered is how many keys a caller reads from.
const remembered = 1024

func (k *keys) set(key int64, o outcome) {
	k.outcomes[key&(1<<numberBits-1)] = o
	switch {
	case o != acknowledged:
	case len(k.sure) < remembered:
		k.sure = append(k.sure, key)
	default:
		k.sure[rand.IntN(remembered)] = key
	}
}

// any is a key that was acknowledged; false if there is none yet.
func (k *keys) any() (int64, bool) {
	if len(k.sure) == 0 {
		return -1, false
	}
	return k.sure[rand.IntN(len(k.sure))], true
}
