//go:build failpoint

package poolactor

import (
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
