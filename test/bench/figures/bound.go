package figures

import (
	"fmt"
	"math"
)

// Figures are what one contestant showed in one turn.
type Figures map[Measure]float64

// Round is one turn of each contestant, by name.
type Round map[string]Figures

// Bound is what is promised of a contestant's measure, either as it is or as a ratio to another's of the same round.
type Bound struct {
	Of      string  `json:"of"`
	Measure Measure `json:"measure"`
	Over    string  `json:"over,omitempty"`  // whose figure it is divided by; empty: nobody's
	Least   bool    `json:"least,omitempty"` // the limit is a lower one
	Limit   float64 `json:"limit"`
}

// AtMost is an upper bound of the ratio to somebody else's figure.
func AtMost(of string, m Measure, limit float64, over string) Bound {
	return Bound{Of: of, Measure: m, Over: over, Limit: limit}
}

// AtLeast is a lower bound of the ratio to somebody else's figure.
func AtLeast(of string, m Measure, limit float64, over string) Bound {
	return Bound{Of: of, Measure: m, Over: over, Least: true, Limit: limit}
}

// Under is an upper bound of the figure itself.
func Under(of string, m Measure, limit float64) Bound {
	return Bound{Of: of, Measure: m, Limit: limit}
}

// Over is a lower bound of the figure itself.
func Over(of string, m Measure, limit float64) Bound {
	return Bound{Of: of, Measure: m, Limit: limit, Least: true}
}

// String writes the limit.
func (b Bound) String() string {
	sign := "≤"
	if b.Least {
		sign = "≥"
	}
	if b.Over != "" {
		return fmt.Sprintf("%s %.2f × %s", sign, b.Limit, b.Over)
	}
	return sign + " " + b.Measure.Format(b.Limit)
}

// values are what the bound is about, one of each round that has it.
func (b Bound) values(rounds []Round) []float64 {
	var values []float64
	for _, r := range rounds {
		v, ok := r[b.Of][b.Measure]
		if !ok {
			continue
		}
		if b.Over != "" {
			base, ok := r[b.Over][b.Measure]
			if !ok {
				continue
			}
			v = quotient(v, base)
		}
		values = append(values, v)
	}
	return values
}

// quotient is a ratio in which nothing against nothing is a draw.
func quotient(v, base float64) float64 {
	if v == 0 && base == 0 {
		return 1
	}
	return v / base
}

// Verdict is a bound held against what was measured.
type Verdict struct {
	Bound
	Spread
	Rounds int // that were judged; 0: the contestant was not there
}

// Judge holds a bound against rounds.
func (b Bound) Judge(rounds []Round) Verdict {
	values := b.values(rounds)
	return Verdict{Bound: b, Spread: SpreadOf(values), Rounds: len(values)}
}

// Inside tells whether the median keeps the bound.
func (v Verdict) Inside() bool { return v.Rounds > 0 && v.keeps(v.Median) }

// Clear tells whether each single round keeps it.
func (v Verdict) Clear() bool { return v.Rounds > 0 && v.keeps(v.Low) && v.keeps(v.High) }

func (v Verdict) keeps(x float64) bool {
	if math.IsNaN(x) {
		return false
	}
	if v.Least {
		return x >= v.Limit
	}
	return x <= v.Limit
}

// Word is the verdict for a table.
func (v Verdict) Word() string {
	switch {
	case v.Rounds == 0:
		return "not measured"
	case v.Clear():
		return "inside"
	case v.Inside():
		return "inside (not in every round)"
	default:
		return "**outside**"
	}
}

// Share is how much of what the bound allows was used: up to 1 it is kept, whichever way it points.
func (v Verdict) Share() Spread {
	if v.Least {
		return Spread{quotient(v.Limit, v.Median), quotient(v.Limit, v.High), quotient(v.Limit, v.Low)}
	}
	if v.Limit == 0 {
		return Spread{v.Median + 1, v.Low + 1, v.High + 1}
	}
	return Spread{v.Median / v.Limit, v.Low / v.Limit, v.High / v.Limit}
}

// text writes the spread of the ratio, or of the figure itself.
func (v Verdict) text() string {
	if v.Rounds == 0 {
		return ""
	}
	if v.Bound.Over != "" {
		return fmt.Sprintf("**%.2f** (%.2f–%.2f)", v.Median, v.Low, v.High)
	}
	f := v.Measure.Format
	return fmt.Sprintf("**%s** (%s–%s)", f(v.Median), f(v.Low), f(v.High))
}
