package poolactor

import (
	"context"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

// The actor looks round by itself, once a second or sooner, and so heals what a lost wake-up has broken. In fake time
// that is plain to see: where nobody sleeps, time passes only when everybody waits.

// atOnce runs f and finds that no time has passed, neither in it nor until all is quiet; but for the microseconds that
// a supervisor takes to see its children begin.
func atOnce(t *testing.T, f func()) {
	t.Helper()
	began := time.Now()
	f()
	synctest.Wait()
	if took := time.Since(began); took > time.Millisecond {
		t.Fatalf("somebody waited for the actor's tick: %v", took)
	}
}

// acquired is a lease that is there within a minute of fake time.
func acquired(t *testing.T, p *Pool) *Lease {
	t.Helper()
	l, err := p.Acquire(within(t, time.Minute))
	require.NoError(t, err)
	return l
}

// neverChecked is a pool whose time is spent in the hand-off alone.
func neverChecked(size int) func(*Config) {
	return func(c *Config) {
		c.MaxSize = size
		c.Health.OnAcquire, c.Health.Interval = CheckNever, -1
	}
}

// burst lets n callers come at once; each holds its lease for a moment.
func burst(t *testing.T, p *Pool, n int) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			l, err := p.Acquire(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			for range rand.IntN(3) {
				runtime.Gosched()
			}
			if rand.IntN(16) == 0 {
				l.Discard()
			} else {
				l.Release()
			}
		})
	}
	wg.Wait()
}

func TestBurstsTakeNoTime(t *testing.T) {
	for _, size := range []int{1, 2, 3} {
		inMemory(t, neverChecked(size), func(t *testing.T, p *Pool, server *fakepg.Server) {
			for range scale(t, 1500) {
				atOnce(t, func() { burst(t, p, 1+rand.IntN(8)) })
			}
		})
	}
}

// A lease that is held does not stand in the way of another connection.
func TestWhoeverCanBeServedIsServedAtOnce(t *testing.T) {
	inMemory(t, neverChecked(3), func(t *testing.T, p *Pool, server *fakepg.Server) {
		for range 20 {
			atOnce(t, func() {
				var held []*Lease
				for range 3 {
					held = append(held, acquired(t, p))
				}
				held[0].Discard()
				acquired(t, p).Release()
				held[1].Release()
				held[2].Discard()
			})
		}
	})
}

// Callers may come before anybody serves them.
func TestTheFirstLifeServesWhoWaitsAlready(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := fakepg.New()
		defer server.Close()
		cfg := fakeConfig(server)
		neverChecked(2)(&cfg)
		p, err := New(cfg)
		require.NoError(t, err)
		served := parked(t.Context(), p)
		atOnce(t, func() {
			require.NoError(t, p.start(t.Context()))
			(<-served).Release()
		})
		require.NoError(t, p.Close())
	})
}

func TestARescanFindsWhatNobodyTold(t *testing.T) {
	inMemory(t, neverChecked(1), func(t *testing.T, p *Pool, server *fakepg.Server) {
		require.NoError(t, p.WaitReady(t.Context()))
		synctest.Wait()
		s := p.all()[0]
		_, ok := s.word.move(broken, free)
		require.True(t, ok)
		atOnce(t, func() {
			p.rescan.Store(true)
			p.wake()
			synctest.Wait()
			require.Zero(t, p.Stat().Total())
		})
	})
}

func TestResumeServesAtOnce(t *testing.T) {
	inMemory(t, neverChecked(2), func(t *testing.T, p *Pool, server *fakepg.Server) {
		require.NoError(t, p.WaitReady(t.Context()))
		atOnce(t, func() {
			require.NoError(t, p.Suspend(t.Context()))
			served := parked(t.Context(), p)
			require.Empty(t, served, "nobody is served while the pool is suspended")
			require.NoError(t, p.Resume())
			(<-served).Release()
		})
		require.Equal(t, 1, server.Dials(), "what was open is kept")
	})
}

func TestResizeIsInForceWhenItReturns(t *testing.T) {
	inMemory(t, neverChecked(4), func(t *testing.T, p *Pool, server *fakepg.Server) {
		var held []*Lease
		for range 4 {
			held = append(held, acquired(t, p))
		}
		held[3].Release()
		atOnce(t, func() {
			require.NoError(t, p.Resize(t.Context(), 0, 2))
			require.Equal(t, 3, p.Stat().Leased)
			synctest.Wait()
			require.Equal(t, 3, server.Connections(), "what rested is closed")
			served := parked(t.Context(), p)
			held[0].Release()
			synctest.Wait()
			require.Equal(t, 2, server.Connections(), "what is beyond the size is closed when it comes back")
			require.Empty(t, served, "and serves nobody any more")
			held[1].Release()
			(<-served).Release()
			held[2].Release()
		})
		require.Equal(t, 4, server.Dials())
		require.NoError(t, p.Resize(t.Context(), 3, 3))
		synctest.Wait()
		require.Equal(t, 3, server.Connections())
	})
}

// A Resize has no effect before the actor has seen it, and says so.
func TestResizeWaitsForTheActor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, l := still(t, 2)
		require.ErrorIs(t, p.Resize(within(t, time.Second), 0, 1), context.DeadlineExceeded)
		l.settle()
		require.Equal(t, p.sizeAsked.Load(), p.sizeApplied.Load())
	})
}

func TestAHijackedPlaceIsVacantAtOnce(t *testing.T) {
	inMemory(t, neverChecked(1), func(t *testing.T, p *Pool, server *fakepg.Server) {
		atOnce(t, func() {
			conn, err := acquired(t, p).Hijack()
			require.NoError(t, err)
			acquired(t, p).Release()
			require.NoError(t, conn.Close(t.Context()))
		})
	})
}

func TestAShutdownTellsWaitersAtOnceAndClosesWhatRests(t *testing.T) {
	inMemory(t, neverChecked(2), func(t *testing.T, p *Pool, server *fakepg.Server) {
		a, b := acquired(t, p), acquired(t, p)
		closed := make(chan error, 1)
		atOnce(t, func() {
			waits := parked(t.Context(), p)
			go func() { closed <- p.Shutdown(within(t, time.Minute)) }()
			require.Nil(t, <-waits)
			b.Release()
			synctest.Wait()
			require.Equal(t, 1, server.Connections())
			require.Empty(t, closed, "a lease is out")
			require.Equal(t, 1, one(t, t.Context(), a, "select 1"), "and serves its holder")
		})
		a.Release()
		require.NoError(t, <-closed)
	})
}

// A connection is closed once, however often that is asked for.
func TestTwoClosersCloseOnce(t *testing.T) {
	inMemory(t, neverChecked(1), func(t *testing.T, p *Pool, server *fakepg.Server) {
		acquired(t, p).Release()
		synctest.Wait()
		s := p.all()[0]
		_, ok := s.word.move(doomed, free)
		require.True(t, ok)
		p.closeSlot(s)
		p.closeSlot(s)
		synctest.Wait()
		require.EqualValues(t, 1, p.Stat().Closed)
		require.Zero(t, p.Stat().Total())
	})
}

func TestWhatWasJustDialledNeedsNoCheck(t *testing.T) {
	inMemory(t, neverChecked(1), func(t *testing.T, p *Pool, server *fakepg.Server) {
		acquired(t, p).Release()
		require.Zero(t, p.Stat().Checks)
	})
}

// What was dialled or checked before all were distrusted is not trusted, though the answer came after.
func TestAnAnswerToAnEarlierQuestionProvesNothing(t *testing.T) {
	inMemory(t, neverChecked(1), func(t *testing.T, p *Pool, server *fakepg.Server) {
		for _, checks := range []int64{1, 3} { // after the dial; the one that was overtaken, and one more
			server.Delay(time.Second)
			time.AfterFunc(time.Second/2, func() {
				server.Delay(0)
				p.gate.distrust(p.gate.Load())
			})
			acquired(t, p).Release()
			acquired(t, p).Release()
			require.EqualValues(t, checks, p.Stat().Checks)
			p.gate.distrust(p.gate.Load())
		}
	})
}

// A connection that is to go is not handed out when its check has ended well.
func TestACheckedConnectionThatIsToGoIsNotHandedOut(t *testing.T) {
	always := func(c *Config) { c.MaxSize, c.Health.OnAcquire, c.Health.Interval = 1, CheckAlways, -1 }
	inMemory(t, always, func(t *testing.T, p *Pool, server *fakepg.Server) {
		acquired(t, p).Release()
		synctest.Wait()
		old := server.PIDs()
		server.Delay(500 * time.Millisecond)
		time.AfterFunc(200*time.Millisecond, func() {
			server.Delay(0)
			if !p.all()[0].word.flag(flagRetire, checking) {
				t.Error("it should be being checked")
			}
		})
		acquired(t, p).Release()
		synctest.Wait()
		require.NotEqual(t, old, server.PIDs())
	})
}

// A pool that nobody calls keeps few goroutines: the pool's own, a loop and suture's for each of the three groups, and one
// for each actor.
func TestAnIdlePoolKeepsFewGoroutines(t *testing.T) {
	inMemory(t, func(c *Config) { c.MinSize, c.MaxSize = 20, 20 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		require.NoError(t, p.WaitReady(t.Context()))
		pass(100 * time.Millisecond)
		synctest.Wait()
		require.Equal(t, 20, server.Connections())
		stacks := make([]byte, 1<<20)
		all := strings.Split(string(stacks[:runtime.Stack(stacks, true)]), "\n\n")
		kept := slices.DeleteFunc(all, func(stack string) bool {
			return !strings.Contains(stack, "synctest bubble") || strings.Contains(stack, "testing/synctest") ||
				strings.Contains(stack, "internal/fakepg")
		})
		require.LessOrEqual(t, len(kept), 1+3*2+5, "%s", strings.Join(kept, "\n\n"))
	})
}

// Who was given a dead connection is served before those who came during its check.
func TestWhoGetsADeadConnectionIsServedNext(t *testing.T) {
	for _, waits := range []bool{false, true} {
		always := func(c *Config) { c.MaxSize, c.Health.OnAcquire, c.Health.Interval = 1, CheckAlways, -1 }
		inMemory(t, always, func(t *testing.T, p *Pool, server *fakepg.Server) {
			held := acquired(t, p)
			if !waits {
				held.Release()
				synctest.Wait()
			}
			server.Delay(time.Second)
			first := parked(t.Context(), p)
			held.Release()
			synctest.Wait()
			require.Equal(t, 1, p.Stat().Checking)
			second := parked(t.Context(), p)
			server.Delay(time.Millisecond) // the first is back in line when the next connection is there
			server.Kill(server.PIDs()[0])
			l := <-first
			synctest.Wait()
			require.Empty(t, second)
			l.Release()
			(<-second).Release()
		})
	}
}

// A check that the end of the pool cuts short leaves nobody behind who still tries to cancel it.
func TestTheEndLeavesNoCancelRequestBehind(t *testing.T) {
	var dialling atomic.Int32
	always := func(c *Config) {
		c.MaxSize, c.Health.OnAcquire, c.Health.Interval = 1, CheckAlways, -1
		c.CancelDialFunc = func(ctx context.Context, _, _ string) (net.Conn, error) {
			dialling.Add(1)
			defer dialling.Add(-1)
			<-ctx.Done()
			return nil, ctx.Err()
		}
	}
	inMemory(t, always, func(t *testing.T, p *Pool, server *fakepg.Server) {
		acquired(t, p).Release()
		synctest.Wait()
		server.Delay(time.Second)
		waits := parked(within(t, time.Hour), p)
		require.NoError(t, p.Close())
		require.Nil(t, <-waits)
		require.Zero(t, dialling.Load())
		pass(time.Second) // the server notices no earlier
	})
}
