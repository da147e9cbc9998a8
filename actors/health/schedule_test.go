package health

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed-4ff2b7b9/supervised/messages"
)

var origin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func drawTime(t *rapid.T, name string) time.Time {
	return origin.Add(time.Duration(rapid.Int64Range(0, int64(2*time.Minute)).Draw(t, name)))
}

func drawConfig(t *rapid.T) Config {
	duration := rapid.SampledFrom([]time.Duration{-1, 0, 10 * time.Millisecond, time.Second, 40 * time.Second})
	return Config{
		Interval:       duration.Draw(t, "interval"),
		ScoutEvery:     duration.Draw(t, "every"),
		ScoutSlow:      duration.Draw(t, "slow"),
		ScoutSlowAfter: duration.Draw(t, "slow after"),
	}.withDefaults()
}

func TestNextScoutProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		config, now, last := drawConfig(t), drawTime(t, "now"), drawTime(t, "last")
		outage := messages.Outage{Since: drawTime(t, "since"), Refused: rapid.Bool().Draw(t, "refused")}
		waiting := rapid.Bool().Draw(t, "waiting")
		next := config.nextScout(now, last, outage, waiting)

		require.True(t, config.nextScout(now, last, messages.Outage{}, waiting).IsZero(), "no outage, no scout")
		if next.IsZero() {
			require.True(t, outage.Refused || config.ScoutSlow < 0)
			return
		}
		require.False(t, outage.Refused)
		least := config.ScoutSlow
		if config.ScoutEvery > 0 && (least < 0 || config.ScoutEvery < least) {
			least = config.ScoutEvery
		}
		require.GreaterOrEqual(t, next.Sub(last), least, "two scouts keep their distance")
		require.GreaterOrEqual(t, next.Sub(outage.Since), least, "also from the attempt that began the outage")
		if !waiting {
			require.Equal(t, next, config.nextScout(now.Add(time.Hour), last, outage, false), "without waiters age changes nothing")
		}
		require.Equal(t, next, config.nextScout(now, last, outage, waiting), "asking changes nothing")
	})
}

// TestScoutBudget walks the schedule with any waiters and any delay of the wake-ups: never more than 67 scouts in 5 s.
func TestScoutBudget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		config := Config{}.withDefaults()
		outage := messages.Outage{Since: origin}
		var scouts []time.Time
		now, last := origin, time.Time{}
		for range rapid.IntRange(50, 600).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(100*time.Millisecond)).Draw(t, "step")))
			waiting := rapid.Bool().Draw(t, "waiting")
			if next := config.nextScout(now, last, outage, waiting); !next.IsZero() && !next.After(now) {
				scouts, last = append(scouts, now), now
			}
		}
		for i, first := range scouts {
			within := 0
			for _, at := range scouts[i:] {
				if at.Sub(first) < 5*time.Second {
					within++
				}
			}
			require.LessOrEqual(t, within, 67)
		}
	})
}

func TestNextRound(t *testing.T) {
	config := Config{}.withDefaults()
	require.Equal(t, origin.Add(500*time.Millisecond), config.nextRound(origin))
	require.Equal(t, origin.Add(-250*time.Millisecond), config.unprovedSince(origin))
	config.Interval = -1
	require.True(t, config.nextRound(origin).IsZero())
}

func TestEarlier(t *testing.T) {
	soon, late := origin, origin.Add(1)
	require.Equal(t, soon, earlier(soon, late))
	require.Equal(t, soon, earlier(late, soon))
	require.Equal(t, late, earlier(late, time.Time{}))
	require.Equal(t, late, earlier(time.Time{}, late))
	require.True(t, earlier(time.Time{}, time.Time{}).IsZero())
}

func TestConfigKeepsWhatIsSet(t *testing.T) {
	set := Config{Interval: 1, Timeout: 2, Parallel: 3, ScoutEvery: 4, ScoutSlow: 5, ScoutSlowAfter: -6}
	require.Equal(t, set, set.withDefaults())
}
