package poolactor

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func anyWord(t *rapid.T) word {
	return word(rapid.Uint64().Draw(t, "bits"))&^stateMask | word(rapid.IntRange(int(empty), int(gone)).Draw(t, "state"))
}

// Each change of a word touches its own field and no other.
func TestWordFieldsAreIndependent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := anyWord(t)
		to := state(rapid.IntRange(int(empty), int(gone)).Draw(t, "to"))

		moved := w.to(to)
		require.Equal(t, to, moved.state())
		require.Equal(t, w&^stateMask, moved&^stateMask)

		next := w.nextToken()
		require.Equal(t, w.tid()+1, next.tid())
		require.Equal(t, w&^tidMask, next&^tidMask)

		granted := w.lease()
		require.Equal(t, leased, granted.state())
		require.Equal(t, (w.gen()+1)&(1<<40-1), granted.gen())
		require.Equal(t, w.tid(), granted.tid())
		require.Equal(t, w&flagsMask, granted&flagsMask)

		for _, f := range []word{flagRetire, flagRevoked, flagScout, flagSevere} {
			require.True(t, w.with(f).has(f))
			require.Equal(t, w|f, w.with(f))
			require.False(t, w.plain().has(f))
		}
		require.Equal(t, w&^flagsMask, w.plain())
	})
}

func TestAtomicWordMovesOnlyFromTheGivenStates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := anyWord(t)
		var a atomicWord
		a.v.Store(uint64(w))
		before, ok := a.move(broken, leased, checking)
		require.Equal(t, w, before)
		require.Equal(t, w.state() == leased || w.state() == checking, ok)
		if ok {
			require.Equal(t, w.to(broken), a.Load())
		} else {
			require.Equal(t, w, a.Load())
		}
	})
}

func TestAtomicWordFlags(t *testing.T) {
	var a atomicWord
	require.False(t, a.flag(flagRetire, leased), "an empty slot takes no wish")
	a.v.Store(uint64(word(0).to(leased)))
	require.True(t, a.flag(flagRetire, leased))
	require.True(t, a.flag(flagRetire, leased), "a flag that is set stays set")
	require.Equal(t, word(0).to(leased).with(flagRetire), a.Load())
}

func TestGateDistrustsOncePerEpoch(t *testing.T) {
	var g atomicGate
	seen := g.Load()
	require.True(t, g.distrust(seen))
	require.False(t, g.distrust(seen), "what was verified before this epoch says nothing about it")
	g.set(gateSuspended)
	require.False(t, g.Load().open())
	require.True(t, g.distrust(g.Load()), "a suspended pool still learns")
	require.True(t, g.Load().suspended())
	require.NotEqual(t, seen, g.Load().epoch())
	g.clear(gateSuspended)
	require.True(t, g.Load().open())
	g.set(gateClosed)
	require.True(t, g.Load().closed())
}
