package poolactor

// This file holds the decisions of the actor as functions of what it sees. They change nothing and know no clock.

// role is what a slot counts as.
type role uint8

const (
	vacant   role = iota // no connection, none on order
	opening              // ordered or being dialled by the schedule
	scouting             // ordered or being dialled in spite of the backoff
	inUse                // has a connection
	outgoing             // its connection is on its way out; the server may still have it
)

// roleOf tells what a slot with this word counts as.
func roleOf(w word) role {
	switch w.state() {
	case empty, failed, gone:
		return vacant
	case wanted, dialing:
		if w.has(flagScout) {
			return scouting
		}
		return opening
	case broken, doomed, closing:
		return outgoing
	default:
		return inUse
	}
}

// view is everything that the decision about new connections depends on.
type view struct {
	open     bool // the gate
	waiting  int  // callers that wait
	served   int  // of those, the ones for whom a connection is on its way
	idle     int  // connections that nobody uses; counted if there is a minIdle
	opening  int  // scheduled orders that are out
	scouting int  // scouts that are out
	inUse    int  // slots with a connection
	closing  int  // slots whose connection is on its way out
	counted  int  // everything that counts against max

	max, min, minIdle, maxDials int

	outage  bool // the server lets nobody in
	backoff bool // the next scheduled attempt is not due
	scout   bool // a scout is due
}

// room is how many scheduled dials could begin now. In an outage it is one at a time, when the schedule says so; like a
// scout it may be one more than the dials that are allowed, since one that hangs is given up for it.
func (v view) room() int {
	if !v.open {
		return 0
	}
	limit := v.maxDials - v.opening - v.scouting
	if v.outage {
		if v.backoff || v.opening > 0 {
			return 0
		}
		limit = min(limit+1, 1)
	}
	return max(0, min(limit, v.max-v.counted))
}

// lacking is how many more connections somebody needs: waiters that nothing is on its way to, the minimum, the minimum
// of idle ones.
func (v view) lacking() int {
	coming := v.opening + v.scouting
	return max(0,
		v.waiting-v.served-coming,
		v.min-v.inUse-coming,
		v.minIdle-v.idle-coming)
}

// orders is how many scheduled dials to order.
func (v view) orders() int { return min(v.room(), v.lacking()) }

// sendScout tells whether to order a scout. A scout ignores the backoff, and may be one more than the dials that are
// allowed: if all of them hang, one is given up for it.
func (v view) sendScout() bool {
	return v.scout && v.outage && v.open && v.counted < v.max && v.opening+v.scouting <= v.maxDials
}

// stifled tells whether a scout finds no place because dials have taken all that the pool's size leaves.
func (v view) stifled() bool {
	return v.scout && v.outage && v.open && v.counted >= v.max && v.opening+v.scouting > 1
}

// cramped tells whether somebody waits for a dial whose place is taken by connections that may be dead. While the server
// is believed to be up one such dial at a time will do: it shows whether they are.
func (v view) cramped() bool {
	coming := v.opening + v.scouting
	enough := 1
	if v.outage {
		enough = v.maxDials
	}
	return v.open && v.counted >= v.max && v.closing == 0 && coming < enough && v.waiting > v.served+coming
}

// step is one change that a shrink asks for.
type step struct {
	slot int
	from word
	do   change
}

type change uint8

const (
	revokeOrder change = iota // wanted -> empty
	doomResting               // resting -> doomed
	doomFree                  // free -> doomed, wherever its hint lies
	retireBusy                // add RETIRE to what is leased, checked, cleaned or about to be taken up
)

// shrink plans how to come down to the target: orders that nobody has taken up go first, all of the excess; then what
// is on its way out already is credited; then resting connections go, coldest first, then free ones; what is leased
// goes when it comes back. coldest lists the slots by when they were last used.
func shrink(words []word, coldest []int, target int) []step {
	counted := 0
	for _, w := range words {
		if roleOf(w) != vacant {
			counted++
		}
	}
	excess := counted - target
	var plan []step
	take := func(do change, match func(word) bool) {
		for _, i := range coldest {
			if excess <= 0 {
				return
			}
			if match(words[i]) {
				plan = append(plan, step{slot: i, from: words[i], do: do})
				excess--
			}
		}
	}
	is := func(s state) func(word) bool { return func(w word) bool { return w.state() == s } }
	take(revokeOrder, is(wanted))
	for _, w := range words {
		if leaving(w) {
			excess--
		}
	}
	take(doomResting, is(resting))
	take(doomFree, is(free))
	take(retireBusy, func(w word) bool {
		return w.state().in([]state{leased, checking, cleaning, opened, dialing}) && !w.has(flagRetire)
	})
	return plan
}

// leaving tells whether a slot will become vacant without anything more being done.
func leaving(w word) bool {
	switch w.state() {
	case broken, doomed, closing:
		return true
	case leased, checking, cleaning, opened, dialing, resting:
		return w.has(flagRetire)
	default:
		return false
	}
}

// adoption is what the audit does with a slot, whatever its history.
type adoption uint8

const (
	countOnly  adoption = iota // somebody else is at work on it, or nothing is there
	takeUp                     // a connection for the stack, with a new token
	repeatCall                 // an order that may not have been heard of
	throwOut                   // to be closed
	clearOut                   // the place is vacant again
)

// adopt decides what a slot's word asks of the actor; the same for a hint and for the audit.
func adopt(w word) adoption {
	switch w.state() {
	case opened, resting, free:
		if w.has(flagRetire) {
			return throwOut
		}
		return takeUp
	case wanted, dialing:
		return repeatCall
	case broken, doomed:
		return throwOut
	case failed, gone:
		return clearOut
	default:
		return countOnly
	}
}
