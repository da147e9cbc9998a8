package retry

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestBudgetSlides(t *testing.T) {
	b, now := newBudget(), time.Unix(1000, 0)
	require.Equal(t, now, b.allowedAt(now, 1))
	b.spend("a", now)
	b.spend("a", now.Add(time.Second))
	require.Equal(t, 2, b.spent("a", now.Add(time.Second)))
	require.Equal(t, now.Add(budgetWindow+time.Second), b.allowedAt(now.Add(time.Second), 1))
	require.Equal(t, now.Add(budgetWindow), b.allowedAt(now.Add(time.Second), 2))
	require.Equal(t, 1, b.spent("a", now.Add(budgetWindow)))
	b.spend("b", now.Add(budgetWindow))
	b.spend("b", now.Add(budgetWindow))
	require.Equal(t, 2, b.most(now.Add(budgetWindow)), "each address has its own")
	require.Equal(t, now.Add(2*budgetWindow), b.allowedAt(now.Add(budgetWindow), 2))
	b.clear()
	require.Zero(t, b.most(now.Add(budgetWindow)))
	require.Zero(t, b.spent("a", now.Add(budgetWindow)))
}

func TestWhoeverAsksTheBudgetKeepsTheBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, now := newBudget(), time.Unix(1000, 0)
		limit := rapid.IntRange(1, 20).Draw(t, "limit")
		var calls []time.Time
		for _, pause := range rapid.SliceOfN(rapid.Int64Range(0, int64(time.Second)), 1, 100).Draw(t, "pauses") {
			now = now.Add(time.Duration(pause))
			may := b.spent("a", now) < limit
			require.Equal(t, may, !b.allowedAt(now, limit).After(now))
			if may {
				b.spend("a", now)
				calls = append(calls, now)
			} else {
				at := b.allowedAt(now, limit)
				require.Less(t, len(inWindow(calls, at)), limit, "there is room then")
				require.GreaterOrEqual(t, len(inWindow(calls, at.Add(-1))), limit, "not earlier than needed")
			}
			require.LessOrEqual(t, len(inWindow(calls, now)), limit)
		}
	})
}

func inWindow(calls []time.Time, now time.Time) []time.Time {
	var within []time.Time
	for _, at := range calls {
		if now.Sub(at) < budgetWindow {
			within = append(within, at)
		}
	}
	return within
}
