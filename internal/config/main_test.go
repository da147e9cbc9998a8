package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/seed-4ff2b7b9/supervised/internal/config"
	"github.com/seed-4ff2b7b9/supervised/internal/secret/canary"
)

// TestMain takes away what the environment of whoever runs the tests says about a database.
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
	home, err := os.MkdirTemp("", "config-test-home")
	if err != nil {
		panic(err)
	}
	os.Setenv("HOME", home)
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(home)
		os.Exit(code)
	}))
}

// write puts a configuration file into a folder of its own.
func write(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// load reads a configuration that is right.
func load(t testing.TB, text string) config.Config {
	t.Helper()
	c, err := config.Load(write(t, text), true)
	require.NoError(t, err)
	return c
}

// failures returns what is wrong with a configuration, after a look for secrets.
func failures(t testing.TB, path string) []*config.Error {
	t.Helper()
	c, err := config.Load(path, true)
	require.Error(t, err)
	require.Equal(t, config.Config{}, c, "nothing half-filled is returned")
	return parts(t, err)
}

// parts takes a joined error apart.
func parts(t testing.TB, err error) []*config.Error {
	t.Helper()
	requireNoCanary(t, err.Error(), fmt.Sprintf("%+v %#v", err, err))
	joined, ok := err.(interface{ Unwrap() []error })
	require.True(t, ok)
	var all []*config.Error
	for _, one := range joined.Unwrap() {
		var e *config.Error
		require.True(t, errors.As(one, &e))
		require.NotEmpty(t, e.Problem)
		requireNoCanary(t, fmt.Sprintf("%+v %#v", *e, *e))
		all = append(all, e)
	}
	return all
}

// requireNoCanary does not print the texts: the suite's own output is searched for the canary.
func requireNoCanary(t testing.TB, texts ...string) {
	t.Helper()
	for _, text := range texts {
		require.True(t, canary.Find(text) == nil, "the canary got out")
	}
}
