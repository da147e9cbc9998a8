package poolactor

import (
	"context"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/actors"
	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
	"github.com/seed-4ff2b7b9/supervised/messages"
)

// holdAll leases n connections and gives them all back.
func holdAll(t *testing.T, p *Pool, n int) {
	t.Helper()
	var held []*Lease
	for range n {
		l, err := p.Acquire(t.Context())
		require.NoError(t, err)
		held = append(held, l)
	}
	for _, l := range held {
		l.Release()
	}
}

func TestIdleConnectionsAreClosedDownToTheMinimum(t *testing.T) {
	inMemory(t, func(c *Config) { c.MinSize, c.MaxIdleTime = 1, time.Minute }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		holdAll(t, p, 4)
		require.Equal(t, 4, server.Connections())
		pass(58 * time.Second)
		synctest.Wait()
		require.Equal(t, 4, server.Connections())
		pass(5 * time.Second)
		synctest.Wait()
		require.Equal(t, 1, server.Connections())
	})
}

// What is on its way out already is nothing to spare, and in an outage nothing is: nothing could take its place.
func TestWhatIsSpare(t *testing.T) {
	p, _ := still(t, 4)
	p.minSize.Store(1)
	j := &janitor{p: p}
	put(p, 0, leased, flagRetire)
	put(p, 1, resting, flagRetire)
	put(p, 2, resting)
	require.Zero(t, j.spare(p.all()))
	put(p, 3, resting)
	require.Equal(t, 1, j.spare(p.all()))
	p.outage.Store(&messages.Outage{Since: time.Now()})
	require.Zero(t, j.spare(p.all()))
}

func TestMinIdleKeepsSpareConnections(t *testing.T) {
	inMemory(t, func(c *Config) { c.MinIdle, c.MaxIdleTime = 2, time.Minute }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		pass(2 * time.Second)
		synctest.Wait()
		require.Equal(t, 2, p.Stat().Idle)
		l, err := p.Acquire(t.Context())
		require.NoError(t, err)
		pass(2 * time.Second)
		synctest.Wait()
		require.Equal(t, 2, p.Stat().Idle, "another was opened for the one that is leased")
		l.Release()
		pass(10 * time.Minute)
		synctest.Wait()
		require.Equal(t, 2, p.Stat().Idle)
	})
}

func TestTheMinimumIsOpenedWithoutACaller(t *testing.T) {
	inMemory(t, func(c *Config) { c.MinSize = 3 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		synctest.Wait()
		require.Equal(t, 3, server.Connections())
		server.Terminate("57P01")
		pass(3 * time.Second)
		synctest.Wait()
		require.Equal(t, 3, server.Connections(), "what died is replaced without a caller")
	})
}

// max_lifetime reaches connections wherever they are: at rest, on offer, and busy all the time.
func TestOldConnectionsAreReplacedUnderSaturation(t *testing.T) {
	var sockets socketMeter
	short := func(c *Config) {
		c.MaxLifetime, c.MaxLifetimeJitter, c.MaxSize = time.Minute, 10*time.Second, 3
		c.DialFunc = sockets.dial(c.DialFunc)
	}
	inMemory(t, short, func(t *testing.T, p *Pool, server *fakepg.Server) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		oldest := time.Duration(0)
		var (
			mu sync.Mutex
			wg sync.WaitGroup
		)
		for range 8 {
			wg.Go(func() {
				for ctx.Err() == nil {
					l, err := p.Acquire(ctx)
					if err != nil {
						return
					}
					mu.Lock()
					oldest = max(oldest, time.Duration(p.now()-l.token.Load().slot.created.Load()))
					mu.Unlock()
					pass(500 * time.Millisecond)
					l.Release()
				}
			})
		}
		wg.Wait()
		require.Less(t, oldest, 63*time.Second)
		require.Greater(t, server.Dials(), 9)
		require.LessOrEqual(t, sockets.peak.Load(), int64(3))
	})
}

func TestLifetimeJitter(t *testing.T) {
	p := &Pool{cfg: Config{MaxLifetime: time.Hour, MaxLifetimeJitter: 6 * time.Minute}}
	seen := map[int64]bool{}
	for range 100 {
		at := p.expiry(7)
		require.LessOrEqual(t, at, 7+int64(time.Hour))
		require.Greater(t, at, 7+int64(54*time.Minute))
		seen[at] = true
	}
	require.Greater(t, len(seen), 90, "not quantised")
	p.cfg.MaxLifetime = 0
	require.Zero(t, p.expiry(7), "off")
	p.cfg.MaxLifetime, p.cfg.MaxLifetimeJitter = math.MaxInt64, 0
	require.Zero(t, p.expiry(7), "longer than can be said")
}

func TestOtherActorsLeaseByMessage(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize = 1 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		ask := func(ctx context.Context, m messages.Acquire) (*Lease, error) {
			return actors.Ask(ctx, p.Ref(), func(r actors.Reply[*Lease]) ToPool { return ToPool{Acquire: m, Reply: r} })
		}
		l, err := ask(t.Context(), messages.Acquire{Label: "mailer"})
		require.NoError(t, err)
		require.Equal(t, "mailer", p.Holders()[0].Label)

		_, err = ask(t.Context(), messages.Acquire{Deadline: time.Now().Add(time.Second)})
		var exhausted *ExhaustedError
		require.ErrorAs(t, err, &exhausted, "the same errors as Acquire")

		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = ask(short, messages.Acquire{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, p.Ref().Tell(t.Context(), ToPool{Release: l}))
		synctest.Wait()
		require.Zero(t, p.Stat().Leased, "what was granted to an asker who gave up came back")

		l, err = ask(t.Context(), messages.Acquire{})
		require.NoError(t, err)
		l.Release()
	})
}

// An asker that gave up is no waiter any more.
func TestAskersThatGaveUpLeaveTheQueue(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize = 1 }, func(t *testing.T, p *Pool, _ *fakepg.Server) {
		l, err := p.Acquire(t.Context())
		require.NoError(t, err)
		for name, m := range map[string]messages.Acquire{"no deadline": {}, "a deadline": {Deadline: time.Now().Add(time.Hour)}} {
			var asking sync.WaitGroup
			for range 100 {
				asking.Go(func() {
					_, err := actors.Ask(within(t, time.Second), p.Ref(), func(r actors.Reply[*Lease]) ToPool {
						return ToPool{Acquire: m, Reply: r}
					})
					require.ErrorIs(t, err, context.DeadlineExceeded)
				})
			}
			synctest.Wait()
			require.Equal(t, 100, p.Stat().Waiting, name)
			asking.Wait()
			synctest.Wait()
			require.Zero(t, p.Stat().Waiting, name)
		}
		l.Release()
	})
}

func TestEventsTellWhatHappens(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		events := p.Events(t.Context())
		await := func(kind EventKind) Event {
			t.Helper()
			for e := range events {
				if e.Kind == kind {
					return e
				}
			}
			t.Fatalf("no event %s", kind)
			return Event{}
		}
		require.NoError(t, p.WaitReady(t.Context()))
		require.NotZero(t, await(EventOpened).PID)
		server.Stop()
		pass(2 * time.Second)
		go func() { _, _ = p.Exec(within(t, time.Minute), "select 1") }()
		require.Error(t, await(EventOutage).Err)
		server.Start()
		require.Positive(t, await(EventRecovered).Took)
		synctest.Wait()
	})
}

// A pool that nobody ever ran closes at once, and never runs.
func TestCloseBeforeRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := fakepg.New()
		defer server.Close()
		p, err := New(fakeConfig(server))
		require.NoError(t, err)
		require.NoError(t, p.Close())
		<-p.Done()
		_, err = p.Acquire(t.Context())
		require.ErrorIs(t, err, ErrClosed)
		require.Error(t, p.start(t.Context()))
	})
}

// An audit leaves what is being checked out of the stack; it is unused all the same, and nothing is dialled in its place.
func TestMinIdleCountsWhatIsBeingChecked(t *testing.T) {
	p, l := still(t, 4)
	p.cfg.MinIdle = 2
	put(p, 0, checking)
	put(p, 1, resting)
	l.audit()
	require.Zero(t, l.view(time.Now(), messages.Outage{}, 0).orders())
	put(p, 0, leased)
	require.Equal(t, 1, l.view(time.Now(), messages.Outage{}, 0).orders())
}
