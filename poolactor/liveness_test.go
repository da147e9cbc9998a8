package poolactor

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

func TestProofThatIsDue(t *testing.T) {
	const ms, s = int64(time.Millisecond), int64(time.Second)
	for _, c := range []struct {
		policy   CheckPolicy
		verified bool
		unproved int64
		want     proof
	}{
		{CheckIdle, true, 0, proofNone},
		{CheckIdle, true, ms - 1, proofNone},
		{CheckIdle, true, ms, proofLook},
		{CheckIdle, true, s - 1, proofLook},
		{CheckIdle, true, s, proofQuery},
		{CheckIdle, false, 0, proofQuery},
		{CheckNever, true, 10 * s, proofNone},
		{CheckNever, false, 0, proofQuery},
		{CheckAlways, true, 0, proofQuery},
	} {
		require.Equal(t, c.want, c.policy.due(c.verified, c.unproved), "%+v", c)
	}
}

func TestAlwaysChecksBeforeEachHandOff(t *testing.T) {
	inMemory(t, func(c *Config) { c.Health.OnAcquire, c.MaxSize = CheckAlways, 1 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		for i := range 5 {
			l, err := p.Acquire(t.Context())
			require.NoError(t, err)
			require.EqualValues(t, i+1, p.Stat().Checks)
			l.Release()
		}
		checks := 0
		for _, s := range server.Log() {
			if s.SQL == "SELECT 1" {
				checks++
			}
		}
		require.Equal(t, 5, checks)
	})
}

// A connection that died while it rested costs time, not an error, and is told as a warning.
func TestADeadRestingConnectionReachesNoCaller(t *testing.T) {
	inMemory(t, func(c *Config) { c.Health.Interval = -1 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		require.NoError(t, p.WaitReady(t.Context()))
		events := p.Events(t.Context())
		for _, rest := range []time.Duration{2 * time.Millisecond, 2 * time.Second} { // a look, a query
			require.Equal(t, 1, one(t, t.Context(), p, "select 1"))
			server.Kill(server.PIDs()[0])
			pass(rest)
			require.Equal(t, 1, one(t, within(t, time.Minute), p, "select 1"))
			for e := range events {
				if e.Kind == EventCheckFailed {
					require.Error(t, e.Err)
					break
				}
			}
		}
		require.Equal(t, 3, server.Dials())
		require.EqualValues(t, 2, p.Stat().FailedCheck)
	})
}

// The health actor finds the dead before anybody asks.
func TestRestingConnectionsAreCheckedInTheBackground(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		require.NoError(t, p.WaitReady(t.Context()))
		server.Kill(server.PIDs()[0])
		pass(1100 * time.Millisecond)
		synctest.Wait()
		require.Zero(t, p.Stat().Idle)
		require.EqualValues(t, 1, p.Stat().FailedCheck)
		require.Equal(t, 1, one(t, t.Context(), p, "select 1"))
	})
}

// One death makes the pool look at every other socket at once; two in a row, verify before anything is handed out.
func TestSignsAreGraded(t *testing.T) {
	inMemory(t, func(c *Config) { c.Health.Interval = -1 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		var held []*Lease
		for range 4 {
			l, err := p.Acquire(t.Context())
			require.NoError(t, err)
			held = append(held, l)
		}
		pass(time.Millisecond)
		epoch := p.gate.Load().epoch()
		held[2].Release()
		held[3].Release()
		server.Terminate("57P01")
		_, err := held[0].Exec(t.Context(), "select 1")
		require.Error(t, err)
		synctest.Wait()
		require.Equal(t, epoch, p.gate.Load().epoch())
		require.Zero(t, p.Stat().Idle, "the others were looked at")
		_, err = held[1].Exec(t.Context(), "select 1")
		require.Error(t, err)
		require.NotEqual(t, epoch, p.gate.Load().epoch(), "two deaths within 100 ms")
		held[0].Release()
		held[1].Release()
	})
}

// A caller that gives up during a check leaves the check running, and the connection survives.
func TestACheckOutlivesItsCaller(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize, c.Health.Interval = 1, -1 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		require.NoError(t, p.WaitReady(t.Context()))
		pass(2 * time.Second)
		server.Delay(500 * time.Millisecond)
		began := time.Now()
		_, err := p.Acquire(within(t, 10*time.Millisecond))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 10*time.Millisecond, time.Since(began))
		require.Equal(t, 1, p.Stat().Checking)
		pass(time.Second)
		require.Equal(t, 1, p.Stat().Idle)
		require.Equal(t, 1, server.Dials())
		server.Delay(0)
	})
}

// Behind a slow link checks adapt: a late answer clears the connection, and nobody fails.
func TestALateAnswerClearsTheConnectionAndRaisesTheBound(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize, c.Health.Interval = 3, -1 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		a, err := p.Acquire(t.Context())
		require.NoError(t, err)
		b, err := p.Acquire(t.Context())
		require.NoError(t, err)
		c, err := p.Acquire(t.Context())
		require.NoError(t, err)
		for _, l := range []*Lease{a, b, c} {
			l.Release()
		}
		first := server.PIDs()
		pass(2 * time.Second)
		server.Delay(2 * time.Second)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if _, err := p.Exec(within(t, 30*time.Second), "select 1"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.GreaterOrEqual(t, p.checkBound(), 8*time.Second)
		require.NotEmpty(t, intersect(first, server.PIDs()), "a check that only ran out of time closes nothing but where a dial needs the place")
		server.Delay(0)
	})
}

// Behind a black hole every call ends at its own deadline, and the way back is found when it opens again.
func TestABlackHole(t *testing.T) {
	noRounds := func(c *Config) { c.Health.Interval = -1 } // the callers are to find out by themselves
	inMemory(t, noRounds, func(t *testing.T, p *Pool, server *fakepg.Server) {
		for range 3 {
			require.Equal(t, 1, one(t, t.Context(), p, "select 1"))
		}
		pass(2 * time.Second)
		server.Freeze()
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				began := time.Now()
				_, err := p.Acquire(within(t, 20*time.Second))
				if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 20050*time.Millisecond {
					t.Errorf("after %v: %v", time.Since(began), err)
				}
			})
		}
		wg.Wait()
		require.False(t, p.Stat().Outage.Since.IsZero())
		began := time.Now()
		server.Thaw()
		require.Equal(t, 1, one(t, within(t, 10*time.Second), p, "select 1"))
		require.LessOrEqual(t, time.Since(began), 1200*time.Millisecond)
	})
}

func TestAFailedCheckIsOnePerCall(t *testing.T) {
	inMemory(t, func(c *Config) { c.Health.Interval, c.MaxSize = -1, 8 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		var held []*Lease
		for range 8 {
			l, err := p.Acquire(t.Context())
			require.NoError(t, err)
			held = append(held, l)
		}
		for _, l := range held {
			l.Release()
		}
		pass(2 * time.Second)
		server.Freeze()
		time.AfterFunc(1500*time.Millisecond, server.Thaw)
		began := time.Now()
		require.Equal(t, 1, one(t, within(t, time.Minute), p, "select 1"))
		require.LessOrEqual(t, time.Since(began), 1600*time.Millisecond, "it waited for one time-out only, then for the verified")
	})
}

func intersect(a, b []uint32) (both []uint32) {
	for _, x := range a {
		if slices.Contains(b, x) {
			both = append(both, x)
		}
	}
	return both
}

// Behind a proxy that accepts and hangs, scouts take turns also where the pool's size leaves them few places: the
// server is found within a second of coming back.
func TestScoutsTakeTurnsInFewPlaces(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize = 3 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		require.NoError(t, p.WaitReady(t.Context()))
		server.StopBehindProxy()
		pass(2 * time.Millisecond)
		began := time.Now()
		time.AfterFunc(7*time.Second, server.Start)
		require.Equal(t, 1, one(t, within(t, 30*time.Second), p, "select 1"))
		require.LessOrEqual(t, time.Since(began), 7600*time.Millisecond)
		require.LessOrEqual(t, server.Dials(), 1+2*80)
	})
}
