package chaos

import (
	"context"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/judge"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

const (
	poolSize = 20
	patience = 30 * time.Second // every call's deadline
)

// workload is callers that keep a pool busy, and what they saw.
type workload struct {
	pool  *poolactor.Pool
	meter *meter

	stop  context.CancelFunc
	group sync.WaitGroup
	keys  atomic.Int64

	mu      sync.Mutex
	calls   []judge.Call
	acked   []int64 // keys whose insert was acknowledged
	unknown int     // inserts that ended in an error: there or not
}

// begin opens a pool on the server and sets callers on it. The pool is closed with the test.
func begin(t *testing.T, dsn string, callers int) *workload {
	t.Helper()
	cfg, err := poolactor.ParseConfig(dsn)
	require.NoError(t, err)
	w := &workload{meter: &meter{}}
	cfg.MaxSize = poolSize
	cfg.DialFunc = w.meter.dial
	cfg.CancelDialFunc = (&net.Dialer{}).DialContext
	w.pool, err = poolactor.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.pool.Close()) })
	_, err = w.pool.Exec(t.Context(), "create table if not exists inserted (key bigint not null)")
	require.NoError(t, err)
	_, err = w.pool.Exec(t.Context(), "truncate inserted")
	require.NoError(t, err)

	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	for range callers {
		w.group.Go(func() {
			for ctx.Err() == nil {
				w.call()
			}
		})
	}
	t.Cleanup(w.end)
	w.untilBusy(t)
	return w
}

// untilBusy waits until every connection has been used: then each fault hits leased connections.
func (w *workload) untilBusy(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool { return w.pool.Stat().Leased == poolSize }, time.Minute, time.Millisecond)
}

// end stops the callers and waits for the calls that are under way.
func (w *workload) end() {
	w.stop()
	w.group.Wait()
}

// call makes one call: a read, a slow statement, or a transaction that inserts a key of its own.
func (w *workload) call() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c := judge.Call{Began: time.Now()}
	kind := rand.IntN(4)
	key := w.keys.Add(1)
	c.Err = w.pool.With(ctx, func(ctx context.Context, l *poolactor.Lease) error {
		c.Granted = time.Now()
		if err := l.Raw(func(conn *pgx.Conn) error {
			c.Backend = judge.Backend{PID: conn.PgConn().PID(), Socket: conn.PgConn().Conn().LocalAddr().String()}
			return nil
		}); err != nil {
			return err
		}
		switch kind {
		case 0:
			return insert(ctx, l, key)
		case 1:
			_, err := l.Exec(ctx, "select pg_sleep(0.02)")
			return err
		default:
			var n int
			return l.QueryRow(ctx, "select $1::int", 1).Scan(&n)
		}
	})
	c.Ended = time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls = append(w.calls, c)
	if kind == 0 {
		if c.Err == nil {
			w.acked = append(w.acked, key)
		} else {
			w.unknown++
		}
	}
}

func insert(ctx context.Context, l *poolactor.Lease, key int64) error {
	tx, err := l.Begin(ctx)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, "insert into inserted values ($1)", key); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// firstSuccess is when the first call succeeded that was granted after the given time.
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

// succeededAfter waits for a call that was granted after the given time to succeed, and returns when it did.
func (w *workload) succeededAfter(t *testing.T, after time.Time) (first time.Time) {
	t.Helper()
	require.Eventually(t, func() bool {
		first = w.firstSuccess(after)
		return !first.IsZero()
	}, patience, 5*time.Millisecond, "%+v", w.pool.Stat())
	return first
}

// judged ends the workload and holds it against the rule, and the rows against what was acknowledged.
func (w *workload) judged(t *testing.T, faults []judge.Fault) judge.Verdict {
	t.Helper()
	w.end()
	v := judge.Rule(w.calls, faults)
	t.Log(v)
	require.True(t, v.Kept(), "the failure rule")
	require.LessOrEqual(t, w.meter.peak.Load(), int64(poolSize), "sockets and dials never exceed the pool's size")
	for _, f := range faults {
		alone := judge.Rule(w.calls, []judge.Fault{f})
		require.Positive(t, alone.Held, "a fault that hit no leased connection shows nothing")
		require.Positive(t, alone.Waited, "a fault at which nobody waited shows nothing")
	}
	st := w.pool.Stat()
	require.Zero(t, st.Leased)
	require.Zero(t, st.Waiting)
	w.rowsAreThere(t)
	return v
}

func (w *workload) rowsAreThere(t *testing.T) {
	t.Helper()
	rows, err := w.pool.Query(t.Context(), "select key from inserted order by key")
	require.NoError(t, err)
	there, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	require.NoError(t, err)
	require.Len(t, slices.Compact(slices.Clone(there)), len(there), "no key twice")
	slices.Sort(w.acked)
	missing := 0
	for _, key := range w.acked {
		if _, ok := slices.BinarySearch(there, key); !ok {
			missing++
		}
	}
	require.Zero(t, missing, "acknowledged inserts that are not in the table")
	t.Logf("%d inserts acknowledged and there, %d unknown, of which %d are there",
		len(w.acked), w.unknown, len(there)-len(w.acked))
}

// meter counts what the pool does with sockets, from outside.
type meter struct {
	now, peak atomic.Int64
	mu        sync.Mutex
	dials     []time.Time
}

func (m *meter) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	m.mu.Lock()
	m.dials = append(m.dials, time.Now())
	m.mu.Unlock()
	n := m.now.Add(1)
	for p := m.peak.Load(); n > p && !m.peak.CompareAndSwap(p, n); p = m.peak.Load() {
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		m.now.Add(-1)
		return nil, err
	}
	return &meteredConn{TCPConn: conn.(*net.TCPConn), closed: sync.OnceFunc(func() { m.now.Add(-1) })}, nil
}

// meteredConn is a TCP connection whose end is noticed.
type meteredConn struct {
	*net.TCPConn
	closed func()
}

func (c *meteredConn) Close() error {
	c.closed()
	return c.TCPConn.Close()
}

// most is the largest number of dials in any five seconds between two moments.
func (m *meter) most(from, to time.Time) (most int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, first := range m.dials {
		if first.Before(from) || first.After(to) {
			continue
		}
		n := 0
		for _, at := range m.dials[i:] {
			if at.Sub(first) < 5*time.Second && !at.After(to) {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// lateness measures, while f runs, how late this machine wakes a goroutine that sleeps for a millisecond: what a bound
// in time has to allow for beside what the pool does.
func lateness(f func()) (worst time.Duration) {
	done, measured := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(measured)
		for {
			began := time.Now()
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
				worst = max(worst, time.Since(began)-time.Millisecond)
			}
		}
	}()
	f()
	close(done)
	<-measured
	return worst
}

func median(d []time.Duration) time.Duration {
	d = slices.Clone(d)
	slices.Sort(d)
	return d[len(d)/2]
}

// wait lets real time pass during a fault: its length is what the test is about.
func wait(d time.Duration) { <-time.After(d) }
