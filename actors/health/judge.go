package health

import (
	"math"
	"time"
)

// Verdict is what a pool does about a Sign.
type Verdict int

const (
	// Nothing: the connection's own fate is all there is to it.
	Nothing Verdict = iota
	// LookAll: look at every resting socket now.
	LookAll
	// Distrust: begin a new verification epoch, so that nothing unverified is handed out, and verify all that rest.
	Distrust
)

// String names the verdict for logs.
func (v Verdict) String() string {
	switch v {
	case Nothing:
		return "nothing"
	case LookAll:
		return "look"
	case Distrust:
		return "distrust"
	default:
		return "unknown"
	}
}

// DeathsTogether is how near two deaths must be to mean the server and not a connection: the backends of a killed
// postmaster live on for up to 750 ms, but most of them end in the first tenths of a second.
const DeathsTogether = 100 * time.Millisecond

// Judge says what a sign at the time now means, when the death before it was at lastDeath (zero: there was none). A
// death alone means a look at the others, two within DeathsTogether or a silence mean distrust of all. The rest means
// nothing here: a ReadOnly retires its connection only if the server says that it is a standby.
//
// It is pure. The two times may come from different goroutines, so now may be the earlier one.
func Judge(sign Sign, now, lastDeath time.Time) Verdict {
	switch sign {
	case Timeout:
		return Distrust
	case Death:
		// From the zero time, Sub answers the longest Duration.
		if now.Sub(lastDeath).Abs() <= DeathsTogether {
			return Distrust
		}
		return LookAll
	default:
		return Nothing
	}
}

// Bound is how long a check may take before its connection is suspect: timeout, or four times the last good round trip
// on a link that is slower than that. Without a good one yet (0), it is timeout.
func Bound(timeout, lastGood time.Duration) time.Duration {
	if lastGood > math.MaxInt64/4 {
		return math.MaxInt64
	}
	return max(timeout, 4*lastGood)
}
