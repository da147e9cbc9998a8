package actors

import (
	"math"
	"time"
)

// Backoff is the delay before a retry: initial doubled attempt times, but at most ceiling, then shortened by the
// fraction jitter of itself, so that many who failed together do not return together.
//
// The first retry is attempt 0. Backoff is a pure function: the caller draws the jitter, say uniformly from [0, 0.2)
// for delays between 80 and 100 % of the full one; 0 gives the full one.
//
// No input overflows or panics: a negative attempt counts as 0, an initial that is not positive gives 0, a ceiling that
// is not positive is none (the delay then ends at the longest Duration, 292 years), and a jitter outside [0, 1] counts
// as the nearer bound, NaN as 0.
func Backoff(initial, ceiling time.Duration, attempt int, jitter float64) time.Duration {
	if initial <= 0 {
		return 0
	}
	if ceiling <= 0 {
		ceiling = math.MaxInt64
	}
	delay := ceiling
	if attempt = max(attempt, 0); attempt < 63 && initial <= ceiling>>attempt {
		delay = initial << attempt
	}
	switch {
	case jitter > 0 && jitter < 1:
		return delay - time.Duration(jitter*float64(delay))
	case jitter >= 1:
		return 0
	default: // 0, negative, NaN
		return delay
	}
}
