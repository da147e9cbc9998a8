package poolactor

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/door"
	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

func allIdle(t *testing.T, p *Pool) []*Lease {
	t.Helper()
	return door.AllIdle(t.Context(), p).([]*Lease)
}

func TestEveryIdleConnectionIsLeased(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize = 6 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		began := time.Now()
		require.Empty(t, allIdle(t, p), "nothing is dialled for it")
		require.Zero(t, server.Dials())
		holdAll(t, p, 5)
		held := acquired(t, p)
		pass(2 * time.Second) // long enough for a check
		leases := allIdle(t, p)
		require.Len(t, leases, 4)
		require.Empty(t, allIdle(t, p))
		require.Equal(t, 2*time.Second, time.Since(began), "it waits for nobody")
		require.Equal(t, 5, p.Stat().Leased)
		for _, l := range leases {
			require.Equal(t, 1, one(t, t.Context(), l, "select 1"))
			l.Release()
		}
		held.Release()
		synctest.Wait()
		require.Equal(t, 5, server.Connections())
		require.NoError(t, p.Suspend(t.Context()))
		require.Empty(t, allIdle(t, p))
		require.NoError(t, p.Resume())
	})
}

// A silent server keeps it no longer than a check may take, and nothing of it stays behind.
func TestIdleConnectionsThatAreSilentAreNotWaitedFor(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		holdAll(t, p, 3)
		server.Freeze()
		pass(1500 * time.Millisecond)
		began := time.Now()
		require.Empty(t, allIdle(t, p))
		require.LessOrEqual(t, time.Since(began), time.Second)
		require.Zero(t, p.Stat().Leased)
		server.Thaw()
	})
}

// Each end of a connection is counted by what brought it about.
func TestWhyConnectionsWereClosed(t *testing.T) {
	inMemory(t, func(c *Config) {
		c.MaxLifetime, c.MaxLifetimeJitter, c.MaxIdleTime = time.Minute, -1, 10*time.Second
	}, func(t *testing.T, p *Pool, _ *fakepg.Server) {
		l := acquired(t, p)
		holdAll(t, p, 2)
		pass(20 * time.Second)
		require.EqualValues(t, 2, p.Stat().Unused)
		require.Zero(t, p.Stat().Expired)
		require.False(t, door.Outlived(l))
		pass(39 * time.Second)
		pass(time.Second - time.Millisecond)
		require.False(t, door.Outlived(l))
		pass(time.Millisecond)
		require.True(t, door.Outlived(l))
		l.Release()
		require.False(t, door.Outlived(l))
		pass(time.Second)
		st := p.Stat()
		require.EqualValues(t, 1, st.Expired)
		require.EqualValues(t, 2, st.Unused)
		require.EqualValues(t, 3, st.Closed)
	})
}

func TestWaitsInVainAreCounted(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize = 1 }, func(t *testing.T, p *Pool, _ *fakepg.Server) {
		l := acquired(t, p)
		before := p.Stat()
		_, err := p.Acquire(within(t, time.Second))
		require.Error(t, err)
		l.Release()
		after := p.Stat()
		require.EqualValues(t, 1, after.InVain-before.InVain)
		require.Equal(t, time.Second, after.InVainTime)
		require.GreaterOrEqual(t, after.WaitTime, after.InVainTime)
	})
}

func TestUpkeepCanBeMoreOften(t *testing.T) {
	inMemory(t, func(c *Config) {
		door.Upkeep(c, 50*time.Millisecond)
		c.MaxLifetime, c.MaxLifetimeJitter = 100*time.Millisecond, -1
	}, func(t *testing.T, p *Pool, server *fakepg.Server) {
		acquired(t, p).Release()
		pass(200 * time.Millisecond)
		require.Zero(t, server.Connections())
	})
}
