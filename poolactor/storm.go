package poolactor

import (
	"cmp"
	"slices"
	"time"

	"github.com/rs/zerolog"
)

// This file keeps storms out of the log. When the server goes, thousands of connections fail their check within a second,
// and the thousandth line says no more than the first. So the first equal events of a second are logged whole, and the
// others are one line with their number. As long as the storm goes on, there is only that line, once a second. Nothing is
// held back from Events.

const (
	// stormBegins is how many equal events of a second are logged whole: enough to see which connections, and of whom.
	stormBegins = 5
	// stormSecond is how often a storm is summed up.
	stormSecond = time.Second
)

// alike is what equal events have in common. Whose lease one is about is not among it: there may be as many labels as
// requests, and each would have a storm of its own.
type alike struct {
	kind EventKind
	what string
}

// storm counts equal events within one second.
type storm struct {
	whole int   // so many may be logged as they are
	seen  int   // in this second
	held  int   // those of them that were not logged
	last  Event // the last of these
	mixed bool  // these are about several labels
}

// storms are those that may be going on. The zero value is a calm.
type storms map[alike]*storm

// admit tells whether an event is to be logged as it is. What nobody need see (INFO and less) is not held back.
func (s storms) admit(e Event) bool {
	if e.Kind.level() < zerolog.WarnLevel {
		return true
	}
	key := alike{e.Kind, e.What}
	one := s[key]
	if one == nil {
		one = &storm{whole: stormBegins}
		s[key] = one
	}
	one.seen++
	if one.seen <= one.whole {
		return true
	}
	one.mixed = one.mixed || one.held > 0 && e.Label != one.last.Label
	one.held++
	one.last = e
	return false
}

// turn ends a second: it returns the storms of which something was held back, and begins the next second. A storm is over
// when a second brought no more than is logged whole.
func (s storms) turn() []storm {
	var sums []storm
	for key, one := range s {
		if one.held > 0 {
			sums = append(sums, *one)
		}
		if one.seen <= stormBegins {
			delete(s, key)
			continue
		}
		s[key] = &storm{}
	}
	slices.SortFunc(sums, func(a, b storm) int { return cmp.Compare(a.last.At.Sub(b.last.At), 0) })
	return sums
}

// log writes the line that stands for what was held back.
func (s storm) log(to *zerolog.Logger, within time.Duration) {
	e := s.last
	l := e.line(to).Int("count", s.held).Dur("within", within.Round(time.Millisecond))
	if e.Label != "" && !s.mixed {
		l = l.Str("label", e.Label)
	}
	if e.What != "" {
		l = l.Str("what", e.What)
	}
	if e.Err != nil {
		l = l.AnErr("cause", e.Err)
	}
	l.Msg("more of the same: " + e.Kind.sentence())
}

// logAll writes events until there are no more. The tree logs what it tells about actors itself.
func logAll(events <-chan Event, to *zerolog.Logger) {
	going := storms{}
	second := time.NewTimer(stormSecond)
	second.Stop()
	defer second.Stop()
	var began time.Time
	sumUp := func() {
		for _, one := range going.turn() {
			one.log(to, time.Since(began))
		}
		if began = time.Now(); len(going) > 0 {
			second.Reset(stormSecond)
		}
	}
	for {
		select {
		case <-second.C:
			sumUp()
		case e, open := <-events:
			if !open {
				sumUp()
				return
			}
			if e.Kind == EventActor {
				continue
			}
			calm := len(going) == 0
			if going.admit(e) {
				e.log(to)
			}
			if calm && len(going) > 0 {
				began = time.Now()
				second.Reset(stormSecond)
			}
		}
	}
}
