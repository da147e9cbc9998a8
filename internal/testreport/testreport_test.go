package main

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sample is a small module with tests of every fate.
const sample = "../gotest/testdata/sample"

func TestSplit(t *testing.T) {
	passes := split([]string{"--", "-race", "./...", "--", "-C", "test/chaos", "-tags", "x", "./...", "--"})
	require.Equal(t, []pass{
		{args: []string{"-race", "./..."}},
		{dir: "test/chaos", args: []string{"-tags", "x", "./..."}},
	}, passes)
	require.Equal(t, "go test -race ./...", passes[0].String())
	require.Equal(t, "go test -C test/chaos -tags x ./...", passes[1].String())
	require.Empty(t, split(nil))
}

// conclude does passes over the sample and gives what was shown, what was kept, and the verdict.
func conclude(t *testing.T, passes ...pass) (shown, kept string, err error) {
	t.Helper()
	var s, k strings.Builder
	r := newReport(&s, &k)
	for _, p := range passes {
		r.run(t.Context(), p)
	}
	err = r.conclude()
	return s.String(), k.String(), err
}

func sampled(args ...string) pass {
	return pass{dir: sample, args: append([]string{"-count=1"}, args...)}
}

func TestGoodPassesShowVerdictsAndSkips(t *testing.T) {
	shown, kept, err := conclude(t, sampled("-skip=Silence", "./good"), sampled("-run=TestPasses", "./good", "./bare"))
	require.NoError(t, err)
	require.Contains(t, shown, "=> go test -C "+sample+" -count=1 -skip=Silence ./good\nok  \tsample/good")
	require.Contains(t, shown, "?   \tsample/bare\t[no test files]\n")
	require.Contains(t, shown, "skipped:\n  sample/good TestSkips: good_test.go:14: the sample has no server\n")
	require.Contains(t, shown, "tests: 2 passed, 0 failed, 1 skipped; 3 packages, ")
	require.NotContains(t, shown, "noise of a test that passes")
	require.Contains(t, kept, "noise of a test that passes")
}

func TestOneFailureFailsAllAndTheRestStillRuns(t *testing.T) {
	shown, _, err := conclude(t, sampled("./bad", "./broken", "./dies"), sampled("-run=TestPasses", "./good"))
	require.Error(t, err)
	require.Contains(t, shown, "wrong by one")
	require.Contains(t, shown, "neverDeclared")
	require.Contains(t, shown, "out of the blue")
	require.Contains(t, shown, "ok  \tsample/good")
	for _, line := range []string{"sample/bad TestFails", "sample/bad TestFails/this", "sample/broken", "sample/dies TestDies"} {
		require.Contains(t, shown, "\n  "+line+"\n")
	}
}

func TestSkipWithoutReasonIsWrong(t *testing.T) {
	shown, _, err := conclude(t, sampled("-run=Silence", "./good"))
	require.Error(t, err)
	require.Contains(t, shown, "wrong:\n  sample/good TestSkipsInSilence/empty was skipped without a reason\n")
}

func TestPassThatProvesNothingIsWrong(t *testing.T) {
	for args, reason := range map[string]string{
		"./bare":                "ran no test",
		"-run=NoSuchTest ./bad": "ran no test",
		"-timeout=soon ./good":  "go test failed",
	} {
		shown, kept, err := conclude(t, sampled(strings.Fields(args)...))
		require.Error(t, err, args)
		require.Contains(t, shown, reason)
		require.NotContains(t, kept, reason, "the conclusion is no output of the tests")
	}
}

func TestRunKeepsTheOutput(t *testing.T) {
	output := filepath.Join(t.TempDir(), "made for it", "output")
	require.NoError(t, run(t.Context(), io.Discard, output, []pass{sampled("-run=TestPasses", "./good")}))
	kept, err := os.ReadFile(output)
	require.NoError(t, err)
	require.Contains(t, string(kept), "noise of a test that passes")
}

func TestRunInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var shown strings.Builder
	require.Error(t, run(ctx, &shown, filepath.Join(t.TempDir(), "output"), []pass{sampled("./good")}))
	require.Contains(t, shown.String(), "interrupted")
	require.NotContains(t, shown.String(), "sample/good")
}

func TestRunWithoutAPass(t *testing.T) {
	require.ErrorContains(t, run(t.Context(), io.Discard, "", []pass{sampled("./good")}), "usage")
	require.ErrorContains(t, run(t.Context(), io.Discard, filepath.Join(t.TempDir(), "output"), nil), "usage")
}
