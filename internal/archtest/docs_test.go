package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// documents are what is written for people, by the paths of the files.
func documents(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, pattern := range []string{"../../*.md", "../../docs/*.md"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, files)
		for _, file := range files {
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			texts[file] = string(text)
		}
	}
	return texts
}

var link = regexp.MustCompile(`\]\(([^)#\s]+)(#[^)\s]*)?\)`)

func TestLinksBetweenFilesLeadSomewhere(t *testing.T) {
	found := 0
	for file, text := range documents(t) {
		for _, to := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(to[1], "://") {
				continue
			}
			found++
			_, err := os.Stat(filepath.Join(filepath.Dir(file), to[1]))
			require.NoError(t, err, "%s links to %s", file, to[1])
		}
	}
	require.Greater(t, found, 10)
}

func TestEveryBlockOfGoInTheDocumentsCompiles(t *testing.T) {
	var blocks []block
	for file, text := range documents(t) {
		blocks = append(blocks, blocksOf(strings.TrimPrefix(file, "../../"), text)...)
	}
	require.Greater(t, len(blocks), 10)
	complaints, err := uncompilable(t.Context(), "../..", blocks)
	require.NoError(t, err)
	require.Empty(t, complaints)
}

func TestBlocksThatDoNotCompileAreFound(t *testing.T) {
	const text = "# A\n```go\nrows, err := pool.Query(ctx, \"select 1\")\n```\n" +
		"```go\nfunc twice(n int) int { return 2 * n }\n```\n```sh\nmake\n```\n" +
		"```go\nfmt.Println(twice(2))\nreturn pool.Pong(ctx)\n```\n```go before\npool.Nothing()\n```\n" +
		"```go\nimport \"errors\"\n\nvar errNone = errors.Now(\"none\")\n```\n" +
		"```go\npackage main\n\nfunc main() { twice(1) }\n```\n" +
		"```go\nif true {\n```\n"
	complaints, err := uncompilable(t.Context(), "../..", blocksOf("a.md", text))
	require.NoError(t, err)
	all := strings.Join(complaints, "\n")
	require.Len(t, complaints, 4, all)
	for _, place := range []string{"a.md:13:", "a.md:21:", "a.md:26:", "a.md:3"} {
		require.Contains(t, all, place)
	}
	require.Contains(t, all, "pool.Pong undefined")

	_, err = uncompilable(t.Context(), "../..", blocksOf("a.md", "```go\nimport \"example.com/nowhere\"\n```\n"))
	require.ErrorContains(t, err, "example.com/nowhere")
}
