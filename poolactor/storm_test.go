package poolactor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

// logged runs f in fake time with a channel to a log's writer, and returns the lines.
func logged(t *testing.T, f func(chan<- Event)) (lines []map[string]any) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := zerolog.New(&out)
		events, done := make(chan Event), make(chan struct{})
		go func() {
			defer close(done)
			logAll(events, &log)
		}()
		f(events)
		close(events)
		<-done
		lines = parsed(t, out.Bytes())
	})
	return lines
}

func parsed(t *testing.T, text []byte) (lines []map[string]any) {
	t.Helper()
	for raw := range bytes.Lines(text) {
		var line map[string]any
		require.NoError(t, json.Unmarshal(raw, &line))
		lines = append(lines, line)
	}
	return lines
}

func deadEnd(n int) Event {
	return Event{At: time.Now(), Kind: EventCheckFailed, Slot: n, PID: uint32(n + 1), Err: fmt.Errorf("end %d", n)}
}

func TestAStormIsSummedUp(t *testing.T) {
	lines := logged(t, func(events chan<- Event) {
		for n := range 3000 {
			events <- deadEnd(n)
		}
		pass(time.Second)
		for n := range 2000 {
			events <- deadEnd(n)
		}
		events <- Event{At: time.Now(), Kind: EventOutage, Err: errors.New("gone")}
		pass(3 * time.Second)
		events <- deadEnd(7)
	})
	require.Len(t, lines, stormBegins+4)
	for n := range stormBegins {
		require.EqualValues(t, n+1, lines[n]["pid"], "the first are whole")
		require.NotContains(t, lines[n], "count")
	}
	sum := lines[stormBegins]
	require.Equal(t, "warn", sum["level"])
	require.Equal(t, "check_failed", sum["event"])
	require.EqualValues(t, 3000-stormBegins, sum["count"])
	require.EqualValues(t, 1000, sum["within"])
	require.Equal(t, "end 2999", sum["cause"])
	require.Equal(t, "outage", lines[stormBegins+1]["event"], "others are not held back")
	require.EqualValues(t, 2000, lines[stormBegins+2]["count"], "in a storm there is only its number")
	require.EqualValues(t, 8, lines[stormBegins+3]["pid"], "it is over")
}

func TestAStormEndsInATrickle(t *testing.T) {
	lines := logged(t, func(events chan<- Event) {
		for n := range 100 {
			events <- deadEnd(n)
		}
		pass(stormSecond + 1)
		events <- deadEnd(0)
		events <- deadEnd(1)
		pass(stormSecond)
		events <- deadEnd(2)
	})
	require.Len(t, lines, stormBegins+3)
	require.EqualValues(t, 2, lines[stormBegins+1]["count"], "it is still the storm")
	require.EqualValues(t, 3, lines[stormBegins+2]["pid"], "it is over")
}

func TestAFewEqualEventsAreNoStorm(t *testing.T) {
	lines := logged(t, func(events chan<- Event) {
		for n := range 20 {
			for range stormBegins {
				events <- deadEnd(n)
			}
			pass(stormSecond)
		}
	})
	require.Len(t, lines, 20*stormBegins)
}

func TestAStormIsOneWhoeverItIsAbout(t *testing.T) {
	lines := logged(t, func(events chan<- Event) {
		for n := range 100 {
			events <- Event{Kind: EventForgotten, PID: 1, Label: fmt.Sprint(n)}
		}
		pass(stormSecond + 1)
		for range 100 {
			events <- Event{Kind: EventForgotten, PID: 1, Label: "report"}
		}
	})
	require.Len(t, lines, stormBegins+2)
	for n := range stormBegins {
		require.Equal(t, fmt.Sprint(n), lines[n]["label"])
	}
	require.EqualValues(t, 100-stormBegins, lines[stormBegins]["count"])
	require.NotContains(t, lines[stormBegins], "label", "there are many")
	require.EqualValues(t, 100, lines[stormBegins+1]["count"])
	require.Equal(t, "report", lines[stormBegins+1]["label"], "there is one")
}

func TestTheEndOfALogSumsUp(t *testing.T) {
	lines := logged(t, func(events chan<- Event) {
		for range 9 {
			events <- Event{Kind: EventPanicked, What: "BeforeClose", Err: errors.New("bang")}
		}
		pass(300 * time.Millisecond)
	})
	require.Len(t, lines, stormBegins+1)
	last := lines[stormBegins]
	require.EqualValues(t, 9-stormBegins, last["count"])
	require.EqualValues(t, 300, last["within"])
	require.Equal(t, "BeforeClose", last["what"])
	require.Equal(t, "error", last["level"])
}

// TestNoEventIsLeftOut: what is logged whole and what the sums say is all that happened.
func TestNoEventIsLeftOut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		going, happened, told := storms{}, map[string]int{}, map[string]int{}
		for range rapid.IntRange(1, 20).Draw(t, "seconds") {
			for _, n := range rapid.SliceOfN(rapid.IntRange(0, 3), 0, 40).Draw(t, "events") {
				e := Event{Kind: EventPanicked, What: fmt.Sprint(n)}
				happened[e.What]++
				if going.admit(e) {
					told[e.What]++
				}
			}
			for _, one := range going.turn() {
				told[one.last.What] += one.held
			}
		}
		require.Equal(t, happened, told)
		going.turn()
		require.Empty(t, going)
	})
}

// TestAFailedCheckIsOneLine: whoever found out, and however often.
func TestAFailedCheckIsOneLine(t *testing.T) {
	for name, fail := range map[string]func(*fakepg.Server){
		"dead":                    func(s *fakepg.Server) { s.Terminate("57P01") },
		"silent, and then closed": func(s *fakepg.Server) { s.Freeze(); pass(5 * time.Second); s.Stop() },
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			log := zerolog.New(&out)
			inMemory(t, func(c *Config) { c.Logger, c.MinSize, c.MaxSize = &log, 1, 1 }, func(t *testing.T, p *Pool, s *fakepg.Server) {
				require.NoError(t, p.WaitReady(t.Context()))
				pass(2 * time.Second)
				fail(s)
				pass(30 * time.Second)
				synctest.Wait()
				require.EqualValues(t, 1, p.Stat().FailedCheck)
			})
			found := 0
			for _, line := range parsed(t, out.Bytes()) {
				if line["event"] == "check_failed" {
					found++
				}
			}
			require.Equal(t, 1, found, "%s", out.String())
		})
	}
}
