package demo

import (
	"fmt"
	"slices"
	"time"
)

// grace is how long after a backend's death a lease on it is still forgiven: 1 ms in which a proven connection is not
// looked at, and 1 ms of the judge's clock.
const grace = 2 * time.Millisecond

// ruling is what the judge found about the failed calls.
type ruling struct {
	allowed  int
	breaches []breach // of the rule, a kind each
}

// breach is one kind of failure that the rule does not allow.
type breach struct {
	what  string
	times int
	first string // its first case
}

// broken is how many calls failed that must not.
func (r ruling) broken() int {
	n := 0
	for _, b := range r.breaches {
		n += b.times
	}
	return n
}

// forbid counts a breach.
func (r *ruling) forbid(what, detail string) {
	i := slices.IndexFunc(r.breaches, func(b breach) bool { return b.what == what })
	if i < 0 {
		i = len(r.breaches)
		r.breaches = append(r.breaches, breach{what: what, first: detail})
	}
	r.breaches[i].times++
}

// judge holds failed calls against the rule: a call may fail only if it held a lease on a backend that was alive at the
// kill when that died, or got one within the grace after; each such backend fails at most one call.
func judge(kills []*kill, failures []failure) ruling {
	var r ruling
	failed := make(map[*backend]bool)
	inOrder := slices.SortedStableFunc(slices.Values(failures), func(a, b failure) int { return a.at.Compare(b.at) })
	for _, f := range inOrder {
		what := f.fault(kills)
		if what == "" && failed[f.backend] {
			what = "a call failed on a backend that had failed a call already"
		}
		if what != "" {
			r.forbid(what, f.String())
			continue
		}
		failed[f.backend] = true
		r.allowed++
	}
	return r
}

// fault is why the call must not have failed; empty if it may.
func (f failure) fault(kills []*kill) string {
	if f.backend == nil {
		return "a call failed that held no lease"
	}
	i := slices.IndexFunc(kills, func(k *kill) bool { return k.at.After(f.backend.postmaster) })
	switch {
	case i < 0 || f.at.Before(kills[i].at):
		return "a call failed on a server that nobody had killed"
	case f.backend.started.After(kills[i].at):
		return "a call failed on a backend that was not there at the kill"
	}
	if died, known := f.backend.diedAt(); known && f.granted.Sub(died) > grace+kills[i].lag {
		return "a call got a backend that was dead for longer than the grace"
	}
	return ""
}

// String tells about a failed call, for people.
func (f failure) String() string {
	if f.backend == nil {
		return f.text
	}
	since := "which lives"
	if died, known := f.backend.diedAt(); known {
		since = fmt.Sprintf("granted %v after it was seen dead", f.granted.Sub(died).Round(100*time.Microsecond))
		if f.granted.Before(died) {
			since = fmt.Sprintf("granted %v before it was seen dead", died.Sub(f.granted).Round(100*time.Microsecond))
		}
	}
	return fmt.Sprintf("backend %d, %s: %s", f.backend.pid, since, f.text)
}
