package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func parse(t *testing.T, texts ...string) *profile {
	t.Helper()
	p := newProfile()
	for _, text := range texts {
		require.NoError(t, p.read("test", strings.NewReader(text)))
	}
	return p
}

func TestBlockCountsOnceHoweverOftenItIsNamed(t *testing.T) {
	p := parse(t,
		"mode: atomic\nm/a/x.go:1.1,2.2 3 0\nm/a/x.go:1.1,2.2 3 7\nm/a/x.go:1.1,2.2 3 0\n",
		"mode: atomic\nm/a/x.go:1.1,2.2 3 0\nm/a/x.go:3.1,4.2 1 0\nmode: set\nm/a/y.go:1.1,2.2 4 1\n")
	require.Equal(t, map[string]tally{"m/a": {statements: 8, covered: 7}}, p.sum(packageOf))
	require.Equal(t, map[string]tally{"m/a/x.go": {4, 3}, "m/a/y.go": {4, 4}}, p.sum(func(f string) string { return f }))
}

func TestCountsMayBeLargerThanAnInt(t *testing.T) {
	p := parse(t, "mode: atomic\nm/x.go:1.1,2.2 1 18446744073709551615\n")
	require.Equal(t, tally{1, 1}, p.sum(packageOf)["m"])
}

func TestWhatIsNoProfile(t *testing.T) {
	for text, reason := range map[string]string{
		"":                                         "no line with its mode",
		"m/x.go:1.1,2.2 1 1\n":                     "no line with its mode",
		"mode: set\nm/x.go:1.1,2.2 1\n":            `test:2: "m/x.go:1.1,2.2 1" is no block`,
		"mode: set\nm/x.go 1 1\n":                  "is no block",
		"mode: set\nm/x.go:1.1,2.2 one 1\n":        "is no block",
		"mode: set\nm/x.go:1.1,2.2 1 -1\n":         "is no block",
		"mode: set\na:1,2 1 1\na:1,2 2 1\n":        "different sources",
		"mode: set\n" + strings.Repeat("x", 1<<17): "token too long",
	} {
		require.ErrorContains(t, newProfile().read("test", strings.NewReader(text)), reason)
	}
}

const sample = `mode: atomic
m/a/x.go:1.1,2.2 6 1
m/a/deep/y.go:1.1,2.2 3 1
m/b/z.go:1.1,2.2 1 0
m/other/o.go:1.1,2.2 100 0
`

func TestGateOpensAtTheThreshold(t *testing.T) {
	var out strings.Builder
	g := gate{scope: absolute("./a/..., ./b", "m"), threshold: 90}
	require.NoError(t, g.check(parse(t, sample), &out))
	require.Contains(t, out.String(), "  90.0 %      9 of    10 statements  together")
	require.Contains(t, out.String(), " 100.0 %      3 of     3 statements  m/a/deep\n")
	require.NotContains(t, out.String(), "m/other")
}

func TestGateStaysShutBelowIt(t *testing.T) {
	var out strings.Builder
	g := gate{scope: absolute("./a/...,./b", "m"), threshold: 90.1}
	require.ErrorContains(t, g.check(parse(t, sample), &out), "90.00 %, less than 90.1 %")
	require.Contains(t, out.String(), "most uncovered statements:\n     1  m/b/z.go\n")
}

func TestPatternWithoutDotsIsOnePackage(t *testing.T) {
	require.Equal(t, "m/a", absolute("./a", "m").match("m/a"))
	require.Empty(t, absolute("./a", "m").match("m/a/deep"))
	require.Empty(t, absolute("./a/...", "m").match("m/ab"))
	require.Equal(t, "m/...", absolute("./...", "m").match("m/anything"))
}

func TestCoverageOfNothingIsNotComplete(t *testing.T) {
	var out strings.Builder
	missing := gate{scope: absolute("./a,./poolactor", "m"), threshold: 0}
	require.ErrorContains(t, missing.check(parse(t, sample), &out), "no block of m/poolactor")
	empty := gate{scope: absolute("./e", "m"), threshold: 0}
	require.ErrorContains(t, empty.check(parse(t, "mode: set\nm/e/e.go:1.1,1.2 0 0\n"), &out), "no statement")
}

func TestReadAllNamesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cover.out")
	require.NoError(t, os.WriteFile(path, []byte(sample), 0o600))
	p, err := readAll([]string{path, path})
	require.NoError(t, err)
	require.Equal(t, tally{1, 0}, p.sum(packageOf)["m/b"])

	require.NoError(t, os.WriteFile(path, []byte("mode: set\nrubbish\n"), 0o600))
	_, err = readAll([]string{path})
	require.ErrorContains(t, err, path+":2:")
	_, err = readAll(nil)
	require.ErrorContains(t, err, "no cover profile")
	_, err = readAll([]string{path + "x"})
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestMainModuleIsThisOne(t *testing.T) {
	require.Equal(t, "github.com/seed-4ff2b7b9/supervised", mainModule())
}
