package poolactor

import "time"

// Contact is what the open connections say about the server, whatever is known about an outage: in one that only stops
// growth, connections go on serving calls.
type Contact struct {
	Open     int       // connections that can serve calls, leased ones included
	Verified int       // those of them that are trusted: nothing since their last check said that the server may be gone
	Alive    time.Time // when one of them was last found alive; zero if none is open
}

// Contact takes the picture. Like Stat it never blocks and works while the actor is down.
func (p *Pool) Contact() Contact {
	var c Contact
	last := int64(-1)
	epoch := uint64(p.gate.Load().epoch())
	for _, s := range p.all() {
		if !s.word.Load().state().hasConnection() {
			continue
		}
		c.Open++
		if s.ok.Load() == epoch {
			c.Verified++
		}
		last = max(last, s.proved.Load())
	}
	if last >= 0 {
		c.Alive = p.born.Add(time.Duration(last))
	}
	return c
}
