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

// habits are how callers call.
type habits struct {
	patience time.Duration         // each call's deadline
	think    time.Duration         // the longest pause between two calls of one caller
	results  bool                  // half of the calls read a long result
	load     func(*workload) error // makes one call; nil: of the usual mix
}

// workload is callers that keep a pool busy with reads, slow statements and transactions that insert a key of their own,
// and what became of each call.
type workload struct {
	habits
	pool    subject
	keys    atomic.Int64
	holding atomic.Int64 // calls that hold a connection now
	halves  atomic.Int64 // results that ended in their middle

	running context.Context
	stop    context.CancelFunc
	group   sync.WaitGroup
	turn    sync.RWMutex // held by each call; held back by pause
	paused  bool

	mu       sync.Mutex
	calls    []Call
	backends map[Backend]*Backend // by what their connections tell of them
	acked    []int64              // keys whose insert was acknowledged
	unknown  []int64              // keys whose insert ended in an error: there or not
	again    []int64              // keys that are not there, because the insert failed before it could be committed
	repeated int                  // keys of these that were inserted again
}

// startCalling sets callers on a pool.
func startCalling(pool subject, callers int, h habits) *workload {
	w := &workload{pool: pool, habits: h}
	if w.load == nil {
		w.load = (*workload).call
	}
	w.running, w.stop = context.WithCancel(context.Background())
	w.add(callers)
	return w
}

// add sets more callers on the pool.
func (w *workload) add(callers int) {
	for range max(callers, 0) {
		w.group.Go(func() {
			for w.running.Err() == nil {
				pause := time.Duration(0)
				if w.think > 0 {
					pause = rand.N(w.think)
				}
				if w.load(w) != nil {
					pause = max(pause, pauseAfterFailure)
				}
				Pass(w.running, pause)
			}
		})
	}
}

// pause lets nobody begin a call, and returns when none is under way. One goroutine pauses, resumes and ends.
func (w *workload) pause() {
	w.turn.Lock()
	w.paused = true
}

// resume ends a pause.
func (w *workload) resume() {
	w.paused = false
	w.turn.Unlock()
}

// end stops the callers and waits for the calls that are under way.
func (w *workload) end() {
	if w.paused {
		w.resume()
	}
	w.stop()
	w.group.Wait()
}

// run makes one call that is noted: f is what it does with its connection.
func (w *workload) run(ctx context.Context, f func(context.Context, Session) error) error {
	c := w.try(ctx, w.patience, f)
	w.note(c)
	return c.Err
}

// try makes one call with a deadline, and leaves it to whoever asks what becomes of it.
func (w *workload) try(ctx context.Context, patience time.Duration, f func(context.Context, Session) error) Call {
	return w.timed(ctx, patience, func(ctx context.Context, c *Call) error {
		return w.pool.Do(ctx, func(ctx context.Context, s Session, raw *pgconn.PgConn) error {
			c.Granted = time.Now()
			c.Backend = w.behind(raw)
			w.holding.Add(1)
			defer w.holding.Add(-1)
			return f(ctx, s)
		})
	})
}

// timed makes one call with a deadline, whichever way f makes it, and notes its beginning and its end.
func (w *workload) timed(ctx context.Context, patience time.Duration, f func(context.Context, *Call) error) Call {
	w.turn.RLock()
	defer w.turn.RUnlock()
	c := Call{Began: time.Now()} // before its deadline is set, so that this never seems to come early
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c.Err = f(ctx, &c)
	c.Ended = time.Now()
	return c
}

// behind is the backend that a connection leads to. A PID may come back after a restart, the socket with it does not.
func (w *workload) behind(raw *pgconn.PgConn) *Backend {
	if raw == nil {
		return &Backend{}
	}
	b := Backend{PID: raw.PID(), Socket: raw.Conn().LocalAddr().String()}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.backends == nil {
		w.backends = make(map[Backend]*Backend)
	}
	if w.backends[b] == nil {
		w.backends[b] = &b
	}
	return w.backends[b]
}

// date notes when each backend that a call had was started, by the account of the server. Whoever was not seen stays without.
func (w *workload) date(o *observer) {
	for _, c := range w.calls {
		if c.Backend != nil && c.Backend.Started.IsZero() {
			c.Backend.Started = o.startOf(c.Backend.PID, c.Granted)
		}
	}
}

func (w *workload) note(c Call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, c)
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

// rateWindows is over how many of them the rate before a fault is taken.
const rateWindows = 4

// goods are the ends of the calls that ended well, in order.
type goods []time.Time

func (w *workload) goods() goods {
	w.mu.Lock()
	defer w.mu.Unlock()
	ends := make(goods, 0, len(w.calls))
	for _, c := range w.calls {
		if c.Err == nil {
			ends = append(ends, c.Ended)
		}
	}
	slices.SortFunc(ends, time.Time.Compare)
	return ends
}

// within is how many ended in the window from a time on.
func (ends goods) within(from time.Time) int {
	lo, _ := slices.BinarySearchFunc(ends, from, time.Time.Compare)
	hi, _ := slices.BinarySearchFunc(ends, from.Add(rateWindow), time.Time.Compare)
	return hi - lo
}

// former is how many ended in a window before the fault: the median of the last ones.
func (ends goods) former(fault time.Time) float64 {
	var before []int
	for i := range rateWindows {
		before = append(before, ends.within(fault.Add(-time.Duration(i+1)*rateWindow)))
	}
	slices.Sort(before)
	return float64(before[rateWindows/2-1]+before[rateWindows/2]) / 2
}

// recovered is when the rate was back at 95 % of the former: the beginning of the first window after the given time of which
// that holds. Zero: not yet.
func (ends goods) recovered(former float64, after time.Time) time.Time {
	if len(ends) == 0 {
		return time.Time{}
	}
	for from := after; from.Add(rateWindow).Before(ends[len(ends)-1]); from = from.Add(10 * time.Millisecond) {
		if float64(ends.within(from)) >= 0.95*former {
			return from
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
	Strange        int // keys that no call has inserted, or whose insert was not committed, and that are there
	Repeated       int // keys that callers inserted again, since they were not there
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
	r.Acknowledged, r.Repeated = len(w.acked), w.repeated
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
	for _, key := range w.again {
		if times[key] > 0 {
			r.Strange++
		}
	}
	for key, n := range times {
		if n > 1 {
			r.Doubled++
		}
		if key <= 0 || key > w.keys.Load() {
			r.Strange++
		}
	}
	return r, nil
}

// anyThroughout tells whether a call was under way from the one moment to the other.
func (w *workload) anyThroughout(from, to time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.calls, func(c Call) bool { return c.Began.Before(from) && c.Ended.After(to) })
}

// made are the calls that have ended so far.
func (w *workload) made() []Call {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.calls)
}
