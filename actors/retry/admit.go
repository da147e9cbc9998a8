package retry

import (
	"time"

	"github.com/seed-4ff2b7b9/supervised/messages"
)

// admission is what becomes of an order that was taken.
type admission uint8

const (
	giveBack admission = iota // not now, and not later: the pool may order again
	begin                     // dial it
	replace                   // cancel the oldest dial but one, then dial it
	hold                      // dial it when another has ended
)

// situation is everything that the admission of an order depends on.
type situation struct {
	now      time.Time
	outage   messages.Outage
	maxDials int
	dials    int  // in flight
	fresh    bool // one of them goes the preferred way and is within its patience
	spare    bool // the oldest but one may be cancelled: it is hanging
	muted    bool // BeforeConnect failed a short time ago: a scout would not come as far as the server
	spent    int  // calls of DialFunc within the budget's window, for the busiest address
}

// admit decides about one order. A scout is pointless beside a dial that may log in any moment, and gives way to the
// bound on dials in an outage; it is not kept, since the next one comes soon. A scheduled order is kept until its turn
// comes. Both replace hanging dials, of which the oldest keeps its connect time-out, so that a slow link can finish.
func (s situation) admit(scout bool) admission {
	down := !s.outage.Since.IsZero()
	switch {
	case scout && (s.fresh || s.muted || down && s.spent >= scoutBudget):
		return giveBack
	case !scout && down && s.now.Before(s.outage.NotBefore):
		return giveBack
	case s.dials < s.maxDials:
		return begin
	case down && s.spare:
		return replace
	case scout:
		return giveBack
	default:
		return hold
	}
}
