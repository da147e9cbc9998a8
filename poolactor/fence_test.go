package poolactor

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

// Whoever finds that the lease is over leaves the fence of a statement that still runs where it is.
func TestAFenceIsLoweredByWhoRaisedIt(t *testing.T) {
	p, _ := still(t, 1)
	put(p, 0, free).claim()
	s := p.all()[0]
	l := &Lease{gen: s.word.Load().gen()}
	l.token.Store(&token{slot: s, tid: s.word.Load().tid()})
	s.use.Store(l.gen << 1)
	_, err := l.begin()
	require.NoError(t, err, "a statement runs")
	require.True(t, s.revoke(l.gen))
	_, err = l.begin()
	require.ErrorIs(t, err, ErrRevoked)
	require.Equal(t, l.gen<<1|1, s.use.Load(), "it still does")
}

// A look is a check that has just begun, however long ago the last one was.
func TestALookIsNoSilence(t *testing.T) {
	inMemory(t, func(c *Config) { c.Health.Interval = -1 }, func(t *testing.T, p *Pool, _ *fakepg.Server) {
		require.NoError(t, p.WaitReady(t.Context()))
		pass(10 * time.Minute)
		require.Zero(t, patients{p}.Look())
		require.Equal(t, p.now(), p.all()[0].tended.Load())
		synctest.Wait()
	})
}

// A hook that ends the goroutine of a check costs its connection, and not its place.
func TestAHookThatEndsACheck(t *testing.T) {
	var ends atomic.Bool
	change := func(c *Config) {
		c.MaxSize, c.Health.Interval = 1, -1
		c.ConnConfig.ValidateConnect = func(context.Context, *pgconn.PgConn) error {
			if ends.Swap(false) {
				runtime.Goexit()
			}
			return nil
		}
	}
	inMemory(t, change, func(t *testing.T, p *Pool, server *fakepg.Server) {
		require.NoError(t, p.WaitReady(t.Context()))
		ends.Store(true)
		p.gate.distrust(p.gate.Load())
		acquired(t, p).Release()
		require.False(t, ends.Load(), "it was asked")
		require.Equal(t, 2, server.Dials())
	})
}

// A suspension whose time ends says what is out, a session that is being made fit included.
func TestASuspensionSaysWhatIsOut(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize = 2 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		changed, other := acquired(t, p), acquired(t, p)
		_, err := changed.Exec(t.Context(), "set work_mem = '1MB'")
		require.NoError(t, err)
		server.Delay(500 * time.Millisecond)
		changed.Release()
		var suspended *SuspendError
		require.ErrorAs(t, p.Suspend(within(t, 100*time.Millisecond)), &suspended)
		require.ErrorIs(t, suspended, context.DeadlineExceeded)
		require.Len(t, suspended.Holders, 1)
		require.Equal(t, 1, suspended.Cleaning)
		require.ErrorContains(t, suspended, "(1 leased, 1 being cleaned); nothing is handed out before Resume")
		other.Release()
		pass(10 * time.Millisecond)
		require.ErrorAs(t, p.Suspend(within(t, 100*time.Millisecond)), &suspended)
		require.Empty(t, suspended.Holders)
		require.NoError(t, p.Suspend(t.Context()))
		server.Delay(0)
		pass(time.Second)
		require.NoError(t, p.Resume())
		require.NoError(t, p.Close())
		require.ErrorIs(t, p.Suspend(t.Context()), ErrClosed)
	})
}

func TestTheEventsOfAPoolThatNeverRanEnd(t *testing.T) {
	server := fakepg.New()
	defer server.Close()
	p, err := New(fakeConfig(server))
	require.NoError(t, err)
	events := p.Events(t.Context())
	require.NoError(t, p.Close())
	_, open := <-events
	require.False(t, open)
}

// What was offered while an audit gave new tokens does not stay in the way of the next caller.
func TestAnAuditLeavesNoStaleOffer(t *testing.T) {
	p, l := still(t, 1)
	old := put(p, 0, free)
	l.audit()
	p.ready <- old
	l.settle()
	_, claimed := (<-p.ready).claim()
	require.True(t, claimed)
}
