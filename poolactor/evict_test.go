package poolactor

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/backend"
	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

// stay counts how many of these server processes are still there.
func stay(server *fakepg.Server, pids []uint32) int {
	synctest.Wait() // the server sees what the pool has closed
	left := server.PIDs()
	return len(slices.DeleteFunc(slices.Clone(pids), func(pid uint32) bool { return !slices.Contains(left, pid) }))
}

// ended is a context that has ended.
func ended(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// holdOpen leases every connection that is open, and returns what gives them back.
func holdOpen(t *testing.T, p *Pool) (giveBack func()) {
	t.Helper()
	synctest.Wait()
	var held []*Lease
	for range p.Contact().Open {
		held = append(held, acquired(t, p))
	}
	return func() {
		for _, l := range held {
			l.Release()
		}
	}
}

// busy lets n callers use the pool, half a second at a time, until the function that it returns is called. None may fail.
func busy(t *testing.T, p *Pool, n int) (stop func()) {
	var over sync.WaitGroup
	quit := make(chan struct{})
	for range n {
		over.Go(func() {
			for {
				select {
				case <-quit:
					return
				default:
				}
				if _, err := p.Exec(within(t, time.Hour), "select pg_sleep(0.5)"); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	return func() {
		close(quit)
		over.Wait()
	}
}

func TestEvictReplacesWhatRestsAtOnce(t *testing.T) {
	inMemory(t, func(c *Config) { c.MinSize = 2 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		holdAll(t, p, 4)
		old := server.PIDs()
		began := time.Now()
		require.NoError(t, p.Evict(t.Context(), 0))
		require.Less(t, time.Since(began), 50*time.Millisecond)
		require.Zero(t, stay(server, old))
		synctest.Wait()
		require.Equal(t, 2, server.Connections(), "as many as the minimum asks for were opened")

		young := server.PIDs()
		pass(time.Minute)
		require.Equal(t, young, server.PIDs(), "what was opened later is left alone")
	})
}

func TestEvictSpreadsOverTheTime(t *testing.T) {
	inMemory(t, func(c *Config) { c.MinSize = 4 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		synctest.Wait()
		old := server.PIDs()
		require.Len(t, old, 4)
		began := time.Now()
		over := make(chan error, 1)
		go func() { over <- p.Evict(t.Context(), 8*time.Second) }()
		pass(time.Second)
		for left := 4; left > 0; left-- {
			synctest.Wait()
			require.Equal(t, left, stay(server, old), "after %v", time.Since(began))
			require.Equal(t, 4, server.Connections(), "each is replaced")
			pass(2 * time.Second)
		}
		require.NoError(t, <-over)
		require.Zero(t, stay(server, old))
	})
}

func TestEvictUnderSaturation(t *testing.T) {
	for name, over := range map[string]time.Duration{"at once": 0, "spread": 6 * time.Second} {
		t.Run(name, func(t *testing.T) {
			var sockets socketMeter
			small := func(c *Config) { c.MaxSize, c.DialFunc = 3, sockets.dial(c.DialFunc) }
			inMemory(t, small, func(t *testing.T, p *Pool, server *fakepg.Server) {
				stop := busy(t, p, 12)
				pass(3 * time.Second)
				old := server.PIDs()
				require.Len(t, old, 3)
				began := time.Now()
				require.NoError(t, p.Evict(t.Context(), over))
				require.Less(t, time.Since(began), over+time.Second, "a lease of half a second ends")
				require.GreaterOrEqual(t, time.Since(began), over)
				require.Zero(t, stay(server, old))
				stop()
				require.LessOrEqual(t, sockets.peak.Load(), int64(3))
				require.LessOrEqual(t, server.Dials(), 6, "each was replaced once")
			})
		})
	}
}

func TestTheEndOfTheWaitIsNotTheEndOfAnEviction(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		l, err := p.Acquire(WithLabel(t.Context(), "report"))
		require.NoError(t, err)
		holdAll(t, p, 3)
		old := server.PIDs()
		err = p.Evict(within(t, time.Second), 0)
		var left *EvictError
		require.ErrorAs(t, err, &left)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 1, left.Open)
		require.Len(t, left.Holders, 1)
		require.Equal(t, "report", left.Holders[0].Label)
		require.ErrorContains(t, err, "1 of the connections")
		require.ErrorContains(t, err, "report holds PID")
		require.Equal(t, 1, stay(server, old))
		require.Equal(t, 1, one(t, t.Context(), l, "select 1"), "a lease is good until its release")
		l.Release()
		synctest.Wait()
		require.Zero(t, stay(server, old), "and then its connection leaves")

		holdAll(t, p, 4)
		old = server.PIDs()
		require.ErrorIs(t, p.Evict(ended(t), 3*time.Second), context.Canceled)
		require.Equal(t, 4, stay(server, old))
		pass(5 * time.Second)
		synctest.Wait()
		require.Zero(t, stay(server, old), "nobody waited for it")
	})
}

// An eviction and the age of a connection ask for something that cannot be had in an outage: another connection.
func TestConnectionsServeOnInAnOutage(t *testing.T) {
	old := func(c *Config) { c.MaxSize, c.MaxLifetime, c.MaxLifetimeJitter = 8, 10*time.Second, -1 }
	for name, fault := range map[string]func(*fakepg.Server, bool){
		"refused": func(s *fakepg.Server, on bool) {
			if on {
				s.Refuse("28P01", "password authentication failed")
			} else {
				s.Refuse("", "")
			}
		},
		"too many clients": func(s *fakepg.Server, on bool) {
			if on {
				s.Refuse("53300", "sorry, too many clients already")
			} else {
				s.Refuse("", "")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			inMemory(t, old, func(t *testing.T, p *Pool, server *fakepg.Server) {
				holdAll(t, p, 3)
				fault(server, true)
				giveBack := holdOpen(t, p)
				working := server.PIDs()
				_, err := p.Acquire(within(t, time.Second))
				require.Error(t, err, "there is no other")
				giveBack()
				evicted := make(chan error, 1)
				go func() { evicted <- p.Evict(t.Context(), 3*time.Second) }()
				for range 20 {
					pass(time.Second)
					_, err := p.Exec(within(t, time.Minute), "select 1")
					require.NoError(t, err)
				}
				require.Empty(t, evicted)
				require.Equal(t, len(working), stay(server, working), "neither closed for its age nor evicted")

				fault(server, false)
				began := time.Now()
				require.NoError(t, <-evicted)
				require.Less(t, time.Since(began), 2*time.Second, "although no caller needs a dial that would find out")
				require.Zero(t, stay(server, working))
			})
		})
	}
}

// Where connections that work leave no room for a dial, nobody can find out that the outage is over: one of them makes it.
func TestAFullPoolMakesRoomForOneDial(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize = 8 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		holdAll(t, p, 3)
		server.Refuse("28P01", "password authentication failed")
		giveBack := holdOpen(t, p)
		_, err := p.Acquire(within(t, time.Second))
		require.Error(t, err)
		require.False(t, p.Stat().Outage.Since.IsZero())
		working := server.PIDs()
		require.NoError(t, p.Resize(t.Context(), 0, len(working)))
		require.ErrorIs(t, p.Evict(ended(t), 0), context.Canceled)
		giveBack()
		pass(time.Minute)
		require.Equal(t, len(working)-1, stay(server, working))
		server.Refuse("", "")
		pass(3 * time.Second)
		require.Zero(t, stay(server, working))
	})
}

// A suspended pool that was evicted has no connection and opens none, whatever was on its way, so that a server that
// waits for its last client can stop.
func TestEvictEmptiesASuspendedPool(t *testing.T) {
	inMemory(t, func(c *Config) { c.MinSize = 2 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		holdAll(t, p, 2)
		server.Delay(300 * time.Millisecond) // of each log-in, too
		served := make(chan error, 8)
		for range cap(served) {
			go func() {
				_, err := p.Exec(within(t, time.Hour), "select 1")
				served <- err
			}()
		}
		pass(400 * time.Millisecond)
		require.Positive(t, p.Stat().Opening+p.Stat().Leased)
		require.NoError(t, p.Suspend(t.Context()))
		server.Refuse("57P03", "the database system is shutting down")
		began := time.Now()
		require.NoError(t, p.Evict(t.Context(), 0))
		require.Less(t, time.Since(began), time.Second)
		require.Zero(t, server.Connections())
		dials := server.Dials()
		pass(time.Minute)
		synctest.Wait()
		require.Zero(t, server.Connections())
		require.Equal(t, dials, server.Dials())

		server.Refuse("", "")
		require.NoError(t, p.Resume())
		for range cap(served) {
			require.NoError(t, <-served)
		}
	})
}

// Also what is already known to be down does not keep a suspended pool from letting go.
func TestASuspendedPoolLetsGoInAnOutage(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		acquired(t, p).Release()
		server.Refuse("57P03", "the database system is shutting down")
		giveBack := holdOpen(t, p)
		_, err := p.Acquire(within(t, time.Second))
		require.Error(t, err)
		giveBack()
		require.NoError(t, p.Suspend(t.Context()))
		require.NoError(t, p.Evict(within(t, time.Second), 0))
		require.Zero(t, server.Connections())
		server.Refuse("", "")
		require.NoError(t, p.Resume())
	})
}

// A dial that begins while the gate is being shut is either seen or prevented.
func TestNoDialBeginsInASuspendedPool(t *testing.T) {
	p, l := still(t, 1)
	tok := put(p, 0, wanted)
	l.note(tok.slot)
	p.gate.set(gateSuspended)
	_, ok := orders{p}.Next()
	require.False(t, ok)
	require.Equal(t, failed, tok.slot.word.Load().state())
	l.take(<-p.hints)
	require.Equal(t, empty, tok.slot.word.Load().state())
}

func TestTwoEvictionsAtOnce(t *testing.T) {
	inMemory(t, func(c *Config) { c.MinSize = 4 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		synctest.Wait()
		old := server.PIDs()
		began := time.Now()
		slow := make(chan error, 1)
		go func() { slow <- p.Evict(t.Context(), 4*time.Minute) }()
		synctest.Wait()
		require.NoError(t, p.Evict(t.Context(), 2*time.Second))
		require.Zero(t, stay(server, old))
		require.NoError(t, <-slow, "a connection leaves when the first of them wants it")
		require.Less(t, time.Since(began), 4*time.Second)
		young := server.PIDs()
		pass(5 * time.Minute)
		require.Equal(t, young, server.PIDs(), "those opened between both are in none")
	})
}

func TestEvictBesideTheEnd(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		l := acquired(t, p)
		holdAll(t, p, 2)
		evicted := make(chan error, 1)
		go func() { evicted <- p.Evict(t.Context(), time.Hour) }()
		synctest.Wait()
		require.Error(t, p.Shutdown(within(t, time.Second)))
		require.NoError(t, <-evicted, "they are closed")
		require.ErrorIs(t, p.Evict(t.Context(), 0), ErrClosed)
		l.Release()
	})
	p, err := New(fakeConfig(fakepg.New()))
	require.NoError(t, err)
	require.NoError(t, p.Evict(t.Context(), 0), "nothing is open in a pool that does not run yet")
	require.NoError(t, p.Close())
}

// An Evict never lets a connection stay for longer than an earlier one wanted.
func TestALaterEvictionPutsNothingOff(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		holdAll(t, p, 3)
		require.Error(t, p.Evict(ended(t), 2*time.Second))
		require.Error(t, p.Evict(ended(t), 30*time.Minute))
		pass(4 * time.Second)
		synctest.Wait()
		require.Zero(t, server.Connections())
	})
}

// Whatever a connection is doing, it is closed at once or marked; what is no connection is left alone.
func TestRetireReachesEveryState(t *testing.T) {
	for s := range state(len(stateNames)) {
		p, _ := still(t, 1)
		tok := put(p, 0, s)
		p.retire(tok.slot)
		w := tok.slot.word.Load()
		switch {
		case s == free:
			require.Equal(t, broken, w.state())
		case s.hasConnection():
			require.Equal(t, s, w.state())
			require.True(t, w.has(flagRetire), "%v", s)
		default:
			require.Equal(t, put(p, 0, s).slot.word.Load(), w, "%v", s)
		}
		require.Equal(t, s.hasConnection(), len(p.hints) == 1, "%v: the actor is told", s)
	}
}

// Notice belongs to a connection, not to its place.
func TestNoticeIsForOneConnection(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize = 1 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		acquired(t, p).Release()
		require.Error(t, p.Evict(ended(t), 10*time.Second))
		acquired(t, p).Discard()
		acquired(t, p).Release()
		synctest.Wait()
		young := server.PIDs()
		pass(time.Minute)
		require.Equal(t, young, server.PIDs())
	})
	p, _ := still(t, 1)
	s, first, second := p.all()[0], new(backend.Conn), new(backend.Conn)
	s.conn.Store(second)
	s.giveNotice(first, 0) // by an Evict that had seen the first
	require.False(t, s.due(1))
	s.giveNotice(second, 0)
	require.True(t, s.due(1))
}

// What is to be dialled when Evict is called gives a connection that nobody gets.
func TestEvictTakesBackADial(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize = 1 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		server.Delay(time.Second)
		got := parked(t.Context(), p)
		synctest.Wait()
		require.Equal(t, 1, p.Stat().Opening)
		began := time.Now()
		require.NoError(t, p.Evict(t.Context(), 0))
		require.Less(t, time.Since(began), 1100*time.Millisecond)
		server.Delay(0)
		(<-got).Release()
		require.Equal(t, 2, server.LogIns())
	})
}
