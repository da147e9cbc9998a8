package track

import (
	"bytes"
	"context"
	"errors"
	"math"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/test/bench/figures"
)

// runner is an entrant that notes its turns in a book.
func runner(name string, book *[]string, shows float64) entrant {
	return entrant{name, func(context.Context, *Track) (lane, error) {
		*book = append(*book, "open "+name)
		return lane{
			func(context.Context) (figures.Figures, error) {
				*book = append(*book, name)
				return figures.Figures{figures.Time: shows}, nil
			},
			func() error { *book = append(*book, "close "+name); return nil },
		}, nil
	}}
}

func TestContestantsTakeTurnsAfterOneThatDoesNotCount(t *testing.T) {
	var book []string
	o := (&Track{Rounds: 3}).run(t.Context(), event{entrants: []entrant{runner("a", &book, 1), runner("b", &book, 2)}})
	require.Empty(t, o.Broken)
	require.Equal(t, []string{"open a", "a", "open b", "b", "a", "b", "b", "a", "a", "b", "close a", "close b"}, book)
	require.Equal(t, []string{"a", "b"}, o.Order)
	round := figures.Round{"a": {figures.Time: 1}, "b": {figures.Time: 2}}
	require.Equal(t, []figures.Round{round, round, round}, o.Rounds)
}

func TestFreshContestantsAreOpenedForEachTurn(t *testing.T) {
	var book []string
	o := (&Track{Rounds: 5}).run(t.Context(), event{fresh: true, rounds: 2, entrants: []entrant{runner("a", &book, 1)}})
	require.Len(t, o.Rounds, 2)
	require.Equal(t, []string{"open a", "a", "close a", "open a", "a", "close a"}, book)
}

func TestOnlyThoseRunWhoAreWanted(t *testing.T) {
	var book []string
	o := (&Track{Rounds: 1, Who: regexp.MustCompile("^b$")}).run(t.Context(),
		event{entrants: []entrant{runner("a", &book, 1), runner("b", &book, 2)}})
	require.Equal(t, []string{"b"}, o.Order)
	require.Equal(t, []string{"open b", "b", "b", "close b"}, book)
}

func TestARowSaysWhyItDidNotRun(t *testing.T) {
	var book []string
	failing := func(err error) event {
		return event{entrants: []entrant{runner("a", &book, 1), {"b", func(context.Context, *Track) (lane, error) { return lane{}, err }}}}
	}
	o := (&Track{Rounds: 1}).run(t.Context(), failing(errAbsent))
	require.Equal(t, "b: "+errAbsent.Error(), o.LeftOut)
	require.Empty(t, o.Broken)
	o = (&Track{Rounds: 1}).run(t.Context(), failing(errors.New("no server")))
	require.Equal(t, "b: no server", o.Broken)
	require.Equal(t, []string{"open a", "a", "close a", "open a", "a", "close a"}, book, "whoever was opened is closed")
	o = (&Track{Rounds: 1}).run(t.Context(), event{entrants: []entrant{runner("a", &book, math.NaN())}})
	require.Contains(t, o.Broken, "is not a number")
}

func TestRowsHaveNamesAndBoundsOfThoseWhoTakePart(t *testing.T) {
	seen := map[string]bool{}
	quick := 0
	for _, e := range events() {
		require.False(t, seen[e.ID], "%s is there twice", e.ID)
		seen[e.ID] = true
		if e.quick {
			quick++
		}
		names := map[string]bool{"": true}
		for _, n := range e.entrants {
			require.False(t, names[n.name], "%s is in %s twice", n.name, e.ID)
			names[n.name] = true
		}
		require.NotEmpty(t, e.Title)
		for _, b := range e.Bounds {
			require.True(t, names[b.Of] && names[b.Over], "%s: %v is about somebody else", e.ID, b)
		}
	}
	require.Greater(t, quick, 10)
}

func TestTheProgressIsALineForEachRow(t *testing.T) {
	var out bytes.Buffer
	track := &Track{Rounds: 1, Only: regexp.MustCompile("^(tell/1|ask/1)$"), Who: regexp.MustCompile("^mutex$"), Quick: true, Progress: &out}
	outcomes := track.Run(t.Context())
	require.Len(t, outcomes, 1, "tell/1 is not part of a quick run")
	require.Equal(t, "ask/1", outcomes[0].ID)
	require.Contains(t, out.String(), "not measured")
	require.Len(t, outcomes[0].Rounds, 1)
}

func TestEveryCounterAnswersAndCounts(t *testing.T) {
	for _, c := range counters {
		t.Run(c.name, func(t *testing.T) {
			opened := c.open()
			asked, err := opened.asks(3, 10*time.Millisecond)
			require.NoError(t, err)
			require.Positive(t, asked[figures.Time])
			told, err := opened.tells(3, 10*time.Millisecond)
			require.NoError(t, err)
			require.Positive(t, told[figures.Time])
			require.NoError(t, opened.close())
		})
	}
}

func TestDriveCountsWhatEveryCallerDid(t *testing.T) {
	var calls [3]int
	done, err := drive(3, 5*time.Millisecond, func(caller int) error { calls[caller]++; return nil })
	require.NoError(t, err)
	require.Equal(t, calls[:], done.each)
	require.Equal(t, calls[0]+calls[1]+calls[2], done.operations)
	require.GreaterOrEqual(t, done.took, 5*time.Millisecond)

	broken := errors.New("broken")
	_, err = drive(2, time.Minute, func(int) error { return broken })
	require.ErrorIs(t, err, broken, "and nobody waits for the end of the window")
}

func TestEffortsAreSummedUp(t *testing.T) {
	e := effort{operations: 400, took: 2 * time.Second, worked: time.Second, allocs: 419, each: []int{50, 150, 200}}
	require.InDelta(t, 5e6, e.perOperation(), 0)
	require.InDelta(t, 2.5e6, e.work(), 0)
	require.InDelta(t, 200, e.perSecond(), 0)
	require.InDelta(t, 1, e.allocations(), 1e-9)
	require.InDelta(t, 0.375, e.least(), 1e-9)
}
