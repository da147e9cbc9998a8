//go:build failpoint

package poolactor

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/failpoint"
	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

// These tests crash the actor between any two state changes, and widen every gap of the hand-off.

// hooked installs a failpoint hook for the time of a test.
func hooked(t *testing.T, f func(name string)) {
	t.Helper()
	failpoint.Set(f)
	t.Cleanup(func() { failpoint.Set(nil) })
}

// script is a short history in which every part of the actor takes part: it opens, hands out, queues, resizes, loses a
// connection, cleans one, suspends, and ends with everybody served.
func script(t *testing.T, p *Pool, server *fakepg.Server) {
	var (
		wg     sync.WaitGroup
		killed atomic.Int32
	)
	for i := range 6 {
		wg.Go(func() {
			for range 4 {
				err := p.With(t.Context(), func(ctx context.Context, l *Lease) error {
					if i == 0 {
						_, err := l.Exec(ctx, "begin") // left open: to be cleaned
						return err
					}
					pass(time.Millisecond)
					return nil
				})
				if err != nil && killed.Add(1) > 1 {
					t.Errorf("more than the one call that used the killed connection: %v", err)
				}
			}
		})
	}
	pass(2 * time.Millisecond)
	if pids := server.PIDs(); len(pids) > 0 {
		server.Kill(pids[0])
	}
	require.NoError(t, p.Resize(t.Context(), 0, 1))
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_ = p.Suspend(ctx)
	require.NoError(t, p.Resume())
	require.NoError(t, p.Resize(t.Context(), 2, 3))
	wg.Wait()
}

// replay runs the script and panics at the given hits of the actor's failpoints. It returns how many there were.
func replay(t *testing.T, panicAt map[int64]bool) (hits int64) {
	var n atomic.Int64
	hooked(t, func(name string) {
		if strings.HasPrefix(name, "actor.") {
			if at := n.Add(1); panicAt[at] {
				panic(fmt.Sprintf("injected at %s (hit %d)", name, at))
			}
		}
	})
	inMemory(t, func(c *Config) { c.MaxSize = 2; c.Health.OnAcquire = CheckIdle }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		began := time.Now()
		events := p.Events(t.Context())
		script(t, p, server)
		require.Less(t, time.Since(began), time.Minute, "a crash is a little latency")
		st := p.Stat()
		require.Zero(t, st.Leased)
		if len(panicAt) > 0 && n.Load() > 0 {
			synctest.Wait()
			for len(events) > 0 {
				if e := <-events; e.Err != nil && e.Kind == EventActor {
					require.ErrorContains(t, e.Err, "injected", "%s %s: %+v", e.Actor, e.What, e.Err)
				}
			}
			require.LessOrEqual(t, p.actor.Inspect().Crashes, uint64(len(panicAt)))
		}
	})
	return n.Load()
}

func TestReplayWithAPanicAtEveryHit(t *testing.T) {
	total := replay(t, nil)
	require.Greater(t, total, int64(50))
	for at := int64(1); at <= total; at++ {
		if !t.Run(fmt.Sprint(at), func(t *testing.T) { replay(t, map[int64]bool{at: true}) }) {
			return
		}
	}
}

func TestReplayWithRandomPairsOfPanics(t *testing.T) {
	total := replay(t, nil)
	for range scale(t, 300) {
		a, b := 1+rand.Int64N(total), 1+rand.Int64N(total+total/2)
		if !t.Run(fmt.Sprintf("%d and %d", a, b), func(t *testing.T) { replay(t, map[int64]bool{a: true, b: true}) }) {
			return
		}
	}
}

// widen yields or sleeps at random in every gap, so that schedules that are rare become common.
func widen(name string) {
	switch rand.IntN(8) {
	case 0:
		runtime.Gosched()
	case 1:
		<-time.After(time.Duration(rand.IntN(50)) * time.Microsecond)
	}
}

func TestBurstsInWidenedWindows(t *testing.T) {
	hooked(t, widen)
	for _, size := range []int{1, 2, 3} {
		a := newArena(t, size)
		for range scale(t, 400) {
			a.everybodyServed(1+rand.IntN(8), yield)
		}
		a.quiet(size)
	}
}

// crashing makes the actor panic at one in so many failpoints, and widens the gaps besides.
func crashing(oneIn int) func(string) {
	return func(name string) {
		if strings.HasPrefix(name, "actor.") && rand.IntN(oneIn) == 0 {
			panic("injected at " + name)
		}
		widen(name)
	}
}

// quickRestarts lets the actor come back fast enough to be crashed thousands of times.
func quickRestarts(t *testing.T) {
	restarts = supervisor.Restart{
		Immediate: true, Initial: 10 * time.Microsecond, Max: 100 * time.Microsecond, HealthyAfter: time.Microsecond,
	}
	t.Cleanup(func() { restarts = supervisor.Restart{} })
}

func TestBurstsUnderCrashes(t *testing.T) {
	quickRestarts(t)
	hooked(t, crashing(30))
	var crashes uint64
	for _, size := range []int{1, 2, 5} {
		a := newArena(t, size)
		for range scale(t, 300) {
			a.everybodyServed(1+rand.IntN(10), yield)
		}
		failpoint.Set(nil)
		a.quiet(size)
		crashes += a.p.actor.Inspect().Crashes
		hooked(t, crashing(30))
	}
	require.Positive(t, crashes)
}

func TestGivingUpUnderCrashesLosesNothing(t *testing.T) {
	quickRestarts(t)
	const size = 6
	a := newArena(t, size)
	hooked(t, crashing(60))
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range scale(t, 200) {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.IntN(500))*time.Microsecond)
				_ = a.lease(ctx, yield) // served or not: what counts is what is left
				cancel()
			}
		})
	}
	wg.Wait()
	failpoint.Set(nil)
	a.quiet(size)
	a.everybodyServed(32, yield)
}

// Forgotten leases come back although nobody releases them, also while the actor crashes.
func TestForgottenLeasesComeBack(t *testing.T) {
	quickRestarts(t)
	const size = 4
	a := newArena(t, size)
	hooked(t, crashing(100))
	for range scale(t, 50) {
		forget(t, a.p)
		require.Eventually(t, func() bool {
			runtime.GC()
			return a.p.Stat().Leased == 0
		}, 20*time.Second, time.Millisecond)
	}
	failpoint.Set(nil)
	a.quiet(size)
	require.EqualValues(t, scale(t, 50), a.p.Stat().Forgotten)
}

//go:noinline
func forget(t *testing.T, p *Pool) {
	_, err := p.Acquire(t.Context())
	require.NoError(t, err)
}
