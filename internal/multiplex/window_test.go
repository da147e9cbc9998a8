package multiplex

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// grow lets a lane answer as much as its window and its server allow, until the window does not change any more.
func grow(w *window, trip time.Duration, perSecond float64) int {
	size := narrowest
	for range 3 * remembered {
		rate := min(perSecond, float64(size)/trip.Seconds())
		size = w.turn(int(rate*keepEvery.Seconds()), keepEvery, trip)
	}
	return size
}

func TestTheWindowFollowsTheRoundTrip(t *testing.T) {
	require.Equal(t, narrowest, grow(new(window), 50*time.Microsecond, 30_000), "next door")
	require.InDelta(t, gain*30_000*0.002, grow(new(window), 2*time.Millisecond, 30_000), 3, "a millisecond away")
	require.Equal(t, widest, grow(new(window), 100*time.Millisecond, 30_000), "on another continent")
}

func TestTheWindowForgets(t *testing.T) {
	w := new(window)
	require.Greater(t, grow(w, 2*time.Millisecond, 30_000), 100)
	for range remembered {
		w.turn(0, keepEvery, 0)
	}
	require.Equal(t, narrowest, w.turn(0, keepEvery, 0))
}

func TestLanesFor(t *testing.T) {
	require.Zero(t, lanesFor(shareFrom-1))
	require.Equal(t, 1, lanesFor(shareFrom))
	require.Equal(t, 1, lanesFor(perLane))
	require.Equal(t, 2, lanesFor(perLane+1))
}

func TestTheQueueKeepsItsOrder(t *testing.T) {
	var q queue
	next, taken := 0, 0
	made := map[*request]int{}
	for round := range 500 {
		for range round % 7 {
			r := &request{}
			made[r] = next
			next++
			q.push(r)
		}
		for range min(q.size, round%5) {
			require.Equal(t, taken, made[q.pop()])
			taken++
		}
		if q.size > 1 { // what comes back from a lost lane
			a, b := q.pop(), q.pop()
			q.pushFront(b)
			q.pushFront(a)
		}
	}
	for q.size > 0 {
		require.Equal(t, taken, made[q.pop()])
		taken++
	}
	require.Equal(t, next, taken)
}

func TestTextsForgetWhatIsNotUsed(t *testing.T) {
	var texts Texts
	used := texts.Of("select 1")
	require.Same(t, used, texts.Of("select 1"))
	for i := range 10 * maxTexts {
		texts.Of("select 1 as a" + string(rune('a'+i%26)) + time.Duration(i).String())
		require.Same(t, used, texts.Of("select 1"))
	}
	require.LessOrEqual(t, len(texts.young)+len(texts.old), 2*maxTexts)
}
