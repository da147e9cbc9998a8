package retry

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var noon = time.Unix(43200, 0)

// walk leads an order along the candidates; end tells how the attempt by each of them ends. It returns the indexes of
// the ways taken, in order.
func walk(b *book, candidates []candidate, given circumstances, now time.Time, end func(i int) (reach, Class)) []int {
	t := newTour(b, candidates, given, now)
	var taken []int
	for {
		c, _, ok := t.next(now, func(place) bool { return true })
		if !ok {
			return taken
		}
		for i := range candidates {
			if candidates[i].way == c.way {
				taken = append(taken, i)
				r, class := end(i)
				t.note(stage{candidate: c, reach: r, err: &failure{class: class}})
			}
		}
	}
}

func all(r reach, class Class) func(int) (reach, Class) {
	return func(int) (reach, Class) { return r, class }
}

var (
	calm   = circumstances{}
	outage = circumstances{outage: true}
	hang   = circumstances{outage: true, hanging: true}
)

func TestFirstContactTriesEverything(t *testing.T) {
	hosts := ways("a/1", "a/2", "b/3")
	require.Equal(t, []int{0, 1, 2}, walk(newBook(), hosts, calm, noon, all(unreached, Transient)))
}

func TestNobodyThereMeansNotInTheOtherModeEither(t *testing.T) {
	prefer := ways("a/1+", "a/2+", "a/1", "a/2")
	require.Equal(t, []int{0, 1}, walk(newBook(), prefer, calm, noon, all(unreached, Transient)))
	require.Equal(t, []int{0, 1, 2, 3}, walk(newBook(), prefer, calm, noon, all(cut, Transient)))
	require.Equal(t, []int{0, 1}, walk(newBook(), prefer, calm, noon, all(spoke, Wait)))
}

func TestARefusalSpeaksForItsHost(t *testing.T) {
	hosts := ways("a/1+", "a/2+", "a/1", "a/2", "b/3")
	require.Equal(t, []int{0, 4}, walk(newBook(), hosts, calm, noon, all(spoke, Refused)))
}

func TestADeclinedModeLeadsToTheOtherAtOnce(t *testing.T) {
	prefer := ways("a/1+", "a/2+", "a/1", "a/2")
	end := func(i int) (reach, Class) {
		if i == 0 {
			return declined, Refused
		}
		return unreached, Transient
	}
	b := newBook()
	require.Equal(t, []int{0, 2, 1}, walk(b, prefer, calm, noon, end), "in the clear next, at the same address")

	b = newBook()
	require.Equal(t, []int{0, 2, 1}, walk(b, prefer, outage, noon, end), "in an outage as well")
	require.Equal(t, []int{2}, walk(b, prefer, outage, noon.Add(100*time.Millisecond), end), "and it is remembered")
}

func TestDeclinedModesAreForgottenInPeace(t *testing.T) {
	prefer := ways("a/1+", "a/1")
	b := newBook()
	walk(b, prefer, calm, noon, all(declined, Refused))
	b.loggedIn(prefer[1].way, time.Millisecond, noon)
	require.Equal(t, 1, b.preferred(prefer, false, noon.Add(declinedFor-1)))
	require.Equal(t, 0, b.preferred(prefer, false, noon.Add(declinedFor)), "TLS may be back")
	require.Equal(t, 1, b.preferred(prefer, true, noon.Add(declinedFor)), "but an outage is no time to find out")
	b.loggedIn(prefer[1].way, time.Millisecond, noon.Add(declinedFor))
	require.Empty(t, b.trials)
}

func TestWhenBothModesAreDeclinedTheyAreNotTriedTwiceEachTime(t *testing.T) {
	prefer := ways("a/1+", "a/1")
	b := newBook()
	require.Equal(t, []int{0, 1}, walk(b, prefer, calm, noon, all(declined, Refused)))
	calls := 0
	for ms := 75; ms <= 5000; ms += 75 {
		calls += len(walk(b, prefer, outage, noon.Add(time.Duration(ms)*time.Millisecond), all(declined, Refused)))
	}
	require.Equal(t, 66+4, calls)
}

func TestOutageTriesTheLastWorkingAloneAndTheOthersOnceASecond(t *testing.T) {
	hosts := ways("a/1", "a/2", "b/3")
	b := newBook()
	b.loggedIn(hosts[1].way, time.Millisecond, noon)
	require.Equal(t, []int{1, 0, 2}, walk(b, hosts, calm, noon, all(unreached, Transient)), "the dial that finds out")

	tried := map[int]int{}
	for ms := 75; ms <= 5000; ms += 75 {
		taken := walk(b, hosts, outage, noon.Add(time.Duration(ms)*time.Millisecond), all(unreached, Transient))
		require.Equal(t, 1, taken[0])
		for _, i := range taken {
			tried[i]++
		}
	}
	require.Equal(t, map[int]int{0: 4, 1: 66, 2: 4}, tried)
}

func TestDetoursNeedRoom(t *testing.T) {
	hosts := ways("a/1+", "a/1", "b/2")
	tour := newTour(newBook(), hosts, outage, noon)
	none := func(place) bool { return false }
	c, preferred, ok := tour.next(noon, none)
	require.True(t, ok && preferred)
	tour.note(stage{candidate: c, reach: declined, err: &failure{class: Refused}})
	c, preferred, ok = tour.next(noon, none)
	require.True(t, ok && !preferred, "the server pointed there")
	require.Equal(t, hosts[1].way, c.way)
	tour.note(stage{candidate: c, reach: unreached, err: &failure{}})
	_, _, ok = tour.next(noon, none)
	require.False(t, ok)
}

func TestWhereADialHangsOtherPlacesComeFirst(t *testing.T) {
	hosts := ways("a/1+", "b/2+", "a/1", "b/2")
	b := newBook()
	b.loggedIn(hosts[0].way, time.Millisecond, noon)
	require.Equal(t, []int{1, 0}, walk(b, hosts, hang, noon, all(unreached, Transient)))
	require.Equal(t, []int{0}, walk(b, hosts, hang, noon.Add(500*time.Millisecond), all(unreached, Transient)))

	alone := ways("a/1+", "a/1")
	require.Equal(t, []int{0}, walk(newBook(), alone, hang, noon, all(unreached, Transient)),
		"the other mode would hang as well")
}

func TestTheWorkingAddressIsFollowedThroughLookups(t *testing.T) {
	b := newBook()
	b.loggedIn(ways("b/2")[0].way, time.Millisecond, noon)
	require.Equal(t, 1, b.preferred(ways("b/1", "b/2"), true, noon), "still among the answers")
	require.Equal(t, 1, b.preferred(ways("a/1", "b/3", "b/4"), true, noon), "else the same host")
	require.Equal(t, 0, b.preferred(ways("c/1", "d/2"), true, noon), "else the first")
}

func TestBeforeTheFirstLogInWhoeverAnswersIsPreferred(t *testing.T) {
	localhost := ways("localhost/::1", "localhost/127.0.0.1")
	end := func(i int) (reach, Class) {
		if i == 0 {
			return unreached, Transient
		}
		return spoke, Refused
	}
	b := newBook()
	require.Equal(t, []int{0, 1}, walk(b, localhost, calm, noon, end))
	require.Equal(t, []int{1}, walk(b, localhost, outage, noon.Add(time.Second), end))

	b.loggedIn(localhost[0].way, time.Millisecond, noon)
	walk(b, localhost, calm, noon, end)
	require.Equal(t, 0, b.preferred(localhost, true, noon), "but what worked stays preferred")
}

func TestOnlyAllHostsTogetherRefuse(t *testing.T) {
	a, c := host{"a", 5432}, host{"c", 5432}
	both := []host{a, c}
	b := newBook()
	require.Equal(t, Transient, b.judge(both, map[host]Class{a: Refused}))
	require.Equal(t, Wait, b.judge(both, map[host]Class{c: Wait}))
	require.Equal(t, Refused, b.judge(both, map[host]Class{c: Refused}), "a has refused before")
	require.Equal(t, Transient, b.judge(both, map[host]Class{a: Transient}))
	b.loggedIn(ways("a/1")[0].way, time.Millisecond, noon)
	require.Equal(t, Transient, b.judge(both, map[host]Class{a: Refused}), "what c said is long ago")
}

func TestOneRefusingAddressMakesItsHostRefuse(t *testing.T) {
	localhost := ways("localhost/::1", "localhost/127.0.0.1+", "localhost/127.0.0.1")
	tour := &tour{book: newBook(), candidates: localhost}
	tour.note(stage{candidate: localhost[0], reach: unreached, err: &failure{class: Transient}})
	tour.note(stage{candidate: localhost[1], reach: declined, err: &failure{class: Refused}})
	tour.note(stage{candidate: localhost[2], reach: cut, err: &failure{class: Transient}})
	require.Equal(t, map[host]Class{localhost[0].host: Transient}, tour.shown(), "the last answer of an address counts")
	tour.note(stage{candidate: localhost[2], reach: spoke, err: &failure{class: Refused}})
	require.Equal(t, map[host]Class{localhost[0].host: Refused}, tour.shown())
}

func TestUnfitServersAreTheFallback(t *testing.T) {
	hosts := ways("a/1+", "b/2", "a/1")
	tour := newTour(newBook(), hosts, calm, noon)
	_, ok := tour.fallback()
	require.False(t, ok)
	require.Equal(t, []int{0, 1}, walk(newBook(), hosts, calm, noon, all(unfit, Transient)))
	tour.note(stage{candidate: hosts[0], reach: unfit, err: &failure{}})
	tour.note(stage{candidate: hosts[1], reach: unreached, err: &failure{}})
	c, ok := tour.fallback()
	require.True(t, ok)
	require.Equal(t, hosts[0].way, c.way)
}

func TestPatienceFollowsTheLastGoodLogIn(t *testing.T) {
	b := newBook()
	require.Equal(t, 500*time.Millisecond, b.patience())
	b.loggedIn(ways("a/1")[0].way, 100*time.Millisecond, noon)
	require.Equal(t, 500*time.Millisecond, b.patience())
	b.loggedIn(ways("a/1")[0].way, time.Second, noon)
	require.Equal(t, 4*time.Second, b.patience())
}

func TestTourProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		candidates := ways("a/1+", "a/2+", "a/1", "a/2", "b/3+", "b/3")
		b, now := newBook(), noon
		for range rapid.IntRange(1, 20).Draw(t, "orders") {
			now = now.Add(time.Duration(rapid.IntRange(0, 1500).Draw(t, "passes")) * time.Millisecond)
			given := circumstances{outage: rapid.Bool().Draw(t, "outage"), hanging: rapid.Bool().Draw(t, "hanging")}
			taken := walk(b, candidates, given, now, func(int) (reach, Class) {
				return reach(rapid.IntRange(int(unreached), int(unfit)).Draw(t, "reach")),
					Class(rapid.IntRange(int(Transient), int(Refused)).Draw(t, "class"))
			})
			require.NotEmpty(t, taken, "every order dials")
			seen := map[int]bool{}
			for _, i := range taken {
				require.False(t, seen[i], "no way is tried twice")
				seen[i] = true
			}
			if rapid.IntRange(0, 3).Draw(t, "log-in") == 0 {
				b.loggedIn(candidates[taken[len(taken)-1]].way, time.Millisecond, now)
				require.Equal(t, candidates[taken[len(taken)-1]].place,
					candidates[b.preferred(candidates, true, now)].place)
			}
		}
	})
}
