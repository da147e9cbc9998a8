//go:build failpoint

package poolactor

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

// These tests make one certain schedule happen: each stops somebody at a mark, lets everybody else come to rest, and
// finds that nobody was left behind.

// onceAt runs f in whoever passes the mark for the first time while when holds; the channel closes when f has ended.
func onceAt(t *testing.T, mark string, when func() bool, f func()) <-chan struct{} {
	var once sync.Once
	happened := make(chan struct{})
	hooked(t, func(name string) {
		if name == mark && when() {
			once.Do(func() {
				defer close(happened)
				f()
			})
		}
	})
	return happened
}

func always() bool { return true }

// The actor has decided that nobody needs anything, and somebody comes.
func TestAWaiterComesWhileTheActorSettles(t *testing.T) {
	inMemory(t, neverChecked(1), func(t *testing.T, p *Pool, server *fakepg.Server) {
		l := acquired(t, p)
		synctest.Wait()
		var served <-chan *Lease
		vacated := func() bool { return stateOf(p, 0) == empty }
		happened := onceAt(t, "actor.ordered", vacated, func() { served = parked(t.Context(), p) })
		atOnce(t, func() {
			l.Discard()
			<-happened
			(<-served).Release()
		})
	})
}

// A waiter has seen that the actor can do nothing for it, and the actor finds that nobody waits.
func TestRoomComesWhileAWaiterGoesToWait(t *testing.T) {
	inMemory(t, neverChecked(1), func(t *testing.T, p *Pool, server *fakepg.Server) {
		l := acquired(t, p)
		synctest.Wait()
		happened := onceAt(t, "caller.before select", always, func() {
			l.Discard()
			synctest.Wait()
		})
		atOnce(t, func() {
			acquired(t, p).Release()
			<-happened
		})
	})
}

// While a connection is being offered it may come back to the stack, so supply counts it.
func TestSupplyCountsWhatIsBeingOffered(t *testing.T) {
	p, l := still(t, 2)
	rested(l, 0)
	p.waiting.Store(1)
	happened := onceAt(t, "actor.offering", always, func() {
		require.EqualValues(t, supplyRests, p.supply.Load()&supplyRests)
		p.ready <- put(p, 1, free) // somebody was faster
	})
	l.settle()
	<-happened
	require.Equal(t, resting, stateOf(p, 0))
}

// A connection that is offered, finds no place, and was taken for a check meanwhile is left to the checker.
func TestAnOfferIsNotUndoneOverACheck(t *testing.T) {
	p, l := still(t, 2)
	tok := rested(l, 0)
	p.waiting.Store(1)
	happened := onceAt(t, "actor.offering", always, func() {
		_, ok := tok.slot.word.move(checking, free)
		require.True(t, ok)
		p.ready <- put(p, 1, free)
	})
	l.serve()
	<-happened
	require.Equal(t, checking, stateOf(p, 0))
	require.Empty(t, l.stack)
}

// Whoever is told of a connection finds it, and whoever finds it can use it.
func TestAConnectionIsThereBeforeItsHint(t *testing.T) {
	for _, mark := range []string{"dialer.stored", "dialer.opened"} {
		inMemory(t, neverChecked(1), func(t *testing.T, p *Pool, server *fakepg.Server) {
			happened := onceAt(t, mark, always, func() {
				p.wake() // whatever the actor does now
				synctest.Wait()
			})
			atOnce(t, func() {
				require.Equal(t, 1, one(t, within(t, time.Minute), p, "select 1"))
				<-happened
			})
		})
	}
}

// Who asked for another size is told when it is in force.
func TestAResizeIsToldWhenItIsDone(t *testing.T) {
	inMemory(t, neverChecked(2), func(t *testing.T, p *Pool, server *fakepg.Server) {
		a, b := acquired(t, p), acquired(t, p)
		a.Release()
		b.Release()
		synctest.Wait()
		happened := onceAt(t, "actor.shrinking", always, func() {
			if p.sizeApplied.Load() == p.sizeAsked.Load() {
				t.Error("told already")
			}
		})
		require.NoError(t, p.Resize(t.Context(), 0, 1))
		<-happened
	})
}

// A crash loses whatever the actor had in hand; the next life finds it.
func TestACrashLosesNoSignal(t *testing.T) {
	for _, mark := range []string{
		"actor.woken", "actor.wanted", "actor.adopted", "actor.offering", "actor.offered", "actor.published", "actor.ordered",
		"actor.doomed", "actor.cleared",
	} {
		t.Run(mark, func(t *testing.T) {
			inMemory(t, neverChecked(1), func(t *testing.T, p *Pool, server *fakepg.Server) {
				synctest.Wait()
				happened := onceAt(t, mark, always, func() { panic("injected at " + mark) })
				atOnce(t, func() {
					acquired(t, p).Discard()
					acquired(t, p).Release()
				})
				<-happened
			})
		})
	}
}

// crowd widens every gap by letting the others go first, without a clock.
func crowd(string) {
	for range rand.IntN(4) {
		runtime.Gosched()
	}
}

func TestBurstsInWidenedWindowsTakeNoTime(t *testing.T) {
	hooked(t, crowd)
	for _, size := range []int{1, 2, 3} {
		inMemory(t, neverChecked(size), func(t *testing.T, p *Pool, server *fakepg.Server) {
			for range scale(t, 1000) {
				atOnce(t, func() { burst(t, p, 1+rand.IntN(6)) })
			}
		})
	}
}

// A waiter that counts itself while a connection is laid down where nobody can wait: it is taken back, unless somebody else
// was faster.
func TestWhatIsHotIsTakenBackForAWaiter(t *testing.T) {
	for _, taken := range []bool{false, true} {
		p, _ := still(t, 1)
		tok := put(p, 0, leased)
		hooked(t, func(name string) {
			if name == "caller.put hot" {
				p.waiting.Add(1)
				if taken {
					require.Same(t, tok, p.takeHot())
				}
			}
		})
		require.True(t, p.handBack(tok, 0, free, 0))
		require.Nil(t, p.hot.Load())
		require.Equal(t, !taken, len(p.ready) == 1)
	}
}
