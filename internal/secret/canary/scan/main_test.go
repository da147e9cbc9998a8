package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/seed-4ff2b7b9/supervised/internal/secret/canary"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "output")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestCleanFilePasses(t *testing.T) {
	var out strings.Builder
	require.NoError(t, scanAll([]string{write(t, "ok\nfine"), write(t, "ok\n")}, &out))
	require.Contains(t, out.String(), "2 lines searched")
	require.Contains(t, out.String(), "1 lines searched")
}

func TestLeakIsNamedAndNotRepeated(t *testing.T) {
	long := strings.Repeat("x", 1<<17)
	path := write(t, "first\n"+long+fmt.Sprintf("dsn %q", canary.Password)+long+"\nthird\n"+canary.Password)
	var out strings.Builder
	require.ErrorContains(t, scanAll([]string{path}, &out), "2 lines")
	require.Contains(t, out.String(), path+":2: the canary password, part, Go-quoted")
	require.Contains(t, out.String(), path+":4: the canary password, plain")
	require.True(t, canary.Find(out.String()) == nil, "the report repeats the password")
}

func TestNothingToSearchIsAFailure(t *testing.T) {
	var out strings.Builder
	require.ErrorContains(t, scanAll(nil, &out), "no file")
	require.ErrorContains(t, scanAll([]string{write(t, "")}, &out), "empty")
	require.ErrorIs(t, scanAll([]string{filepath.Join(t.TempDir(), "missing")}, &out), os.ErrNotExist)
}
