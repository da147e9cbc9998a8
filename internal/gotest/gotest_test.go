package gotest

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// heard collects what a Handler is told.
type heard struct {
	packages map[string]*Package
	text     strings.Builder
}

func (h *heard) handler() Handler {
	h.packages = map[string]*Package{}
	return Handler{
		Package: func(p *Package) { h.packages[p.Path] = p },
		Text:    func(s string) { h.text.WriteString(s) },
	}
}

func runSample(t *testing.T, args ...string) (*heard, error) {
	t.Helper()
	h := &heard{}
	err := Command{Dir: "testdata/sample", Args: append([]string{"-count=1"}, args...)}.Run(t.Context(), h.handler())
	return h, err
}

func TestPackageThatPassesReportsOneLine(t *testing.T) {
	h, err := runSample(t, "./good")
	require.NoError(t, err)
	p := h.packages["sample/good"]
	require.Equal(t, Passed, p.Verdict)
	require.Regexp(t, `^ok  \tsample/good\t[0-9.]+s\n$`, p.Report())
	require.Contains(t, p.Output(), "noise of a test that passes", "Output keeps what Report leaves out")
	require.Contains(t, p.Output(), "a log line")
	require.Equal(t, 2, p.Tests(Passed), "TestPasses and the parent of the skipped subtests")
	require.Empty(t, p.Failures())
}

func TestSkipsCarryTheirReason(t *testing.T) {
	h, err := runSample(t, "./good")
	require.NoError(t, err)
	require.Equal(t, []Skip{
		{"sample/good", "TestSkips", "good_test.go:14: the sample has no server"},
		{"sample/good", "TestSkipsInSilence/empty", ""},
		{"sample/good", "TestSkipsInSilence/now", ""},
	}, h.packages["sample/good"].Skips())
}

func TestPackageThatFailsReportsOnlyItsFailures(t *testing.T) {
	h, err := runSample(t, "./bad")
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	p := h.packages["sample/bad"]
	require.Equal(t, Failed, p.Verdict)
	require.Equal(t, []string{"TestFails", "TestFails/this"}, p.Failures())
	report := p.Report()
	require.Contains(t, report, "the package speaks\n")
	require.Contains(t, report, "bad_test.go:15: wrong by one\n")
	require.Contains(t, report, "--- FAIL: TestFails/this")
	require.Regexp(t, `FAIL\tsample/bad\t[0-9.]+s\n$`, report)
	require.NotContains(t, report, "=== RUN")
	require.NotContains(t, report, "all is well")
	require.NotContains(t, report, "nothing to see")
}

func TestTestThatTakesTheProcessDownHasFailed(t *testing.T) {
	h, err := runSample(t, "./dies")
	require.Error(t, err)
	p := h.packages["sample/dies"]
	require.Equal(t, []string{"TestDies"}, p.Failures())
	require.Contains(t, p.Report(), "panic: out of the blue")
}

func TestBuildFailureIsToldApart(t *testing.T) {
	h, err := runSample(t, "./broken", "./good")
	require.Error(t, err)
	p := h.packages["sample/broken"]
	require.Equal(t, Failed, p.Verdict)
	require.NotEmpty(t, p.FailedBuild)
	require.Contains(t, p.Report(), "[build failed]")
	require.Contains(t, h.text.String(), "neverDeclared")
	require.Equal(t, Passed, h.packages["sample/good"].Verdict)
}

func TestPackageWithoutTests(t *testing.T) {
	h, err := runSample(t, "./bare")
	require.NoError(t, err)
	require.Equal(t, Skipped, h.packages["sample/bare"].Verdict)
	require.Equal(t, "?   \tsample/bare\t[no test files]\n", h.packages["sample/bare"].Report())
}

func TestPackageWithoutTestsUnderCoverage(t *testing.T) {
	h := &heard{}
	require.NoError(t, Read(strings.NewReader(
		`{"Action":"output","Package":"m","Output":"\tm\t\t"}`+"\n"+`{"Action":"pass","Package":"m"}`), h.handler()))
	require.Equal(t, "\tm\t\t\n", h.packages["m"].Report(), "the line gets the end that go test does not give it")
}

func TestStreamThatBreaksOff(t *testing.T) {
	stream := `{"Action":"run","Package":"p","Test":"TestX"}` + "\n" +
		`{"Action":"output","Package":"p","Test":"TestX","Output":"half a li`
	h := &heard{}
	broken := errors.New("pipe broke")
	err := Read(iotest.DataErrReader(strings.NewReader(stream)), h.handler())
	require.NoError(t, err)
	require.Equal(t, Failed, h.packages["p"].Verdict)
	require.Equal(t, []string{"TestX"}, h.packages["p"].Failures())
	require.Contains(t, h.text.String(), "half a li", "what is no event is not lost")

	require.ErrorIs(t, Read(iotest.ErrReader(broken), (&heard{}).handler()), broken)
}

func TestLinesThatAreNotJSONAreHandedOn(t *testing.T) {
	h := &heard{}
	require.NoError(t, Read(strings.NewReader("go: warning\n{not json}\n"), h.handler()))
	require.Equal(t, "go: warning\n{not json}\n", h.text.String())
}
