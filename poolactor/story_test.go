package poolactor

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The files story_*_test.go play random stories with a pool over an in-memory server, in fake time, and hold the pool
// against a model after each turn: who has which connection, who waits, what the server has, what each caller may be
// told. model_test.go checks every interleaving of the hand-off in the small; here everything that callers, operators
// and servers do comes together, one turn after the other.

// storyTurns is how many turns that change something all stories of a run have at least.
const storyTurns = 100_000

func TestStories(t *testing.T) {
	told, ends := 0, [endings]int{} // the race run plays a part of them, and a plain run beside it all
	wanted := scale(t, storyTurns)
	if underRaceDetector {
		wanted /= 10
	}
	for told < wanted && !t.Failed() {
		rapid.Check(t, func(rt *rapid.T) {
			how, turns := rapid.IntRange(0, variants-1).Draw(rt, "terms"), stories.Draw(rt, "story")
			var s *story
			synctest.Test(t, func(t *testing.T) { s = tell(t, termsOf(how), turns) })
			told += s.turns
			for i, n := range s.endings {
				ends[i] += n
			}
			if len(s.broken) > 0 {
				rt.Fatalf("%s\nwith %+v, after:\n%s", strings.Join(s.broken, "\n"), s.terms, strings.Join(s.log, "\n"))
			}
		})
	}
	said := fmt.Sprintf("%d turns did something", told)
	for how, n := range ends {
		require.Positive(t, n, "nothing that %s", endingNames[how])
		said += fmt.Sprintf("; %d %s", n, endingNames[how])
	}
	t.Log(said)
}

// turn is one thing that happens. What there are several of, n chooses among.
type turn struct{ what, n int }

func (t turn) String() string { return fmt.Sprintf("%s (%d)", happenings[t.what].what, t.n) }

const mostN = 31

var stories = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) turn {
	return turn{rapid.IntRange(0, len(happenings)-1).Draw(t, "what"), rapid.IntRange(0, mostN).Draw(t, "n")}
}), 100, 400)

// happening is a kind of turn. It tells whether it did something: where there is nothing to do it to, it is no turn.
type happening struct {
	what string
	do   func(s *story, n int) bool
}

// happenings are all that can happen. Failing stories shrink towards the first: nothing. What is there twice happens
// more often.
var happenings = []happening{
	{"nothing", func(*story, int) bool { return false }},
	{"acquire, hurried", func(s *story, n int) bool { return s.acquire(time.Duration(n) * time.Millisecond) }},
	{"acquire", func(s *story, n int) bool { return s.acquire(time.Duration(1+n) * 500 * time.Millisecond) }},
	{"acquire", func(s *story, n int) bool { return s.acquire(time.Duration(1+n) * 500 * time.Millisecond) }},
	{"acquire without a deadline", func(s *story, _ int) bool { return s.acquire(forever) }},
	{"ask", func(s *story, n int) bool { return s.ask(time.Duration(1+n) * 200 * time.Millisecond) }},
	{"ask", func(s *story, n int) bool { return s.ask(time.Duration(n) * 10 * time.Millisecond) }},
	{"ask without a deadline", func(s *story, _ int) bool { return s.ask(forever) }},
	{"release by message", func(s *story, n int) bool { return s.giveBack(n, s.tellBack) }},
	{"release", func(s *story, n int) bool { return s.giveBack(n, (*Lease).Release) }},
	{"release", func(s *story, n int) bool { return s.giveBack(n, (*Lease).Release) }},
	{"release", func(s *story, n int) bool { return s.giveBack(n, (*Lease).Release) }},
	{"discard", func(s *story, n int) bool { return s.giveBack(n, (*Lease).Discard) }},
	{"release twice", func(s *story, n int) bool { return s.afterRelease(n, func(l *heldLease) { l.Release() }) }},
	{"release twice, by message", func(s *story, n int) bool { return s.afterRelease(n, func(l *heldLease) { s.tellBack(l.Lease) }) }},
	{"use after release", func(s *story, n int) bool { return s.afterRelease(n, s.useInVain) }},
	{"use", (*story).use},
	{"use", (*story).use},
	{"change the session", (*story).change},
	{"a statement", func(s *story, n int) bool { return s.state(time.Duration(1+n)*500*time.Millisecond, n) }},
	{"a statement", func(s *story, n int) bool { return s.state(time.Duration(n)*5*time.Millisecond, n) }},
	{"a statement without a deadline", func(s *story, n int) bool { return s.state(forever, n) }},
	{"a transaction", func(s *story, n int) bool { return s.transact(time.Duration(1+n)*200*time.Millisecond, n) }},
	{"a transaction without a deadline", func(s *story, n int) bool { return s.transact(forever, n) }},
	{"give up", (*story).giveUp},
	{"forget a lease", (*story).forget},
	{"resize", (*story).resize},
	{"suspend", (*story).suspend},
	{"resume", func(s *story, _ int) bool { return s.resume() }},
	{"resume", func(s *story, _ int) bool { return s.resume() }},
	{"evict", (*story).evict},
	{"server down", func(s *story, _ int) bool { return s.serverDown() }},
	{"server up", func(s *story, _ int) bool { return s.serverUp() }},
	{"server up", func(s *story, _ int) bool { return s.serverUp() }},
	{"a backend is killed", (*story).kill},
	{"all backends are terminated", func(s *story, _ int) bool { return s.terminate() }},
	{"the pool actor crashes", func(s *story, n int) bool { return s.crash(n) }},
	{"time passes", func(s *story, n int) bool { return s.pass(time.Duration(n) * 100 * time.Microsecond) }},
	{"time passes", func(s *story, n int) bool { return s.pass(time.Duration(n) * 10 * time.Millisecond) }},
	{"time passes", func(s *story, n int) bool { return s.pass(time.Duration(n) * 300 * time.Millisecond) }},
}

// FuzzMessages tells stories that are written in bytes: one for the terms, two for each turn.
func FuzzMessages(f *testing.F) {
	for _, seed := range shortStories() {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var turns []turn
		how := 0
		if len(text) > 0 {
			how, text = int(text[0])%variants, text[1:]
		}
		for i := 0; i+1 < min(len(text), 2*longestFuzzed); i += 2 {
			turns = append(turns, turn{int(text[i]) % len(happenings), int(text[i+1]) % (mostN + 1)})
		}
		synctest.Test(t, func(t *testing.T) {
			if s := tell(t, termsOf(how), turns); len(s.broken) > 0 {
				t.Fatalf("%s\nwith %+v, after:\n%s", strings.Join(s.broken, "\n"), s.terms, strings.Join(s.log, "\n"))
			}
		})
	})
}

// longestFuzzed is after how many turns a fuzzed story ends: long ones are TestStories' business.
const longestFuzzed = 100

// shortStories are those with every kind of turn in them, in some orders.
func shortStories() (all [][]byte) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		text := []byte{byte(r.IntN(variants))}
		for _, what := range r.Perm(len(happenings)) {
			text = append(text, byte(what), byte(r.IntN(mostN+1)))
		}
		all = append(all, text)
	}
	return all
}
