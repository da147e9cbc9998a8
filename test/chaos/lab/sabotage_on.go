//go:build failpoint

package lab

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// In a soak the pool's actors panic, too, each after so many of its steps: seldom enough that nobody escalates.

var crashSteps = []func(*rand.Rand) deed{
	soakCrash("actor", aLife), soakCrash("actor", aLife), soakCrash("actor", aLife),
	soakCrash("dialer", aTurn), soakCrash("health", aTurn), soakCrash("desk", aTurn), soakCrash("janitor", aTurn),
}

// crashPatience is how long it takes until an actor has taken so many steps, mostly.
const crashPatience = time.Second

func soakCrash(mark string, most int) func(*rand.Rand) deed {
	name := beside[mark]
	if name == "" {
		name = "the pool actor"
	}
	return func(r *rand.Rand) deed {
		steps, times := 1+r.IntN(most), 1
		if mark == "actor" {
			times += r.IntN(4)
		}
		what := fmt.Sprintf("%s panics after %d steps, %d times", name, steps, times)
		return deed{what: what, do: func(ctx context.Context, b *bout) error {
			s := &saboteur{marks: map[string]*target{mark: {most: 1, steps: steps, left: times}}}
			s.duringAt(s.hitActors, func() { until(ctx, crashPatience, func() bool { return s.panics(mark) == times }) })
			b.crashes.Add(int64(s.panics(mark)))
			return nil
		}}
	}
}

// hitActors spares who evicts: an operator passes a mark of the janitor's, too.
func (s *saboteur) hitActors(mark string) {
	if mark != "janitor.retired" {
		s.hit(mark)
	}
}

// panics is how often an actor has panicked.
func (s *saboteur) panics(mark string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count[mark]
}
