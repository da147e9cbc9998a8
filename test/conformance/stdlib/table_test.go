package stdlib

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// section is where MIGRATING.md tells about database/sql.
const section = "## From database/sql with pgx"

// rows are the names in the first column of the section's table.
func rows(t *testing.T) []string {
	t.Helper()
	file, err := os.ReadFile("../../../MIGRATING.md")
	require.NoError(t, err)
	_, text, found := strings.Cut(string(file), "\n"+section+"\n")
	require.True(t, found, "MIGRATING.md has no section %q", section)
	text, _, _ = strings.Cut(text, "\n## ")
	var names []string
	for line := range strings.Lines(text) {
		cells := strings.Split(line, "|")
		if len(cells) != 6 || strings.HasPrefix(cells[1], "-") {
			continue
		}
		names = append(names, strings.TrimSpace(cells[1]))
	}
	require.NotEmpty(t, names, "the section has no table of four columns")
	return names[1:] // the first is the table's head
}

// What differs on purpose is in the table and nowhere else.
func TestTheTableOfDifferencesIsThatOfTheTrials(t *testing.T) {
	seen := make(map[string]bool)
	var marked []string
	for _, c := range trials() {
		if c.differs != nil && !seen[c.differs.row] {
			seen[c.differs.row] = true
			marked = append(marked, c.differs.row)
		}
	}
	require.ElementsMatch(t, rows(t), marked)
}

func TestEachTrialHasANameOfItsOwn(t *testing.T) {
	seen := make(map[string]bool)
	for _, c := range trials() {
		require.False(t, seen[c.name], c.name)
		seen[c.name] = true
	}
	require.GreaterOrEqual(t, len(seen), 45)
}
