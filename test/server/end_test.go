package server

import (
	"context"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/thejerf/suture/v4"

	"github.com/seed-4ff2b7b9/supervised/internal/faultproxy"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

// waiters sets callers on a pool that cannot serve them; it returns when all wait, and gives their errors.
func waiters(t *testing.T, p *poolactor.Pool, n int) <-chan error {
	t.Helper()
	before := p.Stat().Waiting
	errs := make(chan error, n)
	for range n {
		go func() {
			_, err := p.Acquire(within(t, patience))
			errs <- err
		}()
	}
	require.Eventually(t, func() bool { return p.Stat().Waiting == before+n }, patience, time.Millisecond)
	return errs
}

func allGet(t *testing.T, errs <-chan error, n int, want error) {
	t.Helper()
	for range n {
		require.ErrorIs(t, <-errs, want)
	}
}

// ended looks that a pool is over in every respect.
func ended(t *testing.T, p *poolactor.Pool, want error) {
	t.Helper()
	select {
	case <-p.Done():
	default:
		t.Fatal("Done is open")
	}
	_, err := p.Acquire(within(t, patience))
	require.ErrorIs(t, err, want)
	require.ErrorIs(t, p.WaitReady(within(t, patience)), want)
	require.Zero(t, p.Stat().Total())
	// Everybody was told; whoever has yet to run counts until it does.
	require.Eventually(t, func() bool { return p.Stat().Waiting == 0 }, patience, time.Millisecond)
}

func TestCloseWithWaiters(t *testing.T) {
	p := open(t, single)
	l := acquire(t, p)
	select {
	case <-p.Done():
		t.Fatal("Done is closed")
	default:
	}
	require.NoError(t, p.Err())
	errs := waiters(t, p, 10)
	closed := make(chan error, 1)
	go func() { closed <- p.Close() }()
	allGet(t, errs, 10, poolactor.ErrClosed)
	require.Empty(t, closed, "it waits for the lease")
	require.Equal(t, 1, ask[int](t, l, "select 1"), "which works on")
	l.Release()
	require.NoError(t, <-closed)
	ended(t, p, poolactor.ErrClosed)
	require.NoError(t, p.Err())
}

// A shutdown that runs out of time takes the leases away: what runs on the server ends, too.
func TestShutdownRevokesWhatDoesNotComeBack(t *testing.T) {
	p := open(t, func(c *poolactor.Config) { c.MaxSize = 2 })
	busy, err := p.Acquire(poolactor.WithLabel(within(t, patience), "stubborn"))
	require.NoError(t, err)
	idle := acquire(t, p)
	pid := pidOf(t, busy)
	running := make(chan error, 1)
	go func() {
		_, err := busy.Exec(within(t, patience), "select pg_sleep(60)")
		running <- err
	}()
	beside := connect(t, pgtest.Server(t).DSN())
	require.Eventually(t, func() bool {
		return ask[bool](t, beside, "select state = 'active' from pg_stat_activity where pid = $1", pid)
	}, patience, time.Millisecond)

	began := time.Now()
	err = p.Shutdown(within(t, 100*time.Millisecond))
	require.Less(t, time.Since(began), 10*time.Second)
	var late *poolactor.ShutdownError
	require.ErrorAs(t, err, &late)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Len(t, late.Holders, 2)
	require.ErrorContains(t, err, "stubborn")
	require.ErrorIs(t, <-running, poolactor.ErrRevoked)
	_, err = idle.Exec(within(t, patience), "select 1")
	require.ErrorIs(t, err, poolactor.ErrRevoked)
	idle.Release()
	busy.Release()
	ended(t, p, poolactor.ErrClosed)
	require.Eventually(t, func() bool {
		return ask[int](t, beside, "select count(*) from pg_stat_activity where pid = $1", pid) == 0
	}, 10*time.Second, time.Millisecond, "long before its sleep is over")
}

func TestCloseTwiceAndConcurrently(t *testing.T) {
	p := open(t, nil)
	l := acquire(t, p)
	time.AfterFunc(50*time.Millisecond, l.Release)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			end := p.Close
			if i%2 == 0 {
				end = func() error { return p.Shutdown(within(t, patience)) }
			}
			if err := end(); err != nil {
				t.Error(err)
			}
			ended(t, p, poolactor.ErrClosed)
		})
	}
	group.Wait()
	require.NoError(t, p.Close())
}

// promptly closes a pool that has nothing to wait for.
func promptly(t *testing.T, p *poolactor.Pool) {
	t.Helper()
	began := time.Now()
	require.NoError(t, p.Close())
	require.Less(t, time.Since(began), 5*time.Second)
	ended(t, p, poolactor.ErrClosed)
}

func TestCloseDuringHangingDials(t *testing.T) {
	var dialling atomic.Int64
	p := open(t, func(c *poolactor.Config) {
		c.DialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
			dialling.Add(1)
			defer dialling.Add(-1)
			<-ctx.Done()
			return nil, ctx.Err()
		}
	})
	errs := waiters(t, p, 5)
	require.Eventually(t, func() bool { return dialling.Load() > 0 }, patience, time.Millisecond)
	promptly(t, p)
	allGet(t, errs, 5, poolactor.ErrClosed)
	require.Zero(t, dialling.Load(), "every dial was joined")
}

func TestCloseInAnOutage(t *testing.T) {
	for name, fault := range map[string]func(*faultproxy.Proxy){
		"refused":    func(p *faultproxy.Proxy) { p.Refuse(); p.ResetAll() },
		"silent":     func(p *faultproxy.Proxy) { p.Hang(); p.ResetAll() },
		"black hole": (*faultproxy.Proxy).Freeze,
	} {
		t.Run(name, func(t *testing.T) {
			proxy, through := proxied(t)
			p := open(t, func(c *poolactor.Config) { through(c); c.MaxSize = 2 })
			acquire(t, p).Release()
			fault(proxy)
			t.Cleanup(func() { require.NoError(t, proxy.Heal()) }) // so that the server hears of the end of its clients
			require.Eventually(t, func() bool { return p.Stat().FailedCheck > 0 }, patience, time.Millisecond)
			errs := make(chan error, 3)
			for range 3 {
				go func() { errs <- p.Ping(within(t, patience)) }()
			}
			require.Eventually(t, func() bool { return p.Stat().Waiting == 3 }, patience, time.Millisecond)
			promptly(t, p)
			allGet(t, errs, 3, poolactor.ErrClosed)
		})
	}
}

// worker is a service that needs the pool.
type worker struct {
	pool   *poolactor.Pool
	worked chan error
}

func (worker) String() string { return "worker" }

func (w worker) Serve(ctx context.Context) error {
	_, err := w.pool.Exec(ctx, "select 1")
	w.worked <- err
	<-ctx.Done()
	_, err = w.pool.Exec(context.WithoutCancel(ctx), "select 1") // the pool is still there
	w.worked <- err
	return ctx.Err()
}

func TestThePoolInATreeOfItsUser(t *testing.T) {
	p, err := poolactor.New(configure(t, pgtest.Server(t).DSN(), single))
	require.NoError(t, err)
	w := worker{p, make(chan error, 2)}
	tree, err := supervisor.New(supervisor.Config{Name: "app"},
		supervisor.Group{Name: "storage", Children: []supervisor.Child{p.Service()}},
		supervisor.Group{Name: "work", Children: []supervisor.Child{{Name: "worker", New: func() suture.Service { return w }}}},
	)
	require.NoError(t, err)
	early := make(chan error, 1) // a call before the pool runs waits for it
	go func() { early <- p.Ping(within(t, patience)) }()
	require.Eventually(t, func() bool { return p.Stat().Waiting == 1 }, patience, time.Millisecond)
	require.NoError(t, tree.Start(within(t, patience)))
	require.NoError(t, <-early)
	require.NoError(t, <-w.worked)
	var paths []string
	for n := range tree.Snapshot().All() {
		paths = append(paths, n.Path)
	}
	require.Contains(t, strings.Join(paths, " "), "app/storage/pool")
	for _, name := range []string{"data/pool", "upkeep/retry", "upkeep/health", "upkeep/desk", "upkeep/janitor"} {
		require.Contains(t, strings.Join(paths, " "), name)
	}
	require.NoError(t, tree.Stop(within(t, patience)))
	require.NoError(t, <-w.worked, "the pool outlives what needs it")
	ended(t, p, poolactor.ErrClosed)
	require.NoError(t, p.Err())
	require.NoError(t, tree.Err())
}

// A pool that its user closes ends nothing else in the tree.
func TestAMountedPoolThatEnds(t *testing.T) {
	t.Run("closed", func(t *testing.T) {
		p, err := poolactor.New(configure(t, pgtest.Server(t).DSN(), nil))
		require.NoError(t, err)
		tree, err := supervisor.New(supervisor.Config{Name: "app"},
			supervisor.Group{Name: "storage", Children: []supervisor.Child{p.Service()}})
		require.NoError(t, err)
		require.NoError(t, tree.Start(within(t, patience)))
		t.Cleanup(func() { _ = tree.Stop(within(t, patience)) })
		require.NoError(t, p.Ping(within(t, patience)))
		require.NoError(t, p.Close())
		ended(t, p, poolactor.ErrClosed)
		select {
		case <-tree.Done():
			t.Fatal("the tree has ended")
		default:
		}
		require.NoError(t, tree.Stop(within(t, patience)))
	})
	t.Run("closed before it ran", func(t *testing.T) {
		p, err := poolactor.New(configure(t, pgtest.Server(t).DSN(), nil))
		require.NoError(t, err)
		require.NoError(t, p.Close())
		ended(t, p, poolactor.ErrClosed)
	})
}
