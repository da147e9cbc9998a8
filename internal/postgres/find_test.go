package postgres

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// install makes a folder that looks like PostgreSQL's.
func install(t *testing.T, parts ...string) string {
	t.Helper()
	dir := filepath.Join(parts...)
	require.NoError(t, os.MkdirAll(dir, 0o755))
	for _, name := range []string{"initdb", "postgres"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o755))
	}
	return dir
}

// nowhere is a machine without PostgreSQL.
func nowhere() places {
	return places{
		getenv:   func(string) string { return "" },
		config:   func() (string, error) { return "", errors.New("no pg_config") },
		lookPath: func(string) (string, error) { return "", errors.New("no initdb") },
	}
}

func TestFindPrefersWhatTheUserNames(t *testing.T) {
	named, configured := install(t, t.TempDir(), "named"), install(t, t.TempDir(), "configured")
	p := nowhere()
	p.config = func() (string, error) { return configured, nil }
	got, err := p.find()
	require.NoError(t, err)
	require.Equal(t, configured, got)

	p.getenv = func(string) string { return named }
	got, err = p.find()
	require.NoError(t, err)
	require.Equal(t, named, got)

	p.getenv = func(string) string { return t.TempDir() }
	_, err = p.find()
	var none *NotFoundError
	require.ErrorAs(t, err, &none, "another version than the one that was named is no answer")
}

func TestFindTakesTheNewestThatIsComplete(t *testing.T) {
	root := t.TempDir()
	install(t, root, "9.6", "bin")
	install(t, root, "13", "bin")
	want := install(t, root, "15", "bin")
	require.NoError(t, os.MkdirAll(filepath.Join(root, "17", "bin"), 0o755)) // its client only
	p := nowhere()
	p.config = func() (string, error) { return filepath.Join(root, "17", "bin"), nil }
	p.patterns = []string{filepath.Join(root, "nothing", "*"), filepath.Join(root, "*", "bin")}
	got, err := p.find()
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestFindFollowsALinkInPath(t *testing.T) {
	dir := install(t, t.TempDir(), "real")
	link := filepath.Join(t.TempDir(), "initdb")
	require.NoError(t, os.Symlink(filepath.Join(dir, "initdb"), link))
	p := nowhere()
	p.lookPath = func(string) (string, error) { return link, nil }
	got, err := p.find()
	require.NoError(t, err)
	want, err := filepath.EvalSymlinks(dir)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestFindSaysHowToInstall(t *testing.T) {
	p := nowhere()
	p.patterns = []string{"/looked/here/*"}
	_, err := p.find()
	for _, want := range []string{"/looked/here/*", "PATH", "apt-get install", "brew install", "dnf install", "PG_BINDIR"} {
		require.ErrorContains(t, err, want)
	}
}

func TestMissingBinaryIsSaidByStart(t *testing.T) {
	t.Setenv("PG_BINDIR", t.TempDir())
	_, err := Start(t.Context(), Options{})
	var none *NotFoundError
	require.ErrorAs(t, err, &none)
}

func TestNewestFirst(t *testing.T) {
	dirs := []string{
		"/opt/homebrew/opt/postgresql@9.6/bin", "/usr/pgsql-17/bin", "/usr/lib/postgresql/15/bin", "/usr/local/pgsql/bin",
	}
	slices.SortFunc(dirs, newestFirst)
	require.Equal(t, []string{
		"/usr/pgsql-17/bin", "/usr/lib/postgresql/15/bin", "/opt/homebrew/opt/postgresql@9.6/bin", "/usr/local/pgsql/bin",
	}, dirs)
}
