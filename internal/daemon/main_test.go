package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/seed-4ff2b7b9/supervised/internal/config"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
)

// TestMain takes away what the environment of whoever runs the tests says about a database.
func TestMain(m *testing.M) {
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, "PG") && name != "PG_BINDIR" {
			os.Unsetenv(name)
		}
	}
	for _, k := range config.Keys() {
		os.Unsetenv(k.Env)
	}
	home, err := os.MkdirTemp("", "daemon-test-home")
	if err != nil {
		panic(err)
	}
	os.Setenv("HOME", home)
	pgtest.Main(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(home)
		os.Exit(code)
	}))
}

// write makes a configuration file in a folder of its own.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// load reads a configuration.
func load(t *testing.T, text string) config.Config {
	t.Helper()
	c, err := config.Load(write(t, text), true)
	require.NoError(t, err)
	return c
}
