package health_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed-4ff2b7b9/supervised/actors/health"
)

func TestJudge(t *testing.T) {
	now := time.Now()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	for name, c := range map[string]struct {
		sign      health.Sign
		lastDeath time.Time
		want      health.Verdict
	}{
		"first death":              {health.Death, time.Time{}, health.LookAll},
		"death alone":              {health.Death, ago(101 * time.Millisecond), health.LookAll},
		"two deaths":               {health.Death, ago(100 * time.Millisecond), health.Distrust},
		"two at once":              {health.Death, now, health.Distrust},
		"two, told the other way":  {health.Death, ago(-50 * time.Millisecond), health.Distrust},
		"timeout":                  {health.Timeout, time.Time{}, health.Distrust},
		"timeout after a death":    {health.Timeout, ago(time.Second), health.Distrust},
		"own":                      {health.Own, now, health.Nothing},
		"none":                     {health.None, now, health.Nothing},
		"read only after a death":  {health.ReadOnly, now, health.Nothing},
		"an unknown sign is quiet": {health.Sign(99), now, health.Nothing},
	} {
		require.Equal(t, c.want, health.Judge(c.sign, now, c.lastDeath), name)
	}
}

func TestJudgeProperties(t *testing.T) {
	origin := time.Now()
	rapid.Check(t, func(t *rapid.T) {
		sign := health.Sign(rapid.IntRange(0, 6).Draw(t, "sign"))
		now := origin.Add(time.Duration(rapid.Int64Range(-1e10, 1e10).Draw(t, "now")))
		last := now.Add(time.Duration(rapid.Int64Range(-2e8, 2e8).Draw(t, "last")))
		verdict := health.Judge(sign, now, last)

		require.Equal(t, sign == health.Death || sign == health.Timeout, verdict != health.Nothing)
		if sign == health.Death {
			require.Equal(t, now.Sub(last).Abs() <= health.DeathsTogether, verdict == health.Distrust)
			require.Equal(t, verdict, health.Judge(sign, last, now), "the order of two deaths does not matter")
		}
		require.NotEqual(t, health.Distrust, health.Judge(health.Death, now, time.Time{}))
	})
}

func TestBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		timeout := time.Duration(rapid.Int64().Draw(t, "timeout"))
		lastGood := time.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "last good"))
		bound := health.Bound(timeout, lastGood)
		require.GreaterOrEqual(t, bound, timeout)
		require.GreaterOrEqual(t, bound, lastGood)
		require.True(t, bound == timeout || bound == math.MaxInt64 || bound == 4*lastGood)
	})
	require.Equal(t, time.Duration(math.MaxInt64), health.Bound(time.Second, math.MaxInt64/4+1), "no overflow")
	require.Equal(t, time.Second, health.Bound(time.Second, 0))
	require.Equal(t, time.Second, health.Bound(time.Second, 250*time.Millisecond))
	require.Equal(t, 1200*time.Millisecond, health.Bound(time.Second, 300*time.Millisecond))
}
