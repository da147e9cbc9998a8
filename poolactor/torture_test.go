package poolactor

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

// These tests run outside of fake time, where goroutines really race. They judge from outside: by the server process
// that a lease leads to, by the server's count of connections, and by whether everybody is served.

// arena is a pool under torture.
type arena struct {
	t      *testing.T
	p      *Pool
	server *fakepg.Server
	owners sync.Map // PID -> *atomic.Int32: how many leases lead there now
	meter  socketMeter
	served atomic.Int64
	gaveUp atomic.Int64
}

// socketMeter counts sockets that are open, dials under way included.
type socketMeter struct{ now, peak atomic.Int64 }

func (m *socketMeter) dial(dial pgconn.DialFunc) pgconn.DialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		n := m.now.Add(1)
		for p := m.peak.Load(); n > p && !m.peak.CompareAndSwap(p, n); p = m.peak.Load() {
		}
		conn, err := dial(ctx, network, addr)
		if err != nil {
			m.now.Add(-1)
			return nil, err
		}
		return &meteredConn{Conn: conn, closed: sync.OnceFunc(func() { m.now.Add(-1) })}, nil
	}
}

type meteredConn struct {
	net.Conn
	closed func()
}

func (c *meteredConn) NetConn() net.Conn { return c.Conn }

func (c *meteredConn) Close() error {
	err := c.Conn.Close()
	c.closed()
	return err
}

// restarts is how the pool actor of an arena is restarted; the zero value is the default.
var restarts supervisor.Restart

func newArena(t *testing.T, size int, change ...func(*Config)) *arena {
	server := fakepg.New()
	t.Cleanup(server.Close)
	cfg := fakeConfig(server)
	cfg.MaxSize = size
	cfg.Health.OnAcquire = CheckNever // the hand-off alone
	cfg.Supervision.Pool = restarts
	a := &arena{t: t, server: server}
	cfg.DialFunc = a.meter.dial(server.Dial)
	for _, f := range change {
		f(&cfg)
	}
	p, err := Open(t.Context(), cfg)
	require.NoError(t, err)
	a.p = p
	t.Cleanup(func() { _ = p.Close() })
	return a
}

// lease takes a lease, holds it for a moment as the only one on its connection, and gives it back.
func (a *arena) lease(ctx context.Context, hold func()) error {
	l, err := a.p.Acquire(ctx)
	if err != nil {
		return err
	}
	pid := l.token.Load().slot.conn.Load().PID()
	owner, _ := a.owners.LoadOrStore(pid, new(atomic.Int32))
	if n := owner.(*atomic.Int32).Add(1); n != 1 {
		a.t.Errorf("%d leases on PID %d", n, pid)
	}
	hold()
	owner.(*atomic.Int32).Add(-1)
	a.served.Add(1)
	if rand.IntN(100) == 0 {
		l.Discard()
	} else {
		l.Release()
	}
	return nil
}

// everybodyServed runs one burst: n callers at once, without a deadline that could save them, and then silence. It
// fails when one of them is still waiting after a time in which thousands could have been served.
func (a *arena) everybodyServed(n int, hold func()) {
	a.t.Helper()
	done := make(chan error, n)
	for range n {
		go func() { done <- a.lease(context.Background(), hold) }()
	}
	watchdog := time.NewTimer(20 * time.Second)
	defer watchdog.Stop()
	for range n {
		select {
		case err := <-done:
			if err != nil {
				a.t.Error(err)
			}
		case <-watchdog.C:
			a.t.Fatalf("a waiter is stuck: %+v", a.p.Stat())
		}
	}
}

// quiet tells that nothing is out, nothing was lost, and the server agrees.
func (a *arena) quiet(size int) {
	a.t.Helper()
	require.Eventually(a.t, func() bool {
		st := a.p.Stat()
		return st.Leased == 0 && st.Waiting == 0 && st.Closing == 0 && st.Opening == 0 && a.server.Connections() == st.Idle
	}, 20*time.Second, time.Millisecond, "%+v, server has %d", a.p.Stat(), a.server.Connections())
	require.LessOrEqual(a.t, a.meter.peak.Load(), int64(size), "sockets and dials never exceed the size")
}

func scale(t *testing.T, n int) int {
	if testing.Short() {
		return max(1, n/10)
	}
	return n
}

// Lost wake-ups hide under load, where every later event heals them: bursts followed by silence find them.
func TestBurstsThenSilence(t *testing.T) {
	for _, size := range []int{1, 2, 5} {
		a := newArena(t, size)
		for range scale(t, 1500) {
			a.everybodyServed(1+rand.IntN(12), yield)
		}
		a.quiet(size)
	}
}

func yield() {
	if rand.IntN(2) == 0 {
		<-time.After(time.Duration(rand.IntN(20)) * time.Microsecond)
	}
}

// A caller that gives up at any instant loses no connection: 512 callers with deadlines of 0 to 60 microseconds.
func TestGivingUpLosesNothing(t *testing.T) {
	const size, callers = 8, 512
	a := newArena(t, size)
	require.NoError(t, a.p.WaitReady(t.Context()))
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range scale(t, 200) {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.IntN(60))*time.Microsecond)
				err := a.lease(ctx, func() {})
				cancel()
				if err != nil {
					if !errors.Is(err, context.DeadlineExceeded) {
						t.Error(err)
					}
					a.gaveUp.Add(1)
				}
			}
		})
	}
	wg.Wait()
	require.Positive(t, a.gaveUp.Load(), "somebody must have given up")
	require.Positive(t, a.served.Load(), "somebody must have been served")
	a.quiet(size)
	a.everybodyServed(64, yield)
}

// Resizes, suspensions, killed connections and discarded ones, all at once, and everybody is served all the same.
func TestTurmoil(t *testing.T) {
	const most = 12
	a := newArena(t, most)
	stop := make(chan struct{})
	var trouble sync.WaitGroup
	disturb := func(f func()) {
		trouble.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Duration(rand.IntN(3000)) * time.Microsecond):
					f()
				}
			}
		})
	}
	disturb(func() {
		if err := a.p.Resize(t.Context(), rand.IntN(3), 3+rand.IntN(most-2)); err != nil {
			t.Error(err)
		}
	})
	disturb(func() {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		_ = a.p.Suspend(ctx) // it need not come to an end before it is resumed
		cancel()
		if err := a.p.Resume(); err != nil {
			t.Error(err)
		}
	})
	disturb(func() { a.p.gate.distrust(a.p.gate.Load()) })
	disturb(func() {
		if pids := a.server.PIDs(); len(pids) > 0 {
			a.server.Kill(pids[rand.IntN(len(pids))])
		}
	})
	for range scale(t, 400) {
		a.everybodyServed(1+rand.IntN(64), yield)
	}
	close(stop)
	trouble.Wait()
	require.NoError(t, a.p.Resume())
	a.everybodyServed(64, yield)
	require.LessOrEqual(t, a.meter.peak.Load(), int64(most))
}
