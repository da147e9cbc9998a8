package lab

import (
	"context"
	"fmt"
	"time"
)

// Row is one fault of the laboratory: what is done to the server, and what our pool must show then.
type Row struct {
	ID    string
	Fault string
	// Timed rows have a bound in time: our pool runs five times, each peer once, one after the other.
	Timed bool
	// Alone rows need something that only our pool has: no peer is put to them.
	Alone bool
	// Container rows need a Docker engine, and are left out where there is none.
	Container bool
	// Short rows belong to the short form, which every test run does.
	Short bool
	// Run makes one experiment. Errors are about the laboratory, not about the pool.
	Run func(ctx context.Context, l *Lab, k Kind) (Result, error)
	// Bounds are held against all rounds of our pool together.
	Bounds []Bound
}

// Bound is something our pool must show; it returns what is wrong, or nothing.
type Bound func(rounds []Result) string

// mostShown is how many broken bounds of a round are shown.
const mostShown = 5

// Everywhere holds in each row: the failure rule, no more sockets than connections, no row lost or doubled, nothing left.
func Everywhere(rounds []Result) (wrong []string) {
	say := func(r Result, format string, args ...any) {
		wrong = append(wrong, fmt.Sprintf("round %d: ", r.Round)+fmt.Sprintf(format, args...))
	}
	for _, r := range rounds {
		for i, b := range r.Broken {
			if i == mostShown {
				say(r, "and %d more", len(r.Broken)-i)
				break
			}
			say(r, "%s", b)
		}
		if r.Forbidden > 0 {
			say(r, "%d failures that the rule forbids, such as: %v", r.Forbidden, r.Examples)
		}
		if r.Peak > r.Max {
			say(r, "%d sockets and dials at once, %d are allowed", r.Peak, r.Max)
		}
		if r.Rows.Missing+r.Rows.Doubled+r.Rows.Strange > 0 {
			say(r, "%d acknowledged rows missing, %d doubled, %d there that nobody has committed",
				r.Rows.Missing, r.Rows.Doubled, r.Rows.Strange)
		}
		if r.left() > 0 {
			say(r, "left behind: %d leases, %d sockets, %d goroutines, %d descriptors, %d backends",
				r.LeasesLeft, r.SocketsLeft, r.GoroutinesLeft, r.DescriptorsLeft, r.BackendsLeft)
		}
		if r.BackendsLeft < 0 {
			say(r, "the server did not tell whether it had backends left")
		}
	}
	return wrong
}

// wrong is what our pool did not show in all rounds of a row.
func (row Row) wrong(rounds []Result) []string {
	all := Everywhere(rounds)
	for _, bound := range row.Bounds {
		if wrong := bound(rounds); wrong != "" {
			all = append(all, wrong)
		}
	}
	return all
}

// judged tells whether so many measurements show something: bounds in time are held against medians of at least five.
func judged(measured []time.Duration) bool { return len(measured) >= timedRounds }

// FirstWithin bounds the median time from accepting to the first success; what the control took is granted on top.
func FirstWithin(bound time.Duration) Bound {
	return func(rounds []Result) string {
		var first, control []time.Duration
		for _, r := range rounds {
			first, control = append(first, r.First...), append(control, r.Control...)
		}
		if len(first) == 0 {
			return "no first success was measured"
		}
		if got, allowed := median(first), bound+median(control); judged(first) && got > allowed {
			return fmt.Sprintf("first success after %v, %v is allowed (%v, and what the control took)", got, allowed, bound)
		}
		return ""
	}
}

// RateWithin bounds the median time from accepting to 95 % of the former rate, in the same way.
func RateWithin(bound time.Duration) Bound {
	return func(rounds []Result) string {
		var rate, control []time.Duration
		for _, r := range rounds {
			rate, control = append(rate, r.Rate...), append(control, r.RateControl...)
		}
		if len(rate) == 0 {
			return "no return to the former rate was measured"
		}
		if got, allowed := median(rate), bound+median(control); judged(rate) && got > allowed {
			return fmt.Sprintf("95 %% of the rate after %v, %v is allowed (%v, and what the control took)", got, allowed, bound)
		}
		return ""
	}
}

// TookWithin bounds the median time that something took; what the control took is granted on top.
func TookWithin(what string, bound time.Duration) Bound {
	return func(rounds []Result) string {
		took, control := timings(rounds, what)
		if len(took) == 0 {
			return fmt.Sprintf("how long %s takes was not measured", what)
		}
		if got, allowed := median(took), bound+median(control); judged(took) && got > allowed {
			return fmt.Sprintf("%s took %v, %v is allowed (%v, and what the control took)", what, got, allowed, bound)
		}
		return ""
	}
}

// DialsWithin bounds the dials in any five seconds of an outage.
func DialsWithin(most int) Bound {
	return func(rounds []Result) string {
		for _, r := range rounds {
			if r.Busiest > most {
				return fmt.Sprintf("%d dials in five seconds, %d are allowed", r.Busiest, most)
			}
		}
		return ""
	}
}

// NothingFails says that no call failed at all.
func NothingFails(rounds []Result) string {
	for _, r := range rounds {
		if n := r.FailedHolding + r.FailedWaiting; n > 0 {
			return fmt.Sprintf("%d calls failed, none may", n)
		}
	}
	return ""
}

// HitsSomebody says that the fault has met leases: one that failed nobody shows nothing.
func HitsSomebody(rounds []Result) string {
	for _, r := range rounds {
		if r.FailedHolding == 0 {
			return fmt.Sprintf("round %d: the fault hit nobody who held a lease", r.Round)
		}
	}
	return ""
}
