package poolactor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

func TestContactTellsWhoStillAnswers(t *testing.T) {
	inMemory(t, func(c *Config) { c.MinSize = 2; c.MaxIdleTime = -1 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		require.NoError(t, p.WaitReady(within(t, time.Second)))
		pass(2 * time.Second)
		c := p.Contact()
		require.Equal(t, 2, c.Open)
		require.Equal(t, 2, c.Verified)
		require.WithinDuration(t, time.Now(), c.Alive, time.Second, "the rounds of checks keep it fresh")

		frozen := time.Now()
		server.Freeze()
		pass(2 * time.Second)
		c = p.Contact()
		require.Equal(t, 2, c.Open, "silence closes nothing")
		require.Zero(t, c.Verified)
		require.WithinDuration(t, frozen, c.Alive, time.Second)

		server.Thaw()
		pass(2 * time.Second)
		require.Positive(t, p.Contact().Verified)

		server.Stop()
		pass(2 * time.Second)
		require.Equal(t, Contact{}, p.Contact())
		server.Start()
	})
}
