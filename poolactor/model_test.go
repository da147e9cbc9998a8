package poolactor

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/failpoint"
)

// The files model_*_test.go are a model of the hand-off and a check of every state that it can reach. What the stress
// tests meet by luck the model meets for certain, if only in the small: all interleavings of a few callers over two
// slots with the actor, which may crash at any step, the retry actor, closers, a background check, a Resize, a Suspend.
//
// One move is one access to something shared, made as the code makes it and named for the function that does; what a
// function does between two accesses belongs to the one before. Decisions are the code's own: roleOf, adopt, shrink and
// view are called, not copied. Left out is what does not matter to the hand-off: clocks (the end of a backoff is a
// move, ticks are counted out, since every tick would heal a lost wake-up), generations, and the number of a token,
// beyond whether it is still the slot's current one. Which connection lies on top of the stack is left open.
//
// In each state: a lease has its slot for itself, and the slot is leased; so has a check; no dial begins beyond max;
// nothing lies on the stack twice; nobody gets a lease after Suspend has returned. Where nothing happens any more unless
// somebody comes, gives up or gives a lease back: no waiter is left behind while a connection is there or could be
// opened, nothing is lost, and max is kept. And no run goes in circles, so that whatever is bound to happen does.

// scope bounds what happens in a run.
type scope struct {
	callers  int // one Acquire each, at any time or never; each may give up whenever it waits
	ready    int // capacity of ready, 1 or 2
	hints    int // capacity of hints, 1 or 2
	max      int // size of the pool, 1 or 2
	open     int // connections that are there when the first life begins
	crashes  int // of the actor, at any step
	deaths   int // connections that fail their check, or come back broken
	failures int // of dials
	checks   int // in the background
	ticks    int // of the actor's timer
	shrinks  int // to one connection; at most 1
	suspends int // and resumes; at most 1
	refusals int // calls that are turned away, whatever the queue is; at most 1
	without  rule
}

// With all rules, no run within these scopes goes wrong.
func TestModelOfTheHandOff(t *testing.T) {
	for _, c := range []struct {
		scope
		long bool // more than half a million states
	}{
		{scope: scope{callers: 1, ready: 1, hints: 1, max: 1, crashes: 3}},
		{scope: scope{callers: 2, ready: 1, hints: 2, max: 2}},
		{scope: scope{callers: 2, ready: 1, hints: 1, max: 2, open: 1}},
		{scope: scope{callers: 3, ready: 2, hints: 2, max: 2, open: 2, ticks: 1}},
		{scope: scope{callers: 3, ready: 1, hints: 2, max: 1, deaths: 1}},
		{scope: scope{callers: 2, ready: 1, hints: 2, max: 2, open: 2, checks: 1}},
		{scope: scope{callers: 2, ready: 1, hints: 1, max: 1, open: 1, checks: 1, crashes: 1}},
		{scope: scope{callers: 2, ready: 1, hints: 2, max: 2, open: 1, failures: 1}},
		{scope: scope{callers: 1, ready: 1, hints: 2, max: 2, open: 2, shrinks: 1, crashes: 1}},
		{scope: scope{callers: 3, ready: 1, hints: 1, max: 1, suspends: 1}},
		{scope: scope{callers: 2, ready: 1, hints: 2, max: 1, refusals: 1, crashes: 1}},
		{long: true, scope: scope{callers: 4, ready: 1, hints: 2, max: 2}},
		{long: true, scope: scope{callers: 2, ready: 1, hints: 1, max: 2}},
		{long: true, scope: scope{callers: 3, ready: 1, hints: 2, max: 2, refusals: 1}},
		{long: true, scope: scope{callers: 4, ready: 1, hints: 1, max: 1, crashes: 1}},
		{long: true, scope: scope{callers: 3, ready: 1, hints: 1, max: 1, crashes: 2}},
		{long: true, scope: scope{callers: 2, ready: 1, hints: 2, max: 2, crashes: 1}},
		{long: true, scope: scope{callers: 3, ready: 1, hints: 2, max: 2, open: 2, crashes: 1}},
		{long: true, scope: scope{callers: 2, ready: 1, hints: 2, max: 1, open: 1, deaths: 1, crashes: 1}},
		{long: true, scope: scope{callers: 2, ready: 1, hints: 2, max: 1, failures: 1, crashes: 1}},
		{long: true, scope: scope{callers: 2, ready: 1, hints: 2, max: 2, open: 2, shrinks: 1}},
		{long: true, scope: scope{callers: 2, ready: 1, hints: 1, max: 1, suspends: 1, crashes: 1}},
	} {
		t.Run(c.String(), func(t *testing.T) {
			if c.long && (testing.Short() || underRaceDetector || failpoint.Enabled) {
				t.Skip("in the plain build only, where it is fastest: it has one goroutine and no failpoints")
			}
			t.Parallel()
			m := &model{scope: c.scope}
			began := time.Now()
			found, sum := m.every()
			require.Empty(t, found.wrong, "\n%s", m.tell(found.run))
			require.Positive(t, sum.ends)
			t.Logf("%v, %v", sum, time.Since(began).Round(time.Millisecond))
		})
	}
}

func (s scope) String() string {
	out := fmt.Sprintf("%d callers, ready %d, hints %d, max %d", s.callers, s.ready, s.hints, s.max)
	for _, n := range []struct {
		many int
		what string
	}{
		{s.open, "open"},
		{s.crashes, "crashes"},
		{s.deaths, "deaths"},
		{s.failures, "failures"},
		{s.checks, "checks"},
		{s.ticks, "ticks"},
		{s.shrinks, "shrinks"},
		{s.suspends, "suspends"},
		{s.refusals, "refusals"},
	} {
		if n.many > 0 {
			out += fmt.Sprintf(", %s %d", n.what, n.many)
		}
	}
	return out
}
