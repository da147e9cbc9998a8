// Package figures is the arithmetic of the benchmarks: medians, ratios of what was measured side by side, bounds and
// whether they were kept, and the tables that tell of it. It measures nothing.
package figures

import (
	"math"
	"slices"
)

// Quantile is the value that the fraction q of all values does not exceed; NaN if there are none. The values are left as
// they are.
func Quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	at := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(at, 0), len(sorted)-1)]
}

// Spread is where values lie: the median, and the least and the largest, which five rounds do not let anybody trim.
type Spread struct{ Median, Low, High float64 }

// SpreadOf sums values up. The median of an even number is the mean of the two in the middle.
func SpreadOf(values []float64) Spread {
	if len(values) == 0 {
		return Spread{math.NaN(), math.NaN(), math.NaN()}
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return Spread{Median: (sorted[(n-1)/2] + sorted[n/2]) / 2, Low: sorted[0], High: sorted[n-1]}
}
