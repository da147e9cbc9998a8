//go:build failpoint

package poolactor

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/failpoint"
	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

// Calls are turned away while others come, are served and give up, in widened windows and with an actor that crashes.

// crowded runs a burst of calls of which some may be turned away, and returns how many were. Who is let in is served.
func (a *arena) crowded(n int) (turnedAway int) {
	a.t.Helper()
	done := make(chan error, n)
	for range n {
		go func() { done <- a.lease(context.Background(), yield) }()
	}
	watchdog := time.NewTimer(20 * time.Second)
	defer watchdog.Stop()
	for range n {
		select {
		case err := <-done:
			if errors.Is(err, ErrTooManyWaiters) {
				turnedAway++
			} else if err != nil {
				a.t.Error(err)
			}
		case <-watchdog.C:
			a.t.Fatalf("a waiter is stuck: %+v", a.p.Stat())
		}
	}
	return turnedAway
}

func TestBurstsOfMoreThanMayWait(t *testing.T) {
	for _, crash := range []bool{false, true} {
		for _, size := range []int{1, 2, 5} {
			const most = 3
			hook := widen
			if crash {
				quickRestarts(t)
				hook = crashing(30)
			}
			a := newArena(t, size, func(c *Config) { c.MaxWaiters = most })
			var peak, away atomic.Int64
			hooked(t, func(name string) {
				if name == "caller.counted" {
					for n := a.p.waiting.Load(); n > peak.Load(); {
						peak.Store(n)
					}
				}
				hook(name)
			})
			for range scale(t, 300) {
				n := 1 + rand.IntN(4*(size+most))
				turned := a.crowded(n)
				if n <= most && turned > 0 {
					t.Errorf("%d of %d calls were turned away, although %d may wait", turned, n, most)
				}
				away.Add(int64(turned))
			}
			failpoint.Set(nil)
			a.quiet(size)
			require.Equal(t, away.Load(), a.p.Stat().TurnedAway)
			require.Positive(t, away.Load(), "somebody must have been one too many")
			require.LessOrEqual(t, peak.Load(), int64(most+size), "those for whom a connection is there included")
		}
	}
}

// firstOnly holds once: who comes while that one is stopped at its mark passes it.
func firstOnly() func() bool {
	var met atomic.Bool
	return func() bool { return !met.Swap(true) }
}

// Two calls do not take the last place both.
func TestTheLastPlaceIsTakenOnce(t *testing.T) {
	inMemory(t, withMaxWaiters(1, 1), func(t *testing.T, p *Pool, server *fakepg.Server) {
		held := acquired(t, p)
		var faster <-chan *Lease
		happened := onceAt(t, "caller.counting", firstOnly(), func() { faster = parked(t.Context(), p) })
		err := turnedAway(t, t.Context(), p)
		<-happened
		require.ErrorIs(t, err, ErrTooManyWaiters)
		require.EqualValues(t, 1, p.waiting.Load())
		held.Release()
		(<-faster).Release()
	})
}

// Who finds the queue full while somebody in it is served, or leaves, looks again.
func TestAPlaceThatBecomesFreeIsSeen(t *testing.T) {
	inMemory(t, withMaxWaiters(1, 1), func(t *testing.T, p *Pool, server *fakepg.Server) {
		held := acquired(t, p)
		ctx, cancel := context.WithCancel(t.Context())
		before := parked(ctx, p)
		happened := onceAt(t, "caller.counting", firstOnly(), func() {
			cancel()
			if <-before != nil {
				t.Error("nobody has given a connection back")
			}
		})
		served := make(chan *Lease, 1)
		go func() {
			l, _ := p.Acquire(t.Context())
			served <- l
		}()
		<-happened
		synctest.Wait()
		require.Empty(t, served, "it waits")
		held.Release()
		(<-served).Release()
	})
}
