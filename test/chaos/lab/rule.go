package lab

// This file is the failure rule by moments and sockets, for faults whose victims are not processes of this machine, or are
// single connections: a backend is known by its PID and its client's socket, and a fault by when the last of its victims had
// died. The rule by processes is internal/judge's.

import (
	"fmt"
	"strings"
	"time"
)

// Backend is one server process, as one connection saw it: a PID may come back after a restart, the socket with it
// does not.
type Backend struct {
	PID    uint32
	Socket string // the client's end, "127.0.0.1:40312"
}

// Call is one call of a workload.
type Call struct {
	Began   time.Time
	Granted time.Time // when it got its lease; zero if it never did
	Ended   time.Time
	Backend Backend // of the lease
	Err     error   // nil: it succeeded
}

// Fault is one moment at which every backend that was alive was doomed.
type Fault struct {
	At time.Time
	// DeadBy is when the last of its backends had died. The backends of a killed postmaster live on for 10 to 750 ms.
	DeadBy time.Time
}

// Grace is how long after a backend's death a call may still be given its connection: a connection that was proved
// within the last millisecond is not looked at, and the judge's clock has a millisecond, too.
const Grace = 2 * time.Millisecond

// Verdict is what the rule says about a run.
type Verdict struct {
	Calls     int
	Failed    int // failures in all
	Permitted int // of those, the ones the rule permits
	Held      int // calls that held a lease at some fault
	Waited    int // calls that waited for a lease at some fault
	Longest   time.Duration
	// Broken lists, for people, the failures that the rule does not permit.
	Broken []string
}

// Kept tells whether the rule was kept.
func (v Verdict) Kept() bool { return len(v.Broken) == 0 }

// String sums the verdict up.
func (v Verdict) String() string {
	s := fmt.Sprintf("%d calls, %d failed, %d permitted, %d held a lease at a fault, %d waited at one, longest %v",
		v.Calls, v.Failed, v.Permitted, v.Held, v.Waited, v.Longest.Round(time.Millisecond))
	if !v.Kept() {
		s += "\n  " + strings.Join(v.Broken, "\n  ")
	}
	return s
}

// Rule judges a run. Calls come in any order.
func Rule(calls []Call, faults []Fault) Verdict {
	v := Verdict{Calls: len(calls)}
	failedOn := map[Backend]int{}
	for _, c := range calls {
		v.Longest = max(v.Longest, c.Ended.Sub(c.Began))
		v.look(c, faults)
		if c.Err == nil {
			continue
		}
		v.Failed++
		switch {
		case c.Granted.IsZero():
			v.Broken = append(v.Broken, fmt.Sprintf("a call without a lease failed after %v: %v", c.Ended.Sub(c.Began).Round(time.Millisecond), c.Err))
		case !permitted(c, faults):
			v.Broken = append(v.Broken, fmt.Sprintf("a call failed on PID %d, granted at %s, that no fault had doomed: %v",
				c.Backend.PID, c.Granted.Format("15:04:05.000"), c.Err))
		default:
			if failedOn[c.Backend]++; failedOn[c.Backend] > 1 {
				v.Broken = append(v.Broken, fmt.Sprintf("PID %d failed a second call: %v", c.Backend.PID, c.Err))
			} else {
				v.Permitted++
			}
		}
	}
	return v
}

// look counts who held a lease and who waited when a fault struck.
func (v *Verdict) look(c Call, faults []Fault) {
	for _, f := range faults {
		if c.Ended.Before(f.At) || c.Began.After(f.At) {
			continue
		}
		if !c.Granted.IsZero() && c.Granted.Before(f.At) {
			v.Held++
		} else {
			v.Waited++
		}
		return
	}
}

// permitted tells whether some fault explains the failure: the lease was on a backend that this fault had doomed, and
// it was given before that backend was dead, or within the grace after.
func permitted(c Call, faults []Fault) bool {
	for _, f := range faults {
		if !c.Ended.Before(f.At) && !c.Granted.After(f.DeadBy.Add(Grace)) {
			return true
		}
	}
	return false
}
