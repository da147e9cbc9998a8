//go:build failpoint

package poolactor

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/failpoint"
	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

// overdueLife is a history of one lease that is held for too long, with a panic at one of the janitor's hits: whatever the
// janitor was doing, the lease is told about once, taken away once, and its place serves the next caller.
func overdueLife(t *testing.T, panicAt int64) (hits int64) {
	var n atomic.Int64
	hooked(t, func(name string) {
		if strings.HasPrefix(name, "janitor.") && n.Add(1) == panicAt {
			panic(fmt.Sprintf("injected at %s (hit %d)", name, panicAt))
		}
	})
	change := func(c *Config) { c.MaxSize, c.LeaseWarnAfter, c.LeaseMaxAge = 1, 2*time.Second, 6*time.Second }
	inMemory(t, change, func(t *testing.T, p *Pool, server *fakepg.Server) {
		told := heard(t, p, EventOverdue, EventRevoked)
		l, err := p.Acquire(WithLabel(t.Context(), "stubborn"))
		require.NoError(t, err)
		pid := server.PIDs()[0]
		running := make(chan error, 1)
		go func() {
			_, err := l.Exec(t.Context(), "select pg_sleep(60)")
			running <- err
		}()
		next := parked(t.Context(), p)
		began := time.Now()
		require.ErrorIs(t, <-running, ErrRevoked)
		(<-next).Release()
		require.LessOrEqual(t, time.Since(began), 10*time.Second, "the next round, or that of the janitor's next life")
		pass(3 * time.Second)
		require.Zero(t, stay(server, []uint32{pid}))
		require.Len(t, told(), 2)
		for i, kind := range []EventKind{EventOverdue, EventRevoked} {
			require.Equal(t, kind, told()[i].Kind)
			require.Equal(t, "stubborn", told()[i].Label)
			require.Equal(t, pid, told()[i].PID)
		}
		hits = n.Load()
		l.Release()
	})
	return hits
}

func TestAnOldLeaseWithAPanicAtEveryHitOfTheJanitor(t *testing.T) {
	total := overdueLife(t, 0)
	require.Greater(t, total, int64(8))
	for at := int64(1); at <= total; at++ {
		if !t.Run(fmt.Sprint(at), func(t *testing.T) { overdueLife(t, at) }) {
			break
		}
	}
}

// The pool actor need not be up for any of it; only the next caller waits for its next life.
func TestAnOldLeaseIsTakenAwayWhileTheActorIsDown(t *testing.T) {
	var down atomic.Bool
	hooked(t, func(name string) {
		if down.Load() && name == "actor.woken" {
			panic("injected")
		}
	})
	change := func(c *Config) {
		c.MaxSize, c.LeaseWarnAfter, c.LeaseMaxAge = 1, 5*time.Second, 10*time.Second
		c.Supervision.Pool = supervisor.Restart{Initial: time.Minute, Max: time.Minute, HealthyAfter: time.Hour}
	}
	inMemory(t, change, func(t *testing.T, p *Pool, server *fakepg.Server) {
		told := heard(t, p, EventOverdue, EventRevoked)
		l := acquired(t, p)
		down.Store(true)
		p.wake()
		synctest.Wait()
		crashes := p.actor.Inspect().Crashes
		require.EqualValues(t, 1, crashes)
		down.Store(false)
		began := time.Now()
		_, err := l.Exec(t.Context(), "select pg_sleep(60)")
		require.ErrorIs(t, err, ErrRevoked)
		require.LessOrEqual(t, time.Since(began), 12*time.Second)
		synctest.Wait()
		require.Zero(t, server.Connections(), "it is closed, and what ran on it was cancelled")
		require.Positive(t, server.Cancels())
		require.Len(t, told(), 2)
		lives := p.actor.Inspect().Lives
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		require.Equal(t, 1, one(t, ctx, p, "select 1"))
		require.Greater(t, p.actor.Inspect().Lives, lives, "there was none all the time")
	})
}

// A lease may be taken away while its holder takes the connection out of the pool: what is another's by then stays there.
func TestAHijackBesideARevocation(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize = 1 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		l := acquired(t, p)
		var next *Lease
		rival(t, 1, func() {
			failpoint.Set(nil)
			s := l.token.Load()
			require.Nil(t, s, "its holder has given it up")
			require.True(t, p.all()[0].revoke(l.gen))
			p.startCloser(p.all()[0])
			next = acquired(t, p)
		})
		_, err := l.Hijack()
		require.Equal(t, ErrRevoked, err)
		require.Equal(t, 1, one(t, t.Context(), next, "select 1"))
		require.Equal(t, 1, p.Stat().Leased)
		next.Release()
	})
}
