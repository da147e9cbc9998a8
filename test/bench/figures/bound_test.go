package figures_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/test/bench/figures"
)

const (
	ours = "ours"
	peer = "peer"
)

// rounds are as many as there are pairs of a figure of ours and one of the peer.
func rounds(m figures.Measure, pairs ...[2]float64) []figures.Round {
	var all []figures.Round
	for _, p := range pairs {
		all = append(all, figures.Round{ours: {m: p[0]}, peer: {m: p[1]}})
	}
	return all
}

func TestARatioIsOneOfTheSameRound(t *testing.T) {
	// The medians of both sides alone would be 20 and 40, a ratio of 0.5.
	v := figures.AtMost(ours, figures.Time, 0.8, peer).Judge(rounds(figures.Time, [2]float64{10, 40}, [2]float64{20, 20}, [2]float64{70, 100}))
	require.Equal(t, figures.Spread{Median: 0.7, Low: 0.25, High: 1}, v.Spread)
	require.True(t, v.Inside())
	require.False(t, v.Clear())
	require.Equal(t, "inside (not in every round)", v.Word())
}

func TestABoundIsKeptUpToItsLimit(t *testing.T) {
	even := rounds(figures.Throughput, [2]float64{98, 100})
	for _, c := range []struct {
		bound  figures.Bound
		inside bool
	}{
		{figures.AtLeast(ours, figures.Throughput, 0.98, peer), true},
		{figures.AtLeast(ours, figures.Throughput, 0.99, peer), false},
		{figures.AtMost(ours, figures.Throughput, 0.98, peer), true},
		{figures.AtMost(ours, figures.Throughput, 0.97, peer), false},
		{figures.Under(ours, figures.Throughput, 98), true},
		{figures.Under(ours, figures.Throughput, 97), false},
		{figures.Over(ours, figures.Throughput, 98), true},
		{figures.Over(ours, figures.Throughput, 99), false},
	} {
		v := c.bound.Judge(even)
		require.Equal(t, c.inside, v.Inside(), "%v", c.bound)
		require.Equal(t, c.inside, v.Share().Median <= 1, "%v uses %v of it", c.bound, v.Share())
		require.Equal(t, c.inside, v.Word() == "inside", "%v", c.bound)
	}
}

func TestNothingAgainstNothingIsADraw(t *testing.T) {
	none := rounds(figures.Dials, [2]float64{0, 0})
	require.True(t, figures.AtMost(ours, figures.Dials, 1, peer).Judge(none).Inside())
	require.False(t, figures.AtMost(ours, figures.Dials, 0.5, peer).Judge(none).Inside())
	require.True(t, figures.Under(ours, figures.Dials, 0).Judge(none).Inside())
}

func TestWhoWasNotThereIsNotJudged(t *testing.T) {
	alone := []figures.Round{{ours: {figures.Time: 1}}}
	v := figures.AtMost(ours, figures.Time, 1, peer).Judge(alone)
	require.Zero(t, v.Rounds)
	require.False(t, v.Inside())
	require.Equal(t, "not measured", v.Word())
	require.True(t, figures.Under(ours, figures.Time, 1).Judge(alone).Inside())
}

func TestAShareOfALowerBoundTurnsTheSpreadRound(t *testing.T) {
	v := figures.AtLeast(ours, figures.Throughput, 2, peer).Judge(rounds(figures.Throughput,
		[2]float64{2, 1}, [2]float64{4, 1}, [2]float64{8, 1}))
	require.Equal(t, figures.Spread{Median: 0.5, Low: 0.25, High: 1}, v.Share())
}

func TestBoundsAndFiguresAreWrittenForPeople(t *testing.T) {
	for want, bound := range map[string]figures.Bound{
		"≤ 0.60 × pgxpool": figures.AtMost(ours, figures.Time, 0.6, "pgxpool"),
		"≥ 3.00 × pgxpool": figures.AtLeast(ours, figures.Throughput, 3, "pgxpool"),
		"≤ 3 µs":           figures.Under(ours, figures.Time, 3000),
		"≤ 100 ms":         figures.Under(ours, figures.First, 1e8),
		"≤ 80":             figures.Under(ours, figures.Dials, 80),
		"≤ 5.0/s":          figures.Under(ours, figures.Wakeups, 5),
		"≥ 0.50":           figures.Over(ours, figures.Least, 0.5),
	} {
		require.Equal(t, want, bound.String())
	}
	for want, v := range map[string]float64{"950 ns": 950, "1.35 µs": 1350, "12.5 ms": 12.5e6, "2.5 s": 2.5e9} {
		require.Equal(t, want, figures.P99.Format(v))
	}
	for want, v := range map[string]float64{"950 /s": 950, "19.7 k/s": 19_734, "1.57 M/s": 1_573_413} {
		require.Equal(t, want, figures.Throughput.Format(v))
	}
}
