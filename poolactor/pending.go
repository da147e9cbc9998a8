package poolactor

import (
	"fmt"
	"strings"
	"time"
)

// Pending says what becomes of the connections that are neither leased nor free: what calls wait for although nobody
// holds it.
type Pending struct {
	Checking int // are asked whether they are alive
	Cleaning int // are made fit after a lease
	Opening  int // are ordered or being dialled
	Closing  int // are on their way out

	// Silent is how long the server has owed an answer to the check, the cleaning or the dial that has waited longest.
	Silent time.Duration
	// Suspended: connections that are there are not handed out, until Resume.
	Suspended bool
}

// String lists what there is; it is empty if nothing is.
func (n Pending) String() string {
	var parts []string
	for _, c := range []struct {
		n    int
		what string
	}{
		{n.Checking, "being checked"},
		{n.Cleaning, "being cleaned"},
		{n.Opening, "being opened"},
		{n.Closing, "being closed"},
	} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	return strings.Join(parts, ", ")
}

// pending takes the picture.
func (p *Pool) pending() Pending {
	n := Pending{Suspended: p.gate.Load().suspended()}
	now := p.now()
	for _, s := range p.all() {
		w := s.word.Load()
		switch w.state() {
		case checking:
			n.Checking++
		case cleaning:
			n.Cleaning++
		case wanted, dialing:
			n.Opening++
		case broken, doomed, closing:
			n.Closing++
		}
		n.Silent = max(n.Silent, s.silence(w, now))
	}
	return n
}

// silence is how long the server has owed an answer on a slot with this word, beside statements of a lease.
func (s *slot) silence(w word, now int64) time.Duration {
	if !w.state().in([]state{checking, cleaning, dialing}) {
		return 0
	}
	return time.Duration(max(0, now-s.tended.Load()))
}
