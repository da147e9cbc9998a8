package retry

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/messages"
)

func TestDefaults(t *testing.T) {
	c := Config{ConnConfig: parsed(t, "host=db.test port=6432 user=app dbname=shop")}.withDefaults()
	require.Equal(t, 10*time.Second, c.ConnectTimeout)
	require.Equal(t, 500*time.Millisecond, c.Initial)
	require.Equal(t, 30*time.Second, c.Max)
	require.Equal(t, 5, c.MaxRetries)
	require.InDelta(t, 0.1, c.Jitter, 0)
	require.Equal(t, 4, c.MaxDials)
	require.Equal(t, messages.Target{Host: "db.test", Port: 6432, Database: "shop", User: "app"}, c.Target)
	require.NotNil(t, c.Dial)
	require.NotNil(t, c.CancelDial)
	require.NotNil(t, c.Lookup)
	c.Logger.Error().Msg("nobody hears this")
}

func TestNegativeMeansOff(t *testing.T) {
	named := messages.Target{Host: "cluster"}
	c := Config{
		ConnConfig: parsed(t, "host=db.test"), Target: named,
		ConnectTimeout: -1, Initial: -1, Max: -1, MaxRetries: -1, Jitter: -1, MaxDials: -1,
	}.withDefaults()
	require.Zero(t, c.ConnectTimeout)
	require.Zero(t, c.MaxRetries)
	require.Zero(t, c.Jitter)
	require.Greater(t, c.MaxDials, 1<<30)
	require.Equal(t, named, c.Target)
	require.Zero(t, schedule{initial: c.Initial, max: c.Max}.wait(9))
	require.Equal(t, 512*time.Second, schedule{initial: time.Second, max: c.Max}.wait(10), "no cap")
}
