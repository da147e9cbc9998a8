package supervisor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// policies draws policies as they are after their defaults were filled in.
func policies() *rapid.Generator[Restart] {
	return rapid.Custom(func(t *rapid.T) Restart {
		r := Restart{
			Initial:   time.Duration(rapid.Int64Range(1, int64(time.Minute)).Draw(t, "initial")),
			Immediate: rapid.Bool().Draw(t, "immediate"),
			Intensity: rapid.IntRange(-1, 12).Draw(t, "intensity"),
			Within:    time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "within")),
		}
		r.Max = r.Initial * time.Duration(rapid.IntRange(1, 5000).Draw(t, "max"))
		return r.withDefaults()
	})
}

func TestDelaysStayWithinTheirBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := policies().Draw(t, "policy")
		failures := rapid.IntRange(0, 200).Draw(t, "failures")
		delay := r.delay(failures, rapid.Float64Range(0, 1).Draw(t, "random"))
		full := r.delay(failures, 0)
		require.LessOrEqual(t, delay, full)
		require.GreaterOrEqual(t, delay, full-full/5-1, "chance takes away a fifth at most")
		require.LessOrEqual(t, full, r.Max)
		switch {
		case r.Immediate && failures == 0:
			require.Zero(t, full)
		case r.Immediate && failures == 1, !r.Immediate && failures == 0:
			require.Equal(t, r.Initial, full)
		default:
			require.Equal(t, min(2*r.delay(failures-1, 0), r.Max), full)
		}
	})
}

// However the failures of a child are spread, it escalates exactly when the restarts of its window are used up.
func TestEscalationIsExactlyTheUsedUpWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := policies().Draw(t, "policy")
		var c course
		var restarts []time.Time // all of them
		now := time.Unix(1e9, 0)
		for range rapid.IntRange(1, 60).Draw(t, "failures") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(20*time.Second)).Draw(t, "gap")))
			if rapid.Bool().Draw(t, "healthy") {
				require.Equal(t, c.failures > 0, c.healthy())
				require.Zero(t, c.failures)
			}
			inWindow, oldest := 0, time.Time{}
			for _, at := range restarts {
				if now.Sub(at) < r.Within {
					if inWindow++; inWindow == 1 {
						oldest = at
					}
				}
			}
			_, escalate := c.failed(r, now, 0)
			require.Equal(t, r.Intensity > 0 && inWindow >= r.Intensity, escalate)
			if escalate {
				require.Equal(t, oldest, c.began())
				c, restarts = course{}, nil
				continue
			}
			restarts = append(restarts, now)
			require.LessOrEqual(t, len(c.restarts), max(r.Intensity, 0), "it remembers no more than it needs")
		}
	})
}

func TestTheDefaultPolicy(t *testing.T) {
	require.Equal(t, Restart{
		Initial: 20 * time.Millisecond, Max: 30 * time.Second, HealthyAfter: 30 * time.Second, Intensity: 10, Within: time.Minute,
	}, Restart{}.withDefaults())
	require.Equal(t, time.Minute, Restart{Initial: time.Minute}.withDefaults().Max, "a long Initial needs no Max")
	require.Equal(t, -1, Restart{Intensity: -1}.withDefaults().Intensity)

	var c course
	now := time.Unix(1e9, 0)
	failures := 0
	for escalate := false; !escalate; failures++ {
		var delay time.Duration
		delay, escalate = c.failed(Restart{}.withDefaults(), now, 0)
		now = now.Add(delay)
	}
	require.Equal(t, 11, failures, "a child that always fails escalates, although its delays grow all the time")
	require.Less(t, now.Sub(time.Unix(1e9, 0)), 21*time.Second)
}
