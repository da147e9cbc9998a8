package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/seed-4ff2b7b9/supervised/test/bench/figures"
	"github.com/seed-4ff2b7b9/supervised/test/bench/plots"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func report(ratio float64) *figures.Report {
	return &figures.Report{
		Command: "make bench", Machine: "a machine", Commit: "0123456789ab", Took: "9m0s", Settings: "defaults", Peers: "pgx v5",
		Outcomes: []figures.Outcome{{
			Row: figures.Row{
				ID: "acquire/1", Title: "acquire, 1 caller", Setup: "no query",
				Bounds: []figures.Bound{figures.AtMost("supervised", figures.Time, 0.6, "pgxpool")},
			},
			Order:  []string{"supervised", "pgxpool"},
			Rounds: []figures.Round{{"supervised": {figures.Time: 1000 * ratio}, "pgxpool": {figures.Time: 1000}}},
		}},
	}
}

func TestTheCommandIsHowMakeIsTold(t *testing.T) {
	require.Equal(t, "make bench", command(options{whole: "/there"}))
	require.Equal(t, "make bench-quick", command(options{quick: true, against: "x"}))
	require.Equal(t, `make bench ARGS='-only "acquire" -who "" -rounds 9'`, command(options{only: "acquire", rounds: 9}))
}

func TestOnlyAWholeRunIsPublished(t *testing.T) {
	for _, part := range []options{{only: "x"}, {who: "x"}, {rounds: 1}, {quick: true}} {
		part.whole = t.TempDir()
		require.NoError(t, keep(part, report(0.5)))
		found, err := os.ReadDir(part.whole)
		require.NoError(t, err)
		require.Empty(t, found)
	}
	whole := options{whole: t.TempDir(), output: filepath.Join(t.TempDir(), "all.json"), stat: filepath.Join(t.TempDir(), "rounds.txt")}
	require.NoError(t, keep(whole, report(0.5)))
	for _, file := range []string{filepath.Join(whole.whole, jsonFile), whole.output} {
		again, err := figures.Read(file)
		require.NoError(t, err)
		require.Equal(t, report(0.5), again)
	}
	text, err := os.ReadFile(whole.stat)
	require.NoError(t, err)
	require.Contains(t, string(text), "BenchmarkAcquire/1/who=pgxpool 1 1000 ns/op\n")
	text, err = os.ReadFile(filepath.Join(whole.whole, pageFile))
	require.NoError(t, err)
	require.Contains(t, string(text), "docs/bench/bounds.svg")
}

func TestThePageTellsWhatAReaderNeeds(t *testing.T) {
	text, err := render(report(0.5), []plots.File{{Name: "a.svg", Title: "A plot"}})
	require.NoError(t, err)
	for _, part := range []string{
		"`make bench`", "it took 9m0s", "a machine", "0123456789ab", "pgx v5", "defaults", report(0.5).Table(), report(0.5).Everybody(),
		"![A plot](docs/bench/a.svg)", "docs/bench/figures.json", notes,
	} {
		require.Contains(t, string(text), part)
	}
	require.NotContains(t, string(text), "{{")
	require.NotContains(t, string(text), "no value")
}

func TestARunWarnsOfWhatIsWorse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "figures.json")
	var out bytes.Buffer
	require.NoError(t, warn(options{against: file}, report(0.5), &out))
	require.Contains(t, out.String(), "nothing to compare with")
	require.NoError(t, writeJSON(file, report(0.4)))
	out.Reset()
	require.NoError(t, warn(options{against: file}, report(0.5), &out))
	require.Contains(t, out.String(), "WARNING: acquire, 1 caller: time of supervised is 0.50 × that of pgxpool, it was 0.40 ×")
	require.Contains(t, out.String(), "1 ratios are worse by more than 15 % than those of 0123456789ab")
	require.NoError(t, warn(options{}, report(0.5), io.Discard))
	require.NoError(t, os.WriteFile(file, []byte("no report"), 0o600))
	require.Error(t, warn(options{against: file}, report(0.5), io.Discard))
}

func TestARunFailsForWhatWasNotKept(t *testing.T) {
	ctx := t.Context()
	require.NoError(t, judge(ctx, options{}, report(0.6)))
	require.EqualError(t, judge(ctx, options{}, report(0.7)), "1 of 1 bounds were not kept")
	require.NoError(t, judge(ctx, options{quick: true}, report(0.7)), "a quick run only warns")
	broken := report(0.5)
	broken.Outcomes[0].Broken = "a pipe burst"
	require.EqualError(t, judge(ctx, options{quick: true}, broken), "1 rows were broken off")
	ended, cancel := context.WithCancel(ctx)
	cancel()
	require.ErrorIs(t, judge(ended, options{}, report(0.5)), context.Canceled)
}

func TestProfilesAreWritten(t *testing.T) {
	folder := t.TempDir()
	p := profiles{filepath.Join(folder, "cpu"), filepath.Join(folder, "mutex"), filepath.Join(folder, "trace")}
	end, err := p.begin()
	require.NoError(t, err)
	require.NoError(t, end())
	for _, file := range []string{p.cpu, p.mutex, p.trace} {
		info, err := os.Stat(file)
		require.NoError(t, err)
		require.Positive(t, info.Size())
	}
	_, err = profiles{cpu: filepath.Join(folder, "none", "cpu")}.begin()
	require.Error(t, err)
}
