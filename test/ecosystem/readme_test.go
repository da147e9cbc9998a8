package ecosystem

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// begin and end are around the table in README.md.
const begin, end = "<!-- works-with -->", "<!-- /works-with -->"

// own are the modules that go.mod requires for the tests' own sake.
var own = []string{"github.com/seed-4ff2b7b9/supervised", "github.com/stretchr/testify", "go.uber.org/goleak"}

var (
	quoted   = regexp.MustCompile("`([^`]*)`")
	required = regexp.MustCompile(`(?m)^\t(\S+) (v\S+)$`) // directly: others have "// indirect" behind
	tested   = regexp.MustCompile(`(?m)^func (Test\w+)\(t \*testing\.T\)`)
)

// TestReadmeSaysWhatWorks: the table's versions are those of go.mod, none is missing, what it says to write is in these
// tests, and the tests that it names are there.
func TestReadmeSaysWhatWorks(t *testing.T) {
	goMod, err := os.ReadFile("go.mod")
	require.NoError(t, err)
	want := map[string]string{}
	for _, found := range required.FindAllStringSubmatch(string(goMod), -1) {
		want[found[1]] = found[2]
	}
	for _, module := range own {
		require.Contains(t, want, module)
		delete(want, module)
	}

	code := sources(t)
	tests := map[string]bool{}
	for _, found := range tested.FindAllStringSubmatch(code, -1) {
		tests[found[1]] = true
	}
	listed, shown := map[string]string{}, map[string]bool{}
	for _, cells := range table(t) {
		require.Len(t, cells, 4, cells)
		for _, version := range cells[1] {
			module, version, _ := strings.Cut(version, " ")
			listed[module] = version
		}
		for _, line := range cells[2] {
			require.Contains(t, code, line)
		}
		for _, name := range cells[3] {
			require.Contains(t, tests, name)
			shown[name] = true
		}
	}
	require.Equal(t, want, listed)
	delete(tests, t.Name())
	require.Equal(t, tests, shown)
}

// table returns what is quoted in each cell of each row.
func table(t *testing.T) (rows [][][]string) {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	_, text, ok := strings.Cut(string(readme), begin)
	require.True(t, ok)
	text, _, ok = strings.Cut(text, end)
	require.True(t, ok)
	lines := strings.Split(strings.TrimSpace(text), "\n")
	require.Greater(t, len(lines), 2)
	for _, line := range lines[2:] { // below the heads and the rule
		var row [][]string
		for _, cell := range strings.Split(strings.Trim(line, "| "), "|") {
			var all []string
			for _, found := range quoted.FindAllStringSubmatch(cell, -1) {
				all = append(all, found[1])
			}
			row = append(row, all)
		}
		rows = append(rows, row)
	}
	return rows
}

// sources is the code of the other tests.
func sources(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	var all strings.Builder
	for _, file := range files {
		code, err := os.ReadFile(file)
		require.NoError(t, err)
		all.Write(code)
	}
	return all.String()
}
