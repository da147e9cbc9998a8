package figures

import "fmt"

// Worse says in one line each which ratios of a run are worse than those of an earlier one by more than a part of them:
// tolerance 0.15 lets a ratio of 0.60 become 0.69, and one of 3 fall to 2.61. Rows and bounds that one of both does not
// have are passed over, and so are figures that are no ratios: they are the machine's.
func Worse(earlier, now *Report, tolerance float64) (warnings []string) {
	before := map[string]Verdict{}
	for _, o := range earlier.Outcomes {
		for _, v := range o.Verdicts() {
			before[o.key(v)] = v
		}
	}
	for _, o := range now.Outcomes {
		for _, v := range o.Verdicts() {
			then, known := before[o.key(v)]
			if !known || then.Rounds == 0 || v.Rounds == 0 || v.Bound.Over == "" {
				continue
			}
			if worsened(then, v) > tolerance {
				warnings = append(warnings, fmt.Sprintf("%s: %s of %s is %.2f × that of %s, it was %.2f × (bound %s)",
					o.Title, v.Measure, v.Of, v.Median, v.Bound.Over, then.Median, v.Bound))
			}
		}
	}
	return warnings
}

func (o Outcome) key(v Verdict) string {
	return fmt.Sprint(o.ID, "|", v.Of, "|", v.Measure, "|", v.Bound.Over)
}

// worsened is by which part of it a ratio became worse; negative if it became better.
func worsened(then, now Verdict) float64 {
	if now.Least {
		return 1 - quotient(now.Median, then.Median)
	}
	return quotient(now.Median, then.Median) - 1
}
