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
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/judge"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

const (
	poolSize = 20
	patience = 30 * time.Second // every call's deadline
	poolName = "chaos"          // what the server calls the pool's connections
)

// workload is callers that keep a pool busy, and what they saw.
type workload struct {
	dsn    string
	pool   *poolactor.Pool
	meter  *meter
	census judge.Census

	stop    context.CancelFunc
	group   sync.WaitGroup
	watches sync.WaitGroup
	faults  []*judge.Fault
	keys    atomic.Int64

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
	w := &workload{dsn: dsn, meter: &meter{}}
	cfg.MaxSize = poolSize
	cfg.ConnConfig.RuntimeParams["application_name"] = poolName
	cfg.ConnConfig.AfterConnect = w.census.Introduce
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

// end stops the callers and waits for the calls that are under way, and for those who watch backends die.
func (w *workload) end() {
	w.stop()
	w.group.Wait()
	w.watches.Wait()
}

// strike lets a fault happen to a server on this machine, and watches its backends die.
func (w *workload) strike(t *testing.T, fault func() error) *judge.Fault {
	t.Helper()
	f := w.census.Fault()
	w.faults = append(w.faults, f)
	w.watches.Go(func() {
		w.census.Watch(f)
		t.Logf("while backends died, the machine held the judge up for %v", f.Lag)
	})
	require.NoError(t, fault())
	return f
}

// strikeUnseen lets a fault happen to a server whose processes cannot be seen from here, and that leaves none of them.
func (w *workload) strikeUnseen(t *testing.T, fault func() error) *judge.Fault {
	t.Helper()
	f := &judge.Fault{At: time.Now()}
	w.faults = append(w.faults, f)
	require.NoError(t, fault())
	w.census.Bury(f)
	return f
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
		if err := l.Raw(func(conn *pgx.Conn) (err error) {
			c.Backend, err = judge.Behind(conn.PgConn())
			return err
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

// firstSuccess waits for a call of some kind to succeed, and returns when the first one did.
func (w *workload) firstSuccess(t *testing.T, kind func(judge.Call) bool) (first time.Time) {
	t.Helper()
	require.Eventually(t, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, c := range w.calls {
			if c.Err == nil && kind(c) && (first.IsZero() || c.Ended.Before(first)) {
				first = c.Ended
			}
		}
		return !first.IsZero()
	}, patience, 5*time.Millisecond, "%+v", w.pool.Stat())
	return first
}

// onServerAfter are calls on a server that started after the fault.
func onServerAfter(f *judge.Fault) func(judge.Call) bool {
	return func(c judge.Call) bool { return c.Backend.Postmaster.After(f.At) }
}

// grantedAfter are calls that got their lease after a time.
func grantedAfter(at time.Time) func(judge.Call) bool {
	return func(c judge.Call) bool { return c.Granted.After(at) }
}

// summary is what callers saw of a run.
type summary struct {
	failed  int
	longest time.Duration
}

// judged ends the workload and holds it against the rule, the rows against what was acknowledged, and what the pool
// leaves behind against nothing.
func (w *workload) judged(t *testing.T) summary {
	t.Helper()
	w.end()
	var s summary
	for _, c := range w.calls {
		s.longest = max(s.longest, c.Ended.Sub(c.Began))
		if c.Err != nil {
			s.failed++
		}
	}
	v := judge.Rule(w.calls, w.faults)
	t.Logf("%d calls, %d failed, %d permitted, longest %v", len(w.calls), s.failed, v.Permitted, s.longest.Round(time.Millisecond))
	for _, f := range w.faults {
		held, waited := there(w.calls, f.At)
		t.Logf("a fault: %d calls held a lease, %d waited", held, waited)
		require.Positive(t, held, "a fault that hit no leased connection shows nothing")
		require.Positive(t, waited, "a fault at which nobody waited shows nothing")
		require.Zero(t, w.census.Alive(f.At), "backends that nobody saw die: any call on them would be forgiven")
	}
	require.Empty(t, v.Breaches, "the failure rule")
	require.LessOrEqual(t, w.meter.peak.Load(), int64(poolSize), "sockets and dials never exceed the pool's size")
	st := w.pool.Stat()
	require.Zero(t, st.Leased)
	require.Zero(t, st.Waiting)
	w.rowsAreThere(t)
	require.NoError(t, w.pool.Close())
	w.nobodyIsLeft(t)
	return s
}

// there counts the calls that held a lease at a time, and those that waited for one.
func there(calls []judge.Call, at time.Time) (held, waited int) {
	for _, c := range calls {
		switch {
		case c.Ended.Before(at) || c.Began.After(at):
		case !c.Granted.IsZero() && c.Granted.Before(at):
			held++
		default:
			waited++
		}
	}
	return held, waited
}

// nobodyIsLeft asks the server for connections of the pool, which is closed. A server's process outlives its socket for
// an instant.
func (w *workload) nobodyIsLeft(t *testing.T) {
	t.Helper()
	const who = "select pid, state, query from pg_stat_activity where backend_type = 'client backend' and application_name = $1"
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		conn, err := pgx.Connect(t.Context(), w.dsn)
		require.NoError(c, err)
		defer conn.Close(context.Background())
		rows, err := conn.Query(t.Context(), who, poolName)
		require.NoError(c, err)
		left, err := pgx.CollectRows(rows, pgx.RowToMap)
		require.NoError(c, err)
		require.Empty(c, left, "connections of a pool that is closed")
	}, time.Second, 10*time.Millisecond)
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

// excuse is what a bound in time allows for because the machine was late: the median, if that is worth speaking of.
func excuse(late []time.Duration) time.Duration {
	if m := median(late); m >= 10*time.Millisecond {
		return m
	}
	return 0
}

func median(d []time.Duration) time.Duration {
	d = slices.Clone(d)
	slices.Sort(d)
	return d[len(d)/2]
}

// wait lets real time pass during a fault: its length is what the test is about.
func wait(d time.Duration) { <-time.After(d) }
