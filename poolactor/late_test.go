//go:build failpoint

package poolactor

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

// A machine that is busy runs a caller long after its check was answered. What died meanwhile does not reach it.
func TestAnAnswerThatWaitedIsLookedAtAgain(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize, c.Health.Interval = 1, -1 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		require.NoError(t, p.WaitReady(t.Context()))
		pass(2 * time.Second) // long enough for SELECT 1
		answered := 0
		hooked(t, func(name string) {
			if name != "caller.answered" {
				return
			}
			if answered++; answered == 1 {
				server.Kill(server.PIDs()[0])
				pass(2 * time.Millisecond)
			}
		})
		require.Equal(t, 1, one(t, within(t, time.Minute), p, "select 1"))
		require.Equal(t, 1, answered, "the next connection is new and needs no check")
		require.EqualValues(t, 1, p.Stat().FailedCheck)
		require.Equal(t, 2, server.Dials())
	})
}

// News that come after a call has looked at what is known, and before it waits, reach it all the same.
func TestNewsAtTheLastInstantReachWhoBeginsToWait(t *testing.T) {
	cause := errors.New("refused")
	inMemory(t, func(c *Config) { c.MaxSize = 1 }, func(t *testing.T, p *Pool, _ *fakepg.Server) {
		l := acquired(t, p)
		hooked(t, func(mark string) {
			if mark == "caller.joined" {
				p.cohorts.failAll(cause, 0, false)
			}
		})
		began := time.Now()
		_, err := p.Acquire(within(t, time.Minute))
		require.ErrorIs(t, err, cause)
		require.Zero(t, time.Since(began))
		l.Release()
	})
}
