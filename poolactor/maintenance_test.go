package poolactor

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/actors"
	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

// What an operator asks for is a word, not a message: it holds while every connection is busy, and while the actor that
// is to bring it about is down.

// held is how long the actor of a pool from slowly stays down after a crash.
const held = 20 * time.Second

// slowly makes a crashed pool actor come back late.
func slowly(c *Config) {
	c.MaxSize = 3
	c.Supervision.Pool = supervisor.Restart{Initial: held, Max: held}
}

// crash makes the pool actor panic, by a hint that leads nowhere.
func crash(t *testing.T, p *Pool) {
	t.Helper()
	p.hints <- hint{}
	synctest.Wait()
	require.Equal(t, actors.Down, p.actor.Inspect().State)
}

func TestResizeUnderSaturation(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize = 6 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		stop := busy(t, p, 20)
		pass(2 * time.Second)
		require.Equal(t, 6, server.Connections())
		for _, size := range []int{2, 5, 1} {
			began := time.Now()
			require.NoError(t, p.Resize(t.Context(), 0, size))
			require.Less(t, time.Since(began), time.Millisecond, "nobody had to give anything back for that")
			pass(time.Second)
			synctest.Wait()
			require.Equal(t, size, server.Connections(), "what is beyond the size has come back")
		}
		stop()
	})
}

func TestSuspendUnderSaturation(t *testing.T) {
	inMemory(t, neverChecked(3), func(t *testing.T, p *Pool, server *fakepg.Server) {
		stop := busy(t, p, 12)
		pass(1700 * time.Millisecond)
		began := time.Now()
		require.NoError(t, p.Suspend(t.Context()))
		require.Less(t, time.Since(began), 600*time.Millisecond, "statements of half a second end")
		ran := len(server.Statements())
		pass(time.Minute)
		require.Zero(t, p.Stat().Leased)
		require.Len(t, server.Statements(), ran, "callers wait")
		require.NoError(t, p.Resume())
		stop()
	})
}

// A caller whose connection is being checked when the pool is suspended waits like all others.
func TestASuspendDuringACheck(t *testing.T) {
	always := func(c *Config) { c.MaxSize, c.Health.OnAcquire = 1, CheckAlways }
	inMemory(t, always, func(t *testing.T, p *Pool, server *fakepg.Server) {
		require.NoError(t, p.WaitReady(t.Context()))
		server.Delay(300 * time.Millisecond)
		pinged := make(chan error, 1)
		go func() { pinged <- p.Ping(t.Context()) }()
		pass(50 * time.Millisecond)
		require.Equal(t, 1, p.Stat().Checking)
		require.NoError(t, p.Suspend(t.Context()))
		for range 100 {
			pass(10 * time.Millisecond)
			synctest.Wait() // who finds the pool suspended after the check has the connection for a moment
			require.Zero(t, p.Stat().Leased)
		}
		require.Empty(t, pinged)
		require.NoError(t, p.Resume())
		require.NoError(t, <-pinged)
	})
}

func TestResizeWhileTheActorIsDown(t *testing.T) {
	inMemory(t, slowly, func(t *testing.T, p *Pool, server *fakepg.Server) {
		holdAll(t, p, 3)
		synctest.Wait()
		crash(t, p)
		began := time.Now()
		require.ErrorIs(t, p.Resize(within(t, time.Second), 0, 2), context.DeadlineExceeded)
		require.Equal(t, 2, p.Stat().Max, "the wish stands")
		require.NoError(t, p.Resize(t.Context(), 0, 1))
		require.GreaterOrEqual(t, time.Since(began), held*4/5, "it is in force when the actor is back")
		synctest.Wait()
		require.Equal(t, 1, server.Connections())
	})
}

func TestSuspendWhileTheActorIsDown(t *testing.T) {
	inMemory(t, slowly, func(t *testing.T, p *Pool, server *fakepg.Server) {
		a, b := acquired(t, p), acquired(t, p)
		crash(t, p)
		began := time.Now()
		a.Release()
		acquired(t, p).Release() // a lease travels without the actor
		suspended := make(chan error, 1)
		go func() { suspended <- p.Suspend(t.Context()) }()
		synctest.Wait()
		require.Empty(t, suspended, "a lease is out")
		_, err := p.Acquire(within(t, time.Second))
		require.Error(t, err, "in force at once")
		b.Release()
		require.NoError(t, <-suspended)
		require.NoError(t, p.Resume())
		require.Less(t, time.Since(began), 2*time.Second)
		pass(held)
		acquired(t, p).Release()
	})
}

func TestEvictWhileTheActorIsDown(t *testing.T) {
	inMemory(t, slowly, func(t *testing.T, p *Pool, server *fakepg.Server) {
		holdAll(t, p, 2)
		l := acquired(t, p)
		synctest.Wait()
		old := server.PIDs()
		crash(t, p)
		began := time.Now()
		evicted := make(chan error, 1)
		go func() { evicted <- p.Evict(t.Context(), 0) }()
		synctest.Wait()
		l.Release()
		got := acquired(t, p)
		require.GreaterOrEqual(t, time.Since(began), held*4/5, "nobody gets what was evicted, though nobody is there to close it")
		require.NotContains(t, old, got.token.Load().slot.pid())
		got.Release()
		require.NoError(t, <-evicted)
		require.Zero(t, stay(server, old))
	})
}

// An eviction that nobody waits for is the janitor's, in whichever of its lives.
func TestAnEvictionOutlivesTheJanitor(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		holdAll(t, p, 3)
		synctest.Wait()
		old := server.PIDs()
		require.ErrorIs(t, p.Evict(ended(t), 2*time.Second), context.Canceled)
		require.NoError(t, p.tree.Restart(t.Context(), "upkeep/janitor"))
		require.Equal(t, len(old), stay(server, old))
		pass(4 * time.Second)
		require.Zero(t, stay(server, old))
	})
}
