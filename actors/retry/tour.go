package retry

import "time"

// circumstances are what an order finds when its dial begins.
type circumstances struct {
	outage  bool // the server lets nobody in
	hanging bool // another dial by the preferred way has been silent for too long
}

// reach is how far an attempt by one way came.
type reach uint8

const (
	// unreached: no connection, or no answer in time. The other TLS mode would fare no better.
	unreached reach = iota
	// cut: connected, then broken off, or nonsense. The other mode may fare better.
	cut
	// declined: the server does not want this TLS mode (no TLS there, or pg_hba.conf asks for the other mode).
	declined
	// spoke: the server gave its reason. The other mode would hear the same.
	spoke
	// unfit: the server lets us in, but is not of the kind that target_session_attrs prefers.
	unfit
)

// same tells whether the other TLS mode of the place would end in the same way.
func (r reach) same() bool { return r == unreached || r == spoke || r == unfit }

// stage is one attempt of a tour that has ended without a log-in.
type stage struct {
	candidate
	reach reach
	err   *failure
}

// tour leads one order along the ways to the server, one attempt after the other. It is used by one goroutine.
type tour struct {
	book       *book
	candidates []candidate
	given      circumstances
	main       int // index of the preferred way
	begun      map[int]bool
	done       []stage
}

func newTour(b *book, candidates []candidate, given circumstances, now time.Time) *tour {
	return &tour{
		book: b, candidates: candidates, given: given,
		main:  b.preferred(candidates, given.outage, now),
		begun: make(map[int]bool, len(candidates)),
	}
}

// next is the way to try now, and whether it is the preferred one; false when the tour is over. A detour in an outage is
// made only if there is room for one to that place, unless the server pointed there.
func (t *tour) next(now time.Time, room func(place) bool) (c candidate, preferred, ok bool) {
	if !t.given.hanging && t.begin(t.main, false, now) {
		return t.candidates[t.main], true, true
	}
	for _, pointedOnly := range []bool{true, false} {
		for i, c := range t.candidates {
			if !t.worthwhile(i, pointedOnly, room) {
				continue
			}
			if t.begin(i, t.given.outage, now) {
				return c, false, true
			}
		}
	}
	if t.begin(t.main, false, now) {
		return t.candidates[t.main], true, true
	}
	return candidate{}, false, false
}

// worthwhile tells whether a way may be tried beside the preferred one. Where another dial hangs, the other mode of the
// same place would hang as well.
func (t *tour) worthwhile(i int, pointedOnly bool, room func(place) bool) bool {
	switch c := t.candidates[i]; {
	case i == t.main:
		return false
	case t.pointed(c):
		return true
	case pointedOnly || t.given.outage && !room(c.place):
		return false
	default:
		return t.begun[t.main] || c.place != t.candidates[t.main].place
	}
}

// begin claims a way, if it makes sense after what the tour has met so far.
func (t *tour) begin(i int, detour bool, now time.Time) bool {
	c := t.candidates[i]
	if t.begun[i] || t.pointless(c) || !t.book.claim(c.way, detour, t.pointed(c), now) {
		return false
	}
	t.begun[i] = true
	return true
}

// pointed tells whether the server has declined the other mode of this place on this tour.
func (t *tour) pointed(c candidate) bool {
	for _, s := range t.done {
		if s.place == c.place && s.reach == declined {
			return true
		}
	}
	return false
}

// pointless tells whether the tour has shown that this way leads nowhere: nobody is at that place, or the host has given
// its final answer.
func (t *tour) pointless(c candidate) bool {
	for _, s := range t.done {
		if s.place == c.place && s.reach.same() {
			return true
		}
		if s.host == c.host && s.reach == spoke && s.err.class == Refused {
			return true
		}
	}
	return false
}

// note takes down how an attempt ended.
func (t *tour) note(s stage) {
	t.done = append(t.done, s)
	t.book.ended(s.way, s.reach)
}

// shown is what the tour says about each host it tried: refused if any of its addresses refuses, else patience if any
// asks for it. At each address the last answer counts.
func (t *tour) shown() map[host]Class {
	last := make(map[place]Class)
	for _, s := range t.done {
		last[s.place] = s.err.class
	}
	hosts := make(map[host]Class)
	for p, class := range last {
		hosts[p.host] = max(hosts[p.host], class)
	}
	return hosts
}

// fallback is the last server that let us in without being of the preferred kind.
func (t *tour) fallback() (candidate, bool) {
	for i := len(t.done) - 1; i >= 0; i-- {
		if t.done[i].reach == unfit {
			return t.done[i].candidate, true
		}
	}
	return candidate{}, false
}

// failures lists what the attempts failed with.
func (t *tour) failures() []*failure {
	var all []*failure
	for _, s := range t.done {
		all = append(all, s.err)
	}
	return all
}
