package poolactor

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

func withShedding(size int) func(*Config) {
	return func(c *Config) {
		neverChecked(size)(c)
		c.ShedByDeadline = true
	}
}

// leasesOf lets the pool see n leases of that length.
func leasesOf(t *testing.T, p *Pool, n int, d time.Duration) {
	t.Helper()
	for range n {
		l := acquired(t, p)
		pass(d)
		l.Release()
	}
}

func TestADeadlineOutOfReachIsToldAtOnce(t *testing.T) {
	inMemory(t, withShedding(2), func(t *testing.T, p *Pool, server *fakepg.Server) {
		leasesOf(t, p, 3, time.Second)
		a := acquired(t, p)
		pass(200 * time.Millisecond)
		b := acquired(t, p)
		time.AfterFunc(800*time.Millisecond, a.Release)
		time.AfterFunc(time.Second, b.Release)

		err := turnedAway(t, within(t, 500*time.Millisecond), p)
		var exhausted *ExhaustedError
		require.ErrorAs(t, err, &exhausted)
		require.ErrorIs(t, err, ErrShed)
		require.Equal(t, 800*time.Millisecond, exhausted.Forecast)
		require.Equal(t, 500*time.Millisecond, exhausted.Left)
		require.Zero(t, exhausted.Waited)
		require.Len(t, exhausted.Holders, 2)
		require.ErrorContains(t, err, "in about 800ms, and 500ms are left (2 leased, 0 waiting); unlabelled holds PID")

		first := parked(within(t, 801*time.Millisecond), p)
		require.ErrorIs(t, turnedAway(t, within(t, 999*time.Millisecond), p), ErrShed, "another is before it")
		second := parked(within(t, 1001*time.Millisecond), p)
		require.ErrorIs(t, turnedAway(t, within(t, 1799*time.Millisecond), p), ErrShed)
		third := parked(t.Context(), p)
		require.Empty(t, third, "without a deadline there is none to miss")
		(<-first).Release()
		(<-second).Release()
		(<-third).Release()
		st := p.Stat()
		require.Equal(t, []int64{3, 0, 0}, []int64{st.Shed, st.TurnedAway, st.GaveUp})
	})
}

func TestWhoIsNotShed(t *testing.T) {
	short := func(t *testing.T, p *Pool) error {
		l, err := p.Acquire(within(t, 10*time.Millisecond))
		if err == nil {
			l.Release()
		}
		return err
	}
	inMemory(t, withShedding(2), func(t *testing.T, p *Pool, server *fakepg.Server) {
		a, b := acquired(t, p), acquired(t, p)
		require.ErrorIs(t, short(t, p), context.DeadlineExceeded, "nothing is known yet")
		pass(time.Second)
		a.Release()
		require.NoError(t, short(t, p), "it is given a connection at once")
		b.Discard()
	})
	inMemory(t, withShedding(2), func(t *testing.T, p *Pool, server *fakepg.Server) {
		leasesOf(t, p, 1, time.Second)
		l := acquired(t, p)
		defer l.Release()
		for range 3 {
			require.NoError(t, short(t, p), "a connection can be opened, or is there")
		}
	})
	inMemory(t, withShedding(1), func(t *testing.T, p *Pool, server *fakepg.Server) {
		leasesOf(t, p, 1, time.Second)
		l := acquired(t, p)
		pass(995 * time.Millisecond)
		time.AfterFunc(5*time.Millisecond, l.Release)
		other, err := p.Acquire(within(t, 10*time.Millisecond))
		require.NoError(t, err, "the lease is about to end")
		pass(2 * time.Second)
		require.ErrorIs(t, short(t, p), context.DeadlineExceeded, "a lease that is older than others were may end at any time")
		other.Release()
		require.NoError(t, p.Suspend(t.Context()))
		require.ErrorIs(t, short(t, p), context.DeadlineExceeded, "nobody knows how long a suspension lasts")
		require.NoError(t, p.Resume())
	})
	inMemory(t, withShedding(2), func(t *testing.T, p *Pool, server *fakepg.Server) {
		leasesOf(t, p, 1, time.Second)
		l := acquired(t, p)
		server.Stop()
		for range 3 {
			require.ErrorIs(t, short(t, p), context.DeadlineExceeded, "nor an outage")
		}
		l.Discard()
		server.Start()
	})
}

func TestAnAcquireTimeoutIsADeadline(t *testing.T) {
	inMemory(t, func(c *Config) { withShedding(1)(c); c.AcquireTimeout = 100 * time.Millisecond }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		leasesOf(t, p, 1, time.Second)
		l := acquired(t, p)
		require.ErrorIs(t, turnedAway(t, t.Context(), p), ErrShed)
		l.Release()
	})
}

// When load falls nobody is shed any more, although all were: leases teach, not waits.
func TestALeaseThatWasTakenAwayTeachesNothing(t *testing.T) {
	inMemory(t, func(c *Config) {
		withShedding(1)(c)
		c.LeaseMaxAge = time.Second
	}, func(t *testing.T, p *Pool, server *fakepg.Server) {
		late := acquired(t, p)
		pass(time.Hour)
		late.Release()
		l := acquired(t, p)
		time.AfterFunc(500*time.Millisecond, l.Release)
		next, err := p.Acquire(within(t, time.Second))
		require.NoError(t, err, "nobody was kept waiting for an hour")
		next.Release()
	})
}

func TestSheddingEndsByItself(t *testing.T) {
	inMemory(t, withShedding(2), func(t *testing.T, p *Pool, server *fakepg.Server) {
		// A call comes every 50 ms and needs d; it can wait for 200 ms.
		load := func(d, during time.Duration) (served, shed, late int) {
			type outcome struct{ err error }
			outcomes := make(chan outcome, during/(50*time.Millisecond)+1)
			began := time.Now()
			for time.Since(began) < during {
				go func() {
					l, err := p.Acquire(within(t, 200*time.Millisecond))
					if err == nil {
						pass(d)
						l.Release()
					}
					outcomes <- outcome{err}
				}()
				pass(50 * time.Millisecond)
			}
			pass(200*time.Millisecond + d)
			synctest.Wait()
			close(outcomes)
			for o := range outcomes {
				switch {
				case o.err == nil:
					served++
				case errors.Is(o.err, ErrShed):
					shed++
				default:
					late++
				}
			}
			return served, shed, late
		}
		served, shed, late := load(10*time.Millisecond, 10*time.Second)
		require.Equal(t, []int{200, 0, 0}, []int{served, shed, late}, "no load worth mentioning")
		served, shed, late = load(2*time.Second, 100*time.Second)
		t.Logf("twenty times what it can do: %d served, %d shed, %d waited in vain", served, shed, late)
		require.GreaterOrEqual(t, served, 95, "two at a time for two seconds each")
		require.Less(t, late, 400, "few wait in vain, where 1900 would")
		served, shed, late = load(10*time.Millisecond, 10*time.Second)
		t.Logf("afterwards: %d served, %d shed, %d waited in vain", served, shed, late)
		require.Equal(t, []int{200, 0, 0}, []int{served, shed, late}, "with connections at hand nobody is asked")
		served, shed, _ = load(90*time.Millisecond, 20*time.Second)
		require.Equal(t, []int{400, 0}, []int{served, shed}, "nor where the pool is nearly saturated")
	})
}

// The forecast is what becomes of the queue if each lease lasts as long as given.
func TestForecastIsWhatHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lasts := time.Duration(rapid.Int64Range(1, int64(time.Minute)).Draw(t, "lasts"))
		q := queue{
			waiting: rapid.IntRange(0, 50).Draw(t, "waiting"),
			spare:   rapid.IntRange(0, 5).Draw(t, "spare"),
		}
		held := rapid.SliceOfN(rapid.Int64Range(0, int64(2*time.Minute)), 0, 8).Draw(t, "held")
		free := make([]time.Duration, q.spare) // when each connection comes free
		for _, age := range held {
			q.held = append(q.held, time.Duration(age))
			free = append(free, max(0, lasts-time.Duration(age)))
		}
		before := slices.Clone(q.held)
		got, known := q.forecast(lasts)
		require.Equal(t, len(free) > 0, known)
		if !known {
			return
		}
		served := time.Duration(0)
		for range q.waiting + 1 {
			next := 0
			for i := range free {
				if free[i] < free[next] {
					next = i
				}
			}
			served = free[next]
			free[next] += lasts
		}
		require.InDelta(t, float64(served), float64(got), float64(served)*1e-9+1)
		if q.waiting < q.spare {
			require.Zero(t, got, "a connection is there for it")
		}
		longer := q
		longer.waiting++
		behind, _ := longer.forecast(lasts)
		require.GreaterOrEqual(t, behind, got, "who comes later is served later")
		require.Equal(t, before, q.held, "to look changes nothing")
	})
}

func TestAForecastOfNothing(t *testing.T) {
	_, known := queue{waiting: 3, spare: 1}.forecast(0)
	require.False(t, known)
	_, known = queue{waiting: 3}.forecast(time.Second)
	require.False(t, known)
	far, _ := queue{waiting: math.MaxInt32, held: []time.Duration{0}}.forecast(1000 * time.Hour)
	require.Positive(t, far, "it does not overflow")
}

func TestSmooth(t *testing.T) {
	require.Equal(t, time.Second, smooth(0, time.Second), "the first is all that is known")
	require.Equal(t, time.Second, smooth(time.Second, shortest-1), "it was of no use")
	require.Less(t, smooth(10*time.Millisecond, time.Hour), 20*time.Millisecond, "one lease of an hour")
	rapid.Check(t, func(t *rapid.T) {
		mean := time.Duration(rapid.Int64Range(int64(shortest), int64(time.Hour)).Draw(t, "mean"))
		lease := time.Duration(rapid.Int64Range(int64(shortest), int64(time.Hour)).Draw(t, "lease"))
		next := smooth(mean, lease)
		require.GreaterOrEqual(t, next, min(mean, lease))
		require.LessOrEqual(t, next, max(mean, lease))
		for range 200 { // from any mean to any other
			next = smooth(next, lease)
		}
		require.InDelta(t, float64(lease), float64(next), 0.01*float64(lease)+10)
	})
}
