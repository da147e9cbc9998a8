package poolactor

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

// While a server hangs, calls that end are told what the pool waits for, and that nobody else is to blame.
func TestAHangingServerIsNotAnExhaustedPool(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize = 2 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		held := acquired(t, p)
		acquired(t, p).Release()
		held.Release()
		pass(2 * time.Second)
		server.Freeze()
		began := time.Now()
		pass(time.Second) // the round of checks meets it
		_, err := p.Acquire(within(t, 500*time.Millisecond))
		require.True(t, p.Stat().Outage.Since.IsZero(), "nothing has failed yet")
		var silent *UnavailableError
		require.ErrorAs(t, err, &silent)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.True(t, silent.Silent)
		require.WithinDuration(t, began, silent.Since, 600*time.Millisecond, "the first check that got no answer")
		require.ErrorContains(t, err, "owes an answer since")
		require.ErrorContains(t, err, "being checked")

		server.Thaw()
		l := acquired(t, p)
		other := acquired(t, p)
		server.Freeze()
		other.Release()
		pass(600 * time.Millisecond)
		_, err = p.Acquire(within(t, 300*time.Millisecond))
		var exhausted *ExhaustedError
		require.ErrorAs(t, err, &exhausted, "one is held, whatever the other does")
		require.Equal(t, 1, exhausted.Pending.Checking)
		require.GreaterOrEqual(t, exhausted.Pending.Silent, 300*time.Millisecond)
		require.ErrorContains(t, err, "(1 leased, 1 being checked, 0 waiting); the server has owed an answer for")
		server.Thaw()
		l.Release()
	})
}

// A call's bound holds from its first instant, also while the connection that it found at once is being checked.
func TestAnAcquireTimeoutBoundsTheCheckAsWell(t *testing.T) {
	change := func(c *Config) { c.MaxSize, c.AcquireTimeout, c.Health.Interval = 1, 100*time.Millisecond, -1 }
	inMemory(t, change, func(t *testing.T, p *Pool, server *fakepg.Server) {
		acquired(t, p).Release()
		pass(3 * time.Second)
		server.Freeze()
		began := time.Now()
		_, err := p.Exec(t.Context(), "select 1")
		require.Equal(t, 100*time.Millisecond, time.Since(began))
		var exhausted *ExhaustedError
		require.ErrorAs(t, err, &exhausted)
		require.Equal(t, 100*time.Millisecond, exhausted.Waited)
		require.Equal(t, 1, exhausted.Pending.Checking)
		server.Thaw()
	})
}

// A deadline that ends before a dial says anything about the server is told of the dial.
func TestADialThatIsUnderWayIsNamed(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize = 1 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		pass(time.Minute)
		server.Freeze()
		_, err := p.Acquire(within(t, 400*time.Millisecond))
		var exhausted *ExhaustedError
		require.ErrorAs(t, err, &exhausted)
		require.Empty(t, exhausted.Holders)
		require.Equal(t, Pending{Opening: 1, Silent: 400 * time.Millisecond}, exhausted.Pending)
		require.ErrorContains(t, err, "(0 leased, 1 being opened, 0 waiting); the server has owed an answer for 400ms")

		_, err = p.Acquire(within(t, 400*time.Millisecond))
		var down *UnavailableError
		require.ErrorAs(t, err, &down, "by now it is an outage")
		require.False(t, down.Silent)
		server.Thaw()
	})
}

func TestASuspendedPoolSaysSo(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		require.NoError(t, p.WaitReady(t.Context()))
		require.NoError(t, p.Suspend(t.Context()))
		_, err := p.Acquire(within(t, time.Minute))
		require.ErrorContains(t, err, "the pool is suspended")
		require.NoError(t, p.Resume())
	})
}

func TestPendingCountsWhatNobodyHolds(t *testing.T) {
	p, _ := still(t, 12)
	p.born = p.born.Add(-time.Minute)
	now := p.now()
	for i, s := range []state{empty, wanted, dialing, opened, resting, free, leased, checking, cleaning, broken, doomed, closing} {
		put(p, i, s)
		p.all()[i].tended.Store(now - int64(i)*int64(time.Second))
	}
	got := p.pending()
	require.InDelta(t, 8*time.Second, got.Silent, float64(time.Second), "nothing owes an answer for longer than the cleaning")
	got.Silent = 0
	require.Equal(t, Pending{Checking: 1, Cleaning: 1, Opening: 2, Closing: 3}, got)
	require.Equal(t, "1 being checked, 1 being cleaned, 2 being opened, 3 being closed", got.String())
	require.Empty(t, Pending{}.String())
}
