package figures_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/test/bench/figures"
)

// report has a row that is inside, one that is outside, one that was left out and one that broke off.
func report(time float64) *figures.Report {
	order := []string{ours, peer}
	return &figures.Report{
		Command: "make bench", Machine: "a machine", Commit: "0123456789ab", Took: "1m0s",
		Outcomes: []figures.Outcome{
			{
				Row: figures.Row{
					ID: "acquire/1", Title: "acquire, 1 caller", Setup: "no query", X: 1,
					Bounds: []figures.Bound{figures.AtMost(ours, figures.Time, 0.6, peer)},
				},
				Order: order, Rounds: rounds(figures.Time, [2]float64{time, 1000}),
			},
			{
				Row: figures.Row{
					ID: "shared/8", Title: "shared | 8 callers",
					Bounds: []figures.Bound{
						figures.AtLeast(ours, figures.Throughput, 2, peer),
						figures.Under(ours, figures.Throughput, 1e6),
					},
				},
				Order: order, Rounds: rounds(figures.Throughput, [2]float64{15_000, 10_000}),
			},
			{Row: figures.Row{ID: "far/8", Title: "far"}, LeftOut: "no such thing"},
			{Row: figures.Row{ID: "idle", Title: "idle"}, Broken: "a pipe\nburst"},
		},
	}
}

func TestTheTableTellsEachBound(t *testing.T) {
	require.Equal(t, `| row | measure | of | against | measured: median (least–largest) | bound | verdict |
|---|---|---|---|---|---|---|
| acquire, 1 caller | time | ours: 500 ns | peer: 1 µs | **0.50** (0.50–0.50) | ≤ 0.60 × peer | inside |
| shared \| 8 callers | throughput | ours: 15.0 k/s | peer: 10.0 k/s | **1.50** (1.50–1.50) | ≥ 2.00 × peer | **outside** |
| shared \| 8 callers | throughput | ours: 15.0 k/s |  | **15.0 k/s** (15.0 k/s–15.0 k/s) | ≤ 1.00 M/s | inside |
| far | | | | | | left out: no such thing |
| idle | | | | | | **broken off**: a pipe burst |
`, report(500).Table())
}

func TestRoundsAreWhatBenchstatReads(t *testing.T) {
	r := report(500)
	r.Outcomes = r.Outcomes[:2]
	r.Outcomes[1].Rounds = []figures.Round{{ours: {figures.Tail: 2.5, figures.Throughput: 12345678}}, {peer: {figures.P99: 7}}}
	r.Outcomes[0].Rounds = r.Outcomes[0].Rounds[:1]
	r.Outcomes[1].Order = []string{ours, peer}
	require.Equal(t, `Unit op/s better=higher
Unit least-served better=higher
BenchmarkAcquire/1/who=ours 1 500 ns/op
BenchmarkAcquire/1/who=peer 1 1000 ns/op
BenchmarkShared/8/who=ours 1 1.23457e+07 op/s 2.5 p99.9-by-p50
BenchmarkShared/8/who=peer 1 7 p99
`, r.Rounds())
}

func TestEverybodyIsShownWithWhatHeShowed(t *testing.T) {
	require.Equal(t, `| row | measure | who: median (least–largest) |
|---|---|---|
| acquire, 1 caller | time | ours: 500 ns (500 ns–500 ns); peer: 1 µs (1 µs–1 µs) |
| shared \| 8 callers | throughput | ours: 15.0 k/s (15.0 k/s–15.0 k/s); peer: 10.0 k/s (10.0 k/s–10.0 k/s) |
`, report(500).Everybody())
	require.Equal(t, "- acquire, 1 caller: no query\n", report(500).Setups())
}

func TestTheSummaryCountsWhatWasJudged(t *testing.T) {
	r := report(500)
	outside, judged := r.Outside()
	require.Equal(t, 1, outside)
	require.Equal(t, 3, judged)
	require.Equal(t, 1, r.Broken())
	require.Equal(t, "3 bounds judged: 2 inside, 1 outside; 1 rows broken off; it took 1m0s", r.Summary())
}

func TestAReportIsReadAsItWasWritten(t *testing.T) {
	r := report(500)
	text, err := r.JSON()
	require.NoError(t, err)
	require.Equal(t, 1+len(r.Outcomes), strings.Count(string(text), "\n"), "a line for each row")
	file := filepath.Join(t.TempDir(), "figures.json")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	again, err := figures.Read(file)
	require.NoError(t, err)
	require.Equal(t, r, again)

	require.NoError(t, os.WriteFile(file, []byte("{"), 0o600))
	_, err = figures.Read(file)
	require.ErrorContains(t, err, "is not a report of make bench")
}

func TestRatiosThatBecameWorseAreNamed(t *testing.T) {
	require.Empty(t, figures.Worse(report(500), report(570), 0.15))
	require.Empty(t, figures.Worse(report(500), report(100), 0.15), "better is no cause")
	require.Equal(t, []string{"acquire, 1 caller: time of ours is 0.58 × that of peer, it was 0.50 × (bound ≤ 0.60 × peer)"},
		figures.Worse(report(500), report(580), 0.15))

	slow := report(500)
	slow.Outcomes[1].Rounds = rounds(figures.Throughput, [2]float64{12_000, 10_000})
	require.Len(t, figures.Worse(report(500), slow, 0.15), 1, "a lower bound is worse when it is less; figures that are no ratios do not count")
	require.Empty(t, figures.Worse(slow, report(500), 0.15))

	missing := report(500)
	missing.Outcomes = missing.Outcomes[2:]
	require.Empty(t, figures.Worse(missing, report(9000), 0.15), "a new row has nothing to be compared with")
	require.Empty(t, figures.Worse(report(1), missing, 0.15))
}
