package poolactor

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// terms are what differs between the pools of two stories.
type terms struct {
	reset      ResetPolicy
	maxWaiters int // 0: any number
	shedding   bool
	warnAfter  time.Duration // 0: never within a story
	maxAge     time.Duration
}

// variants is how many terms there are.
const variants = 3 * 2 * 2 * 2

// termsOf counts through all combinations; the first has nothing but defaults.
func termsOf(n int) (t terms) {
	t.reset = ResetPolicy(n % 3)
	if n/3%2 > 0 {
		t.maxWaiters = 3
	}
	t.shedding = n/6%2 > 0
	if n/12%2 > 0 {
		t.warnAfter, t.maxAge = time.Second, 4*time.Second
	}
	return t
}

func (t terms) configure(c *Config) {
	c.Reset, c.MaxWaiters, c.ShedByDeadline = t.reset, t.maxWaiters, t.shedding
	c.LeaseWarnAfter, c.LeaseMaxAge = t.warnAfter, t.maxAge
}

// scene is what a call meets, at a moment at which nobody has anything to do.
type scene struct {
	Stat
	offered int  // connections that lie on offer
	silent  bool // an outage is known
}

func (s *story) meets() scene {
	return scene{s.p.Stat(), len(s.p.ready), !s.p.outage.Load().Since.IsZero()}
}

// sure are the connections that come to waiters without that anybody gives one back, at least; likely are those, at most.
func (c scene) sure() int {
	switch {
	case c.Suspends:
		return 0
	case c.silent:
		return c.Idle
	default:
		return c.Idle + max(0, c.Max-c.Total())
	}
}

func (c scene) likely() int {
	if c.Suspends {
		return 0
	}
	return max(c.Total(), c.Max) - c.Leased
}

// rightlyTurnedAway: at once, and only where as many wait as may, and nothing is at hand.
func (s *story) rightlyTurnedAway(w *waiter) {
	var exhausted *ExhaustedError
	var unavailable *UnavailableError
	if kind := errors.As(w.err, &exhausted) || w.before.silent && errors.As(w.err, &unavailable); !kind {
		s.fail("a caller that was turned away got an error of another kind: %v", w.err)
	}
	if b := w.before; s.maxWaiters == 0 || b.Waiting < s.maxWaiters+b.sure() || !w.ended.Equal(w.began) {
		s.fail("a caller was turned away after %v, though it had met: %+v", w.ended.Sub(w.began), b)
	}
}

// rightlyLetIn: nobody waits who met as many as may wait, and nothing at hand.
func (s *story) rightlyLetIn(w *waiter) {
	if b := w.before; s.maxWaiters > 0 && b.Waiting >= s.maxWaiters+b.likely() && b.offered == 0 && w.patient() {
		s.fail("a caller was let in that had met: %+v", b)
	}
}

// patient tells whether a call had any time to wait.
func (w *waiter) patient() bool { return w.deadline.IsZero() || w.deadline.After(w.began) }

// rightlyShed: at once, only a call with a deadline that could not be met if leases lasted as long as the longest of
// those that have ended, and nobody to whom a connection is at hand.
func (s *story) rightlyShed(w *waiter) {
	var e *ExhaustedError
	if !errors.As(w.err, &e) {
		s.fail("a caller that was shed got an error of another kind: %v", w.err)
		return
	}
	b, left := w.before, w.deadline.Sub(w.began)
	if !s.shedding || w.deadline.IsZero() || b.Suspends || b.silent || b.Waiting < b.sure() || !w.ended.Equal(w.began) {
		s.fail("a caller was shed after %v, though it had met: %+v", w.ended.Sub(w.began), b)
	}
	places := max(1, b.sure()+b.Leased)
	if longest := time.Duration(1+b.Waiting/places) * s.longestLease(w.began); e.Left != left || e.Forecast <= left || e.Forecast > longest {
		s.fail("a caller with %v left was shed for a forecast of %v, and %v at most can be foreseen of: %+v", left, e.Forecast, longest, b)
	}
}

// longestLease is the longest that any lease can have lasted that ended before a moment.
func (s *story) longestLease(before time.Time) time.Duration {
	longest := s.longest
	for _, w := range s.waiters {
		if w.work != nil {
			longest = max(longest, before.Sub(w.began))
		}
	}
	return longest
}

// gossip is what the pool tells about leases.
type gossip struct {
	mu     sync.Mutex
	events []Event
}

// listen writes down what is told, until the pool ends.
func (g *gossip) listen(p *Pool) {
	events := p.Events(context.Background())
	go func() {
		for e := range events {
			if e.Kind == EventOverdue || e.Kind == EventRevoked {
				g.mu.Lock()
				g.events = append(g.events, e)
				g.mu.Unlock()
			}
		}
	}()
}

// told lists for how long a call had held its lease when something was told about it.
func (g *gossip) told(kind EventKind, label string) (held []time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range g.events {
		if e.Kind == kind && e.Label == label {
			held = append(held, e.Held)
		}
	}
	return held
}

// takenAway looks for leases that the pool has taken back: all those, and only those, that are too old.
func (s *story) takenAway() {
	s.held = slices.DeleteFunc(s.held, func(l *heldLease) bool {
		age := time.Since(l.since)
		s.punctual(l, EventOverdue, s.warnAfter, age)
		s.punctual(l, EventRevoked, s.maxAge, age)
		if l.slot.isOf(l.gen) {
			return false
		}
		if s.maxAge == 0 || age < s.maxAge {
			s.fail("a lease was taken away after %v", age)
		}
		s.endings[takenAway]++
		s.past = append(s.past, l)
		s.useInVain(l)
		return true
	})
}

// punctual: what is due to a lease is told once, within a second.
func (s *story) punctual(l *heldLease, kind EventKind, due, age time.Duration) {
	told := s.gossip.told(kind, l.label)
	switch {
	case due == 0 || age < due:
		if len(told) > 0 {
			s.fail("a lease of %v: %s was told", age, kind)
		}
	case len(told) > 1, len(told) == 0 && age > due+janitorEvery, len(told) == 1 && (told[0] < due || told[0] > due+janitorEvery):
		s.fail("a lease of %v: %s was told after %v, it was due after %v", age, kind, told, due)
	case len(told) == 1 && kind == EventOverdue && !l.warned:
		l.warned = true
		s.endings[warnedOf]++
	}
}
