package actors_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed-4ff2b7b9/supervised/actors"
)

func TestBackoff(t *testing.T) {
	const ms, longest = time.Millisecond, time.Duration(math.MaxInt64)
	for _, c := range []struct {
		initial, ceiling time.Duration
		attempt          int
		jitter           float64
		want             time.Duration
	}{
		{500 * ms, 30 * time.Second, 0, 0, 500 * ms},
		{500 * ms, 30 * time.Second, 1, 0, time.Second},
		{500 * ms, 30 * time.Second, 5, 0, 16 * time.Second},
		{500 * ms, 30 * time.Second, 6, 0, 30 * time.Second},
		{500 * ms, 30 * time.Second, math.MaxInt, 0, 30 * time.Second},
		{500 * ms, 30 * time.Second, 2, 0.25, 1500 * ms},
		{500 * ms, 30 * time.Second, 9, 0.5, 15 * time.Second},
		{500 * ms, 30 * time.Second, -1, 0, 500 * ms},
		{500 * ms, 30 * time.Second, math.MinInt, 0, 500 * ms},
		{500 * ms, 30 * time.Second, 0, 1, 0},
		{500 * ms, 30 * time.Second, 0, 7, 0},
		{500 * ms, 30 * time.Second, 0, -1, 500 * ms},
		{500 * ms, 30 * time.Second, 0, math.NaN(), 500 * ms},
		{0, 30 * time.Second, 3, 0, 0},
		{-1, 30 * time.Second, 3, 0, 0},
		{time.Minute, time.Second, 0, 0, time.Second},
		{time.Minute, 0, 1, 0, 2 * time.Minute},
		{time.Minute, -1, 62, 0, longest},
		{1, 0, 62, 0, 1 << 62},
		{1, 0, 63, 0, longest},
		{1, 0, 64, 0, longest},
		{longest, longest, 1, math.Nextafter(1, 0), 0},
	} {
		got := actors.Backoff(c.initial, c.ceiling, c.attempt, c.jitter)
		if c.initial == longest { // rounding
			require.Less(t, got, time.Hour)
			continue
		}
		require.Equal(t, c.want, got, "%+v", c)
	}
}

// TestBackoffProperties: within its bounds for any input, growing with the attempt, shrinking with the jitter.
func TestBackoffProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		initial := time.Duration(rapid.Int64().Draw(t, "initial"))
		ceiling := time.Duration(rapid.Int64().Draw(t, "ceiling"))
		attempt := rapid.IntRange(-3, 200).Draw(t, "attempt")
		jitter := rapid.Float64().Draw(t, "jitter")
		got := actors.Backoff(initial, ceiling, attempt, jitter)
		if got < 0 || ceiling > 0 && got > ceiling {
			t.Fatalf("%v is out of bounds", got)
		}
		full := actors.Backoff(initial, ceiling, attempt, 0)
		if got > full {
			t.Fatalf("jitter made %v of %v", got, full)
		}
		if next := actors.Backoff(initial, ceiling, attempt+1, 0); next < full || attempt >= 0 && next > full && next/2 > full {
			t.Fatalf("%v follows %v", next, full)
		}
	})
}
