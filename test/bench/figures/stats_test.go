package figures_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/test/bench/figures"
)

func TestASpreadIsMedianLeastAndLargest(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   figures.Spread
	}{
		{[]float64{7}, figures.Spread{Median: 7, Low: 7, High: 7}},
		{[]float64{9, 1}, figures.Spread{Median: 5, Low: 1, High: 9}},
		{[]float64{5, 100, 1, 2, 3}, figures.Spread{Median: 3, Low: 1, High: 100}},
	} {
		before := append([]float64(nil), c.values...)
		require.Equal(t, c.want, figures.SpreadOf(c.values))
		require.Equal(t, before, c.values, "the values are left as they are")
	}
	require.True(t, math.IsNaN(figures.SpreadOf(nil).Median))
}

func TestAQuantileIsOneOfTheValues(t *testing.T) {
	values := make([]float64, 100)
	for i := range values {
		values[len(values)-1-i] = float64(i + 1)
	}
	for q, want := range map[float64]float64{0: 1, 0.01: 1, 0.5: 50, 0.99: 99, 0.999: 100, 1: 100} {
		require.InDelta(t, want, figures.Quantile(values, q), 0, "%v", q)
	}
	require.InDelta(t, 100, values[0], 0, "the values are left as they are")
	require.True(t, math.IsNaN(figures.Quantile(nil, 0.5)))
}
