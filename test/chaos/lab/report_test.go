package lab

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// reported is a row of each kind.
func reported() []Outcome {
	quick := Result{Pool: Ours, First: []time.Duration{time.Millisecond}, Setup: "5 connections"}
	timed := []Bound{DialsWithin(80), FirstWithin(time.Second)}
	return []Outcome{
		{Row: Row{ID: "1"}, Ours: []Result{{Pool: Ours}}, Peers: []Result{{Pool: Pgxpool}}, Judged: true},
		{Row: Row{ID: "2"}, Ours: []Result{{Pool: Ours}}, Wrong: []string{"too late"}, Judged: true},
		{Row: Row{ID: "3"}, LeftOut: "no Docker engine"},
		{Row: Row{ID: "4"}, Err: errors.New("no server:\n\t| is no pipe")},
		{Row: Row{ID: "5"}, Ours: []Result{{Pool: Ours}}, Judged: true, Err: errors.New("no server for a peer")},
		{Row: Row{ID: "6", Bounds: timed}, Ours: slices.Repeat([]Result{quick}, 4), Judged: true},
		{Row: Row{ID: "7", Bounds: timed}, Ours: slices.Repeat([]Result{quick}, 5), Judged: true},
	}
}

func TestEveryLineOfTheTableHasAllColumns(t *testing.T) {
	var table strings.Builder
	require.NoError(t, NewReport(reported(), "").Table(&table))
	lines := strings.Split(strings.TrimSpace(table.String()), "\n")
	require.Len(t, lines, 2+7+1+2, "the head, a line each, a peer's, and two of what was broken off")
	for _, line := range lines {
		require.Equal(t, strings.Count(lines[0], "|"), strings.Count(strings.ReplaceAll(line, `\|`, ""), "|"), line)
	}
}

func TestAReportSaysWhatItDoesNotKnow(t *testing.T) {
	var verdicts []string
	for _, o := range reported() {
		verdicts = append(verdicts, o.Verdict())
	}
	require.Equal(t, []string{"kept", "outside", "left out", "broken off", "kept", "kept, times not judged", "kept"}, verdicts)
	r := NewReport(reported(), "make chaos ARGS='-repeat 1'")
	require.Equal(t, 1, r.Outside())
	require.Equal(t,
		"7 rows: 4 inside their bounds, 1 outside, 1 left out, 2 broken off; in 1 of those inside, times were not judged", r.Summary())

	file := filepath.Join(t.TempDir(), "table.md")
	require.NoError(t, r.WriteFile(t.Context(), file))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Contains(t, string(text), "Made by `make chaos ARGS='-repeat 1'` on ")
	require.Contains(t, string(text), r.Summary())
	require.Contains(t, string(text), "20 connections and 32 callers with deadlines of 30s")
	require.Contains(t, string(text), "with 5 connections")
	require.Contains(t, string(text), "later than 2ms after the backend's")
	require.Contains(t, string(text), "more than 4 and one\nin 20 of a round's failures")
	_, raw, _ := strings.Cut(string(text), "```json\n")
	raw, _, _ = strings.Cut(raw, "\n```")
	var read findings
	require.NoError(t, json.Unmarshal([]byte(raw), &read))
	require.Len(t, read.Rows, 7)
	require.Equal(t, "no Docker engine", read.Rows[2].LeftOut)
	require.Equal(t, "no server:\n\t| is no pipe", read.Rows[3].Broken)
	require.Equal(t, []string{"too late"}, read.Rows[1].Wrong)
	require.Equal(t, "kept, times not judged", read.Rows[5].Verdict)
	require.Positive(t, read.Machine.Cores)
	require.NotEmpty(t, read.Machine.Go)
}

func TestASetupIsToldWhereItIsNotTheUsualOne(t *testing.T) {
	usual := Setup{Callers: defaultCallers, Patience: patience, Tuning: Tuning{Size: defaultSize}}
	require.Empty(t, usual.differs())
	other := usual
	other.Callers, other.Patience, other.Tuning.Size, other.Think = 16, time.Second, 5, time.Minute
	other.Results, other.Load = true, (*workload).call
	require.Equal(t, "5 connections, 16 callers, deadlines of 1s, calls of the row's own, half of the calls read a long result, "+
		"pauses of up to 1m0s between calls", other.differs())
}

func TestErrorsOfOneKindAreCountedTogether(t *testing.T) {
	var calls []Call
	for _, text := range []string{
		"dial tcp 127.0.0.1:40312: refused", "dial tcp 127.0.0.1:40313: refused", "gave up after 1.25s", "gave up after 30ms",
		"gave up after 1m30s", "read only (SQLSTATE 25006)", "terminated (SQLSTATE 57P01)",
	} {
		calls = append(calls, Call{Err: errors.New(text)}, Call{})
	}
	require.Equal(t, []failure{
		{"gave up after #", 3}, {"dial tcp 127.0.0.1:#: refused", 2}, {"read only (SQLSTATE 25006)", 1}, {"terminated (SQLSTATE 57P01)", 1},
	}, failuresOf(calls))
}
