package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/seed-4ff2b7b9/supervised/internal/config"
)

const (
	configPath = "../../../config.yml"
	readmePath = "../../../README.md"
)

// TestMain takes away what the environment of whoever runs the tests says about the configuration.
func TestMain(m *testing.M) {
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, "PG") {
			os.Unsetenv(name)
		}
	}
	for _, k := range config.Keys() {
		os.Unsetenv(k.Env)
	}
	goleak.VerifyTestMain(m)
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(data)
}

func load(t *testing.T, text string) config.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	c, err := config.Load(path, true)
	require.NoError(t, err)
	return c
}

func TestConfigFileNamesEveryKeyWithItsMeaning(t *testing.T) {
	entries, err := reference(read(t, configPath))
	require.NoError(t, err)
	var described, known []string
	for _, e := range entries {
		described = append(described, e.name)
		require.Greater(t, len(e.meaning), 10, e.name)
		require.True(t, strings.HasSuffix(e.meaning, "."), e.name)
		require.Equal(t, strings.HasPrefix(e.name, "database."), e.isOff, e.name)
	}
	for _, k := range config.Keys() {
		known = append(known, k.Name)
	}
	require.ElementsMatch(t, known, described)
}

func TestConfigFileShowsTheTrueDefaults(t *testing.T) {
	file := read(t, configPath)
	shipped, nothing := load(t, file), load(t, "")
	require.Empty(t, config.Diff(nothing, shipped), "the file as it stands changes nothing")

	uncommented := regexp.MustCompile(`(?m)^  #([a-z_]+: )`).ReplaceAllString(file, "  $1")
	entries, err := reference(uncommented)
	require.NoError(t, err)
	require.Len(t, entries, len(config.Keys()))
	require.False(t, slices.ContainsFunc(entries, func(e entry) bool { return e.isOff }))
	require.Empty(t, config.Diff(nothing, load(t, uncommented)), "nor does it with every key in it")
}

func TestShippedFileLeavesTheServerToTheEnvironment(t *testing.T) {
	t.Setenv("PGHOST", "pg.example.org")
	conn, err := load(t, read(t, configPath)).ConnConfig()
	require.NoError(t, err)
	require.Equal(t, "pg.example.org", conn.Host)
}

func TestReadmeTableIsCurrent(t *testing.T) {
	_, err := os.Stat(readmePath)
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("there is no README.md")
	}
	readme := read(t, readmePath)
	updated, err := update(read(t, configPath), readme)
	require.NoError(t, err)
	require.True(t, updated == readme, "run: go run ./internal/config/table")
}

func TestTableOfASmallFile(t *testing.T) {
	const file = `# About the file.

# About logging.
log:
  # How much | what.
  # More of it.
  level: info

  # Text.
  #format: ""
`
	folder := t.TempDir()
	in, out := filepath.Join(folder, "config.yml"), filepath.Join(folder, "README.md")
	require.NoError(t, os.WriteFile(in, []byte(file), 0o600))
	require.NoError(t, os.WriteFile(out, []byte("before\n"+begin+"\nold\n"+end+"\nafter\n"), 0o600))
	for range 2 {
		require.NoError(t, run(in, out))
		require.Equal(t, `before
<!-- config -->
| key | default | environment | meaning |
|---|---|---|---|
| `+"`log.level` | `info` | `LOG_LEVEL`"+` | How much \| what. More of it. Changes on SIGHUP. |
| `+"`log.format` |  | `LOG_FORMAT`"+` | Text. |
<!-- /config -->
after
`, read(t, out))
	}
}

func TestWhatCannotBeRead(t *testing.T) {
	folder := t.TempDir()
	path := func(name, text string) string {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
		return filepath.Join(folder, name)
	}
	good, readme := path("good.yml", "log:\n  # Text.\n  level: info\n"), path("readme", begin+end)
	require.ErrorIs(t, run(filepath.Join(folder, "none"), readme), fs.ErrNotExist)
	require.ErrorIs(t, run(good, filepath.Join(folder, "none")), fs.ErrNotExist)
	require.ErrorContains(t, run(path("odd.yml", "log: {}\n"), readme), "line 1 is neither")
	require.ErrorContains(t, run(path("unknown.yml", "log:\n  colour: red\n"), readme), "there is no key log.colour")
	require.ErrorContains(t, run(good, path("unmarked", end+begin)), "there is no <!-- config --> with a <!-- /config -->")
}
