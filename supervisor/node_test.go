package supervisor_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

func TestRestartsWithin(t *testing.T) {
	now := time.Unix(1e9, 0)
	n := supervisor.Node{RestartedAt: []time.Time{now.Add(-20 * time.Second), now.Add(-10 * time.Second), now.Add(-9 * time.Second), now}}
	require.Equal(t, 2, n.RestartsWithin(10*time.Second, now), "what is ten seconds old is out")
	require.Equal(t, 4, n.RestartsWithin(time.Minute, now))
	require.Zero(t, supervisor.Node{}.RestartsWithin(time.Minute, now))
}

func TestFlapping(t *testing.T) {
	const window = 10 * time.Second
	begin := time.Unix(1e9, 0)
	node := func(seconds ...float64) supervisor.Node {
		var n supervisor.Node
		for _, s := range seconds {
			n.RestartedAt = append(n.RestartedAt, begin.Add(time.Duration(s*float64(time.Second))))
		}
		return n
	}
	for name, c := range map[string]struct {
		node supervisor.Node
		at   float64
		want bool
	}{
		"none":                               {node(), 0, false},
		"four in the window":                 {node(0, 1, 2, 3), 3, false},
		"five in the window":                 {node(0, 1, 2, 3, 4), 4, true},
		"five, just within":                  {node(0, 1, 2, 3, 9.9), 9.9, true},
		"five, just not within":              {node(0, 1, 2, 3, 10), 10, false},
		"until the window was clean":         {node(0, 1, 2, 3, 4), 13.9, true},
		"and not longer":                     {node(0, 1, 2, 3, 4), 14, false},
		"single ones prolong it":             {node(0, 1, 2, 3, 4, 13, 22, 31), 40.9, true},
		"but do not start it":                {node(0, 1, 2, 3, 4, 14, 23, 32), 32, false},
		"older than the clean window: no":    {node(0, 1, 2, 3, 4, 20), 21, false},
		"newer storm after a clean window":   {node(0, 1, 20, 21, 22, 23, 24), 25, true},
		"storms that overlap the window end": {node(0, 6, 7, 8, 9, 10.5), 12, true},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, c.node.Flapping(5, window, begin.Add(time.Duration(c.at*float64(time.Second)))))
		})
	}
	require.True(t, node(0).Flapping(0, window, begin), "less than one restart is one")
}

// Flapping is told from the stamps alone. A readiness check that watched all the time must come to the same result.
func TestFlappingIsWhatAWatcherWouldSay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const window = 10
		limit := rapid.IntRange(1, 6).Draw(t, "limit")
		stamps := rapid.SliceOfN(rapid.IntRange(0, 90), 0, 40).Draw(t, "stamps")
		slices.Sort(stamps)
		begin := time.Unix(1e9, 0)
		second := func(s int) time.Time { return begin.Add(time.Duration(s) * time.Second) }
		var n supervisor.Node
		flapping := false
		for now := range 120 {
			if n.RestartsWithin(window*time.Second, second(now)) == 0 { // clean, before anything new happens
				flapping = false
			}
			for len(stamps) > 0 && stamps[0] == now {
				n.RestartedAt = append(n.RestartedAt, second(now))
				stamps = stamps[1:]
			}
			flapping = flapping || n.RestartsWithin(window*time.Second, second(now)) >= limit
			require.Equal(t, flapping, n.Flapping(limit, window*time.Second, second(now)), "at second %d", now)
		}
	})
}
