package archtest

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var goBlock = regexp.MustCompile("(?s)\n```go\n(.*?)```")

// TestReadmeShowsTheExample: what README.md shows of Go is part of an example that is compiled and run.
func TestReadmeShowsTheExample(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	require.NoError(t, err)
	examples, err := os.ReadFile("../../poolactor/example_test.go")
	require.NoError(t, err)
	_, example, ok := strings.Cut(string(examples), "\nfunc Example() {\n")
	require.True(t, ok)
	example, _, _ = strings.Cut(example, "\n}\n")

	blocks := goBlock.FindAllStringSubmatch(string(readme), -1)
	require.NotEmpty(t, blocks)
	rest := unindented(example)
	for _, block := range blocks {
		_, after, found := strings.Cut(rest, unindented(block[1]))
		require.True(t, found, "this is not in poolactor's Example, or not in this order:\n%s", block[1])
		rest = "\n" + after
	}
}

// unindented is the text between two line breaks, without what its lines begin with.
func unindented(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return "\n" + strings.Join(lines, "\n") + "\n"
}
