package pgtest_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestServerIsSharedAndOwnIsNot(t *testing.T) {
	shared := pgtest.Server(t)
	require.Same(t, shared, pgtest.Server(t))
	own := pgtest.Own(t, postgres.Options{})
	require.NotEqual(t, shared.PID(), own.PID())
	require.NotEqual(t, shared.Port(), own.Port())
	require.NoError(t, own.Kill())
	require.NotZero(t, shared.PID())
}

func TestOwnIsGoneAfterItsTest(t *testing.T) {
	var dir string
	t.Run("owner", func(t *testing.T) {
		dir = pgtest.Own(t, postgres.Options{}).Dir()
		require.DirExists(t, dir)
	})
	if dir != "" {
		require.NoDirExists(t, dir)
	}
}

func TestWithoutPostgres(t *testing.T) {
	if os.Getenv("PGTEST_INNER") == "1" {
		pgtest.Server(t)
		return
	}
	for _, c := range []struct {
		name, required string
		passes         bool
		want           string
	}{
		{"skips", "0", true, "--- SKIP: TestWithoutPostgres"},
		{"fails where it is required", "1", false, "--- FAIL: TestWithoutPostgres"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inner := exec.Command(os.Args[0], "-test.run=^TestWithoutPostgres$", "-test.v")
			inner.Env = append(os.Environ(), "PGTEST_INNER=1", "PG_BINDIR="+t.TempDir(), pgtest.RequireVariable+"="+c.required)
			out, err := inner.CombinedOutput()
			require.Equal(t, c.passes, err == nil, "%s", out)
			require.Contains(t, string(out), c.want)
			require.Contains(t, string(out), "no PostgreSQL server found")
		})
	}
}
