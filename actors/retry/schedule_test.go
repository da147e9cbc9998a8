package retry

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed-4ff2b7b9/supervised/messages"
)

func TestLengthIsTheSumOfTheWaits(t *testing.T) {
	require.Equal(t, 15500*time.Millisecond, Length(500*time.Millisecond, 30*time.Second, 5))
	require.Equal(t, 3500*time.Millisecond, Length(500*time.Millisecond, 30*time.Second, 3))
	require.Zero(t, Length(500*time.Millisecond, 30*time.Second, 0))
	require.Equal(t, 7*time.Second, Length(time.Second, 2*time.Second, 4), "1 s, then the cap")
}

func TestWaitsDoubleUpToTheCap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := schedule{
			initial: time.Duration(rapid.Int64Range(1, int64(10*time.Second)).Draw(t, "initial")),
			max:     time.Duration(rapid.Int64Range(int64(10*time.Second), int64(time.Minute)).Draw(t, "max")),
		}
		require.Equal(t, s.initial, s.wait(0))
		require.Equal(t, s.initial, s.wait(1))
		for n := 2; n < 40; n++ {
			require.Equal(t, min(2*s.wait(n-1), s.max), s.wait(n))
		}
	})
}

func TestJitterTakesOffAFraction(t *testing.T) {
	s := schedule{initial: time.Second, max: time.Second, jitter: 0.1, chance: rand.Float64}
	least, most := time.Hour, time.Duration(0)
	for range 1000 {
		w := s.wait(1)
		least, most = min(least, w), max(most, w)
	}
	require.GreaterOrEqual(t, least, 900*time.Millisecond)
	require.Less(t, least, 920*time.Millisecond)
	require.LessOrEqual(t, most, time.Second)
	require.Greater(t, most, 980*time.Millisecond)
}

// plain is a schedule without chance.
var plain = schedule{initial: 500 * time.Millisecond, max: 30 * time.Second}

func TestOutageByScheduledFailures(t *testing.T) {
	began := time.Unix(1000, 0)
	down := &failure{class: Transient, text: "connection refused"}

	first, counted := plain.after(messages.Outage{Failures: 7}, ending{err: down, news: true}, began)
	require.True(t, counted)
	require.Equal(t, messages.Outage{
		Since: began, Attempts: 1, Failures: 8, NotBefore: began.Add(500 * time.Millisecond), Cause: down,
	}, first)

	later := began.Add(600 * time.Millisecond)
	second, counted := plain.after(first, ending{err: down, news: true}, later)
	require.True(t, counted)
	require.Equal(t, began, second.Since)
	require.Equal(t, 2, second.Attempts)
	require.Equal(t, later.Add(time.Second), second.NotBefore)

	same, counted := plain.after(second, ending{err: down}, later)
	require.False(t, counted, "it began together with the one that was counted")
	require.Equal(t, second, same)

	require.Equal(t, messages.Outage{Failures: 9}, over(second))
}

func TestPatienceIsNoFailureButNoStormEither(t *testing.T) {
	now := time.Unix(1000, 0)
	starting := &failure{class: Wait, text: "the database system is starting up"}
	first, counted := plain.after(messages.Outage{}, ending{err: starting, news: true}, now)
	require.False(t, counted)
	require.Equal(t, messages.Outage{Since: now, NotBefore: now.Add(time.Second), Cause: starting}, first)

	third := messages.Outage{Since: now, Attempts: 3, Failures: 3, Cause: &failure{}, Refused: true}
	next, counted := plain.after(third, ending{err: starting, news: true}, now)
	require.False(t, counted)
	require.Equal(t, 3, next.Attempts)
	require.Equal(t, now.Add(2*time.Second), next.NotBefore)
	require.False(t, next.Refused)
}

func TestRefusalAndTheWayBack(t *testing.T) {
	now := time.Unix(1000, 0)
	refusal, down := &failure{class: Refused, text: "password"}, &failure{text: "connection refused"}
	o, counted := plain.after(messages.Outage{}, ending{err: refusal, news: true}, now)
	require.True(t, counted)
	require.True(t, o.Refused)

	o, counted = plain.after(o, ending{err: down, scout: true, news: true}, now)
	require.False(t, counted)
	require.False(t, o.Refused, "a scout found the server down: waiting helps again")
	require.Equal(t, error(down), o.Cause)
	require.Equal(t, 1, o.Attempts)

	o, _ = plain.after(o, ending{err: refusal, scout: true}, now)
	require.True(t, o.Refused)
}

func TestSilenceOpensAnOutageWithoutAFailure(t *testing.T) {
	now := time.Unix(1000, 0)
	o := plain.overdue(messages.Outage{Failures: 4}, time.Second, now)
	require.Equal(t, now, o.Since)
	require.Zero(t, o.Attempts)
	require.EqualValues(t, 4, o.Failures)
	require.Equal(t, now.Add(500*time.Millisecond), o.NotBefore)
	require.ErrorContains(t, o.Cause, "no log-in within 1s")
	require.Equal(t, o, plain.overdue(o, time.Second, now.Add(time.Minute)), "it is open already")
}

func TestOutageProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(1000, 0)
		var o messages.Outage
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "passes")))
			if rapid.IntRange(0, 9).Draw(t, "log-in") == 0 {
				o = over(o)
				require.True(t, o == messages.Outage{Failures: o.Failures})
				continue
			}
			e := ending{
				err:   &failure{class: rapid.SampledFrom([]Class{Transient, Wait, Refused}).Draw(t, "class")},
				scout: rapid.Bool().Draw(t, "scout"),
				news:  rapid.Bool().Draw(t, "news"),
			}
			next, counted := plain.after(o, e, now)
			require.Equal(t, counted, !e.scout && e.news && e.err.class != Wait)
			require.Equal(t, counted, next.Failures == o.Failures+1)
			require.Equal(t, counted, next.Attempts == o.Attempts+1)
			if e.scout || !e.news {
				require.Equal(t, o.Since, next.Since, "only scheduled news opens an outage")
				require.Equal(t, o.NotBefore, next.NotBefore)
			} else {
				require.False(t, next.Since.IsZero())
				require.GreaterOrEqual(t, next.NotBefore.Sub(now), plain.initial)
				require.LessOrEqual(t, next.NotBefore.Sub(now), plain.max)
				require.Equal(t, e.err.class == Refused, next.Refused)
			}
			o = next
		}
	})
}

func TestFailureKeepsItsClass(t *testing.T) {
	require.Equal(t, Wait, Classify(&failure{class: Wait}))
	require.Equal(t, Refused, Classify(errors.Join(errors.New("x"), &failure{class: Refused})))
	require.Equal(t, Transient, Classify(nil))
}
