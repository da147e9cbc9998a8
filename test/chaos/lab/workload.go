package lab

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// patience is every call's deadline.
const patience = 30 * time.Second

// pauseAfterFailure keeps callers of a pool that fails at once from doing nothing else.
const pauseAfterFailure = time.Millisecond

// workload is callers that keep a pool busy with reads, slow statements and transactions that insert a key of their own,
// and what became of each call.
type workload struct {
	pool     subject
	patience time.Duration
	keys     atomic.Int64
	holding  atomic.Int64 // calls that hold a connection now

	stop  context.CancelFunc
	group sync.WaitGroup

	mu      sync.Mutex
	calls   []Call
	acked   []int64 // keys whose insert was acknowledged
	unknown []int64 // keys whose insert ended in an error: there or not
}

// startCalling sets callers on a pool. load makes one call; nil: of the usual mix.
func startCalling(pool subject, callers int, patience time.Duration, load func(*workload) error) *workload {
	ctx, stop := context.WithCancel(context.Background())
	w := &workload{pool: pool, patience: patience, stop: stop}
	if load == nil {
		load = (*workload).call
	}
	for range max(callers, 0) {
		w.group.Go(func() {
			for ctx.Err() == nil {
				if load(w) != nil {
					<-time.After(pauseAfterFailure)
				}
			}
		})
	}
	return w
}

// end stops the callers and waits for the calls that are under way.
func (w *workload) end() {
	w.stop()
	w.group.Wait()
}

// run makes one call that is noted: f is what it does with its connection.
func (w *workload) run(ctx context.Context, f func(context.Context, Session) error) error {
	ctx, cancel := context.WithTimeout(ctx, w.patience)
	defer cancel()
	c := Call{Began: time.Now()}
	c.Err = w.pool.Do(ctx, func(ctx context.Context, s Session, raw *pgconn.PgConn) error {
		c.Granted = time.Now()
		c.Backend = Backend{PID: raw.PID(), Socket: raw.Conn().LocalAddr().String()}
		w.holding.Add(1)
		defer w.holding.Add(-1)
		return f(ctx, s)
	})
	c.Ended = time.Now()
	w.note(c)
	return c.Err
}

func (w *workload) note(c Call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, c)
}

// call makes one call, of a kind left to chance.
func (w *workload) call() error {
	kind, key := rand.IntN(4), w.keys.Add(1)
	err := w.run(context.Background(), func(ctx context.Context, s Session) error {
		switch kind {
		case 0:
			return insert(ctx, s, key)
		case 1:
			_, err := s.Exec(ctx, "select pg_sleep(0.02)")
			return err
		default:
			var n int
			return s.QueryRow(ctx, "select $1::int", 1).Scan(&n)
		}
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case kind != 0:
	case err == nil:
		w.acked = append(w.acked, key)
	default:
		w.unknown = append(w.unknown, key)
	}
	return err
}

// insert puts a key into the table, by a transaction.
func insert(ctx context.Context, s Session, key int64) error {
	tx, err := s.Begin(ctx)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "insert into inserted values ($1)", key); err != nil {
		_ = tx.Rollback(ctx) // pgxpool and database/sql keep the transaction open else
		return err
	}
	return tx.Commit(ctx)
}

// firstSuccess is when the first call ended well that was granted after the given time; zero if none did.
func (w *workload) firstSuccess(after time.Time) (first time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.calls {
		if c.Err == nil && c.Granted.After(after) && (first.IsZero() || c.Ended.Before(first)) {
			first = c.Ended
		}
	}
	return first
}

// rateWindow is the time over which a rate of calls is taken.
const rateWindow = 250 * time.Millisecond

// recovered is when the rate of good calls was back at 95 % of what it was before the fault: the end of the first window
// after the given time of which that holds. Zero: not yet.
func (w *workload) recovered(fault, after time.Time) time.Time {
	w.mu.Lock()
	ends := make([]time.Time, 0, len(w.calls))
	for _, c := range w.calls {
		if c.Err == nil {
			ends = append(ends, c.Ended)
		}
	}
	w.mu.Unlock()
	slices.SortFunc(ends, time.Time.Compare)
	within := func(from time.Time) int {
		lo, _ := slices.BinarySearchFunc(ends, from, time.Time.Compare)
		hi, _ := slices.BinarySearchFunc(ends, from.Add(rateWindow), time.Time.Compare)
		return hi - lo
	}
	var before []int
	for i := range 4 {
		before = append(before, within(fault.Add(-time.Duration(i+1)*rateWindow)))
	}
	slices.Sort(before)
	former := float64(before[1]+before[2]) / 2
	if len(ends) == 0 {
		return time.Time{}
	}
	for from := after; from.Add(rateWindow).Before(ends[len(ends)-1]); from = from.Add(10 * time.Millisecond) {
		if float64(within(from)) >= 0.95*former {
			return from.Add(rateWindow)
		}
	}
	return time.Time{}
}

// rows are what became of the inserts.
type rows struct {
	Acknowledged   int // inserts that the caller was told of
	Missing        int // of these, the ones that are not in the table
	Doubled        int // keys that are there more than once
	UnknownPresent int // inserts that ended in an error and are there
	UnknownAbsent  int // inserts that ended in an error and are not there
}

// audit holds the table against what the callers were told, over a connection of its own.
func (w *workload) audit(ctx context.Context, dsn string) (r rows, err error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return r, err
	}
	defer conn.Close(ctx)
	found, err := conn.Query(ctx, "select key, count(*) from inserted group by key")
	if err != nil {
		return r, err
	}
	times := make(map[int64]int)
	var key int64
	var n int
	if _, err := pgx.ForEachRow(found, []any{&key, &n}, func() error { times[key] = n; return nil }); err != nil {
		return r, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	r.Acknowledged = len(w.acked)
	for _, key := range w.acked {
		if times[key] == 0 {
			r.Missing++
		}
	}
	for _, key := range w.unknown {
		if times[key] > 0 {
			r.UnknownPresent++
		} else {
			r.UnknownAbsent++
		}
	}
	for _, n := range times {
		if n > 1 {
			r.Doubled++
		}
	}
	return r, nil
}
