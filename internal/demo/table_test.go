package demo

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheTableIsHeldAgainstTheKeys(t *testing.T) {
	a, b := &keys{caller: 0}, &keys{caller: 1}
	key := func(k *keys, o outcome) int64 {
		n := k.next()
		k.set(n, o)
		return n
	}
	good, missing := key(a, acknowledged), key(a, acknowledged)
	lost, arrived := key(b, unknown), key(b, unknown)
	never, ghost := b.next(), b.next()
	twice := key(b, acknowledged)
	require.NotEqual(t, missing, lost)

	audited := func(rows map[int64]int64) audit {
		auditor := newAuditor([]*keys{a, b})
		for key, count := range rows {
			auditor.see(key, count)
		}
		return auditor.close()
	}
	require.Equal(t, audit{acknowledged: 3, missing: 1, twice: 1, ghosts: 4, unknown: 2, arrived: 1}, audited(map[int64]int64{
		good: 1, arrived: 1, ghost: 1, twice: 2, 7<<numberBits + 1: 1, 1<<numberBits + 99: 1, -1: 1,
	}))
	sound := audited(map[int64]int64{good: 1, missing: 1, twice: 1, lost: 1})
	require.Equal(t, audit{acknowledged: 3, unknown: 2, arrived: 1}, sound)
	require.True(t, sound.sound())
	require.NotZero(t, never)
	for _, bad := range []audit{{missing: 1}, {twice: 1}, {ghosts: 1}} {
		require.False(t, bad.sound())
	}
}

func TestReadsKnowOnlyWhatWasAcknowledged(t *testing.T) {
	k := &keys{caller: 3}
	_, known := k.any()
	require.False(t, known)
	k.set(k.next(), unknown)
	k.next()
	_, known = k.any()
	require.False(t, known)
	for range 3 * remembered {
		k.set(k.next(), acknowledged)
	}
	require.Len(t, k.sure, remembered)
	key, known := k.any()
	require.True(t, known)
	require.Equal(t, acknowledged, k.outcomes[key-3<<numberBits])
}
