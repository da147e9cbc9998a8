package poolactor

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func anyView(t *rapid.T) view {
	n := func(name string, most int) int { return rapid.IntRange(0, most).Draw(t, name) }
	b := func(name string) bool { return rapid.Bool().Draw(t, name) }
	v := view{
		open: b("open"), waiting: n("waiting", 40), idle: n("idle", 10),
		opening: n("opening", 5), scouting: n("scouting", 5), inUse: n("inUse", 20),
		max: n("max", 24), min: n("min", 10), minIdle: n("minIdle", 5), maxDials: 1 + n("maxDials", 5),
		outage: b("outage"), backoff: b("backoff"), scout: b("scout"),
	}
	v.served = rapid.IntRange(0, v.waiting).Draw(t, "served")
	v.closing = n("closing", 5)
	v.counted = v.opening + v.scouting + v.inUse + v.closing
	return v
}

// Invariant 2: no dial begins while open + opening + closing >= max, nor beyond the dials in flight.
func TestOrdersNeverOvershoot(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := anyView(t)
		placed := v.orders()
		require.GreaterOrEqual(t, placed, 0)
		if placed == 0 {
			return
		}
		require.True(t, v.open)
		require.LessOrEqual(t, v.counted+placed, v.max)
		if !v.outage {
			require.LessOrEqual(t, v.opening+v.scouting+placed, v.maxDials)
		} else {
			require.LessOrEqual(t, v.opening+v.scouting+placed, v.maxDials+1, "one that hangs gives way")
			require.False(t, v.backoff)
			require.Equal(t, 1, placed, "one scheduled attempt at a time")
			require.Zero(t, v.opening)
		}
	})
}

func TestOrdersInAnOutage(t *testing.T) {
	v := view{open: true, outage: true, waiting: 5, max: 24, maxDials: 4}
	require.Equal(t, 1, v.orders())
	v.opening, v.counted = 1, 1
	require.Zero(t, v.orders(), "one scheduled attempt at a time")
	v.opening, v.counted, v.backoff = 0, 0, true
	require.Zero(t, v.orders(), "none before its time")
}

// Invariant 4, its half about dials: a waiter that nothing is on its way to gets an order if there is room for one.
func TestAWaiterWithoutSupplyGetsADial(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := anyView(t)
		unserved := v.waiting - v.served - v.opening - v.scouting
		if unserved > 0 && v.room() > 0 {
			require.Positive(t, v.orders())
		}
		if unserved <= 0 && v.inUse+v.opening >= v.min && v.idle+v.opening >= v.minIdle {
			require.Zero(t, v.orders(), "nobody needs more")
		}
	})
}

func TestAWaiterWithSupplyGetsNoDial(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		waiting := rapid.IntRange(1, 40).Draw(t, "waiting")
		coming := rapid.IntRange(0, waiting).Draw(t, "coming")
		v := view{open: true, max: 50, maxDials: 50, waiting: waiting, served: waiting - coming, opening: coming, counted: coming}
		require.Positive(t, v.room())
		require.Zero(t, v.orders())
		v.served--
		if v.served >= 0 {
			require.Equal(t, 1, v.orders())
		}
	})
}

func TestAScoutIgnoresTheBackoffAndNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := anyView(t)
		if !v.sendScout() {
			return
		}
		require.True(t, v.scout && v.open && v.outage)
		require.Less(t, v.counted, v.max)
		require.LessOrEqual(t, v.opening+v.scouting, v.maxDials, "one more than allowed takes the place of one that hangs")
		require.False(t, v.stifled())
		v.backoff = !v.backoff
		require.True(t, v.sendScout())
	})
}

func anyWords(t *rapid.T) ([]word, []int) {
	words := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) word {
		w := word(0).to(state(rapid.IntRange(int(empty), int(gone)).Draw(t, "state")))
		if rapid.Bool().Draw(t, "retire") && w.state() == leased {
			w = w.with(flagRetire)
		}
		return w
	}), 1, 24).Draw(t, "words")
	order := rapid.Permutation(indices(len(words))).Draw(t, "coldest")
	return words, order
}

func indices(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// carry applies a plan and says how many slots count then, and how many of those will leave by themselves.
func carry(words []word, plan []step) (counted, leavingNow int) {
	after := append([]word(nil), words...)
	for _, s := range plan {
		switch s.do {
		case revokeOrder:
			after[s.slot] = after[s.slot].to(empty)
		case doomResting, doomFree:
			after[s.slot] = after[s.slot].to(doomed)
		case retireBusy:
			after[s.slot] = after[s.slot].with(flagRetire)
		}
	}
	for _, w := range after {
		if roleOf(w) != vacant {
			counted++
			if leaving(w) {
				leavingNow++
			}
		}
	}
	return counted, leavingNow
}

func TestShrinkReachesTheTargetAndNotLess(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words, coldest := anyWords(t)
		target := rapid.IntRange(0, 24).Draw(t, "target")
		before, leavingBefore := carry(words, nil)
		plan := shrink(words, coldest, target)
		counted, leavingAfter := carry(words, plan)
		if before <= target {
			require.Empty(t, plan)
			return
		}
		require.LessOrEqual(t, counted-leavingAfter, target, "what stays is within the target")
		require.GreaterOrEqual(t, counted-leavingAfter, min(target, before-leavingBefore-orders0(words)), "and not less than need be")
		require.Empty(t, shrink(after(words, plan), coldest, target), "a plan that was carried out leaves nothing to do")
	})
}

func orders0(words []word) int {
	n := 0
	for _, w := range words {
		if w.state() == wanted {
			n++
		}
	}
	return n
}

func after(words []word, plan []step) []word {
	out := append([]word(nil), words...)
	for _, s := range plan {
		switch s.do {
		case revokeOrder:
			out[s.slot] = out[s.slot].to(empty)
		case doomResting, doomFree:
			out[s.slot] = out[s.slot].to(doomed)
		case retireBusy:
			out[s.slot] = out[s.slot].with(flagRetire)
		}
	}
	return out
}

// The order of a shrink: every order before any credit, resting before free before leased, the coldest first.
func TestShrinkTakesTheCheapestFirst(t *testing.T) {
	words := []word{
		word(0).to(leased), word(0).to(free), word(0).to(resting), word(0).to(resting), word(0).to(wanted), word(0).to(closing),
	}
	coldest := []int{3, 2, 1, 0, 5, 4}
	does := func(target int) (slots []int, changes []change) {
		for _, s := range shrink(words, coldest, target) {
			slots, changes = append(slots, s.slot), append(changes, s.do)
		}
		return slots, changes
	}
	slots, changes := does(5)
	require.Equal(t, []int{4}, slots, "the order goes although a closing connection would make up for it")
	require.Equal(t, []change{revokeOrder}, changes)
	slots, _ = does(3)
	require.Equal(t, []int{4, 3}, slots, "one is closing already: one resting, the coldest")
	slots, changes = does(0)
	require.Equal(t, []int{4, 3, 2, 1, 0}, slots)
	require.Equal(t, []change{revokeOrder, doomResting, doomResting, doomFree, retireBusy}, changes)
}

// What the audit and a hint do with a slot depends on nothing but its word, and nothing is closed for being ambiguous.
func TestAdoptIsTotal(t *testing.T) {
	for s := empty; s <= gone; s++ {
		got := adopt(word(0).to(s))
		switch s {
		case broken, doomed:
			require.Equal(t, throwOut, got, s)
		case opened, resting, free:
			require.Equal(t, takeUp, got, s)
			require.Equal(t, throwOut, adopt(word(0).to(s).with(flagRetire)), s)
		case wanted, dialing:
			require.Equal(t, repeatCall, got, s)
		case failed, gone:
			require.Equal(t, clearOut, got, s)
		default:
			require.Equal(t, countOnly, got, s)
		}
		require.NotEmpty(t, s.String())
	}
}
