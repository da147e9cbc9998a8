package chaos

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/test/chaos/lab"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// kept runs rows of the laboratory with our pool, as often as their bounds in time need it, and holds it to all bounds.
func kept(t *testing.T, rows string) {
	t.Helper()
	l := &lab.Lab{Only: regexp.MustCompile("^(" + rows + ")$"), Alone: true, Progress: t.Output()}
	defer func() { require.NoError(t, l.Close()) }()
	outcomes, err := l.Run(t.Context(), lab.Rows())
	require.NoError(t, err)
	for _, o := range outcomes {
		require.Empty(t, o.LeftOut)
		require.Empty(t, o.Wrong, "row %s: %s", o.Row.ID, o.Row.Fault)
	}
}

// kill -9 of the postmaster under 32 callers, five times: the failure rule, and a first success within 100 ms of the
// server accepting again.
func TestKillsOfALocalServer(t *testing.T) {
	pgtest.Require(t)
	kept(t, "1-1")
}

// An outage of five seconds, however many callers wait: no storm of dials.
func TestAnOutageCausesNoStorm(t *testing.T) {
	pgtest.Require(t)
	kept(t, "1-crowd")
}

// A fast and an immediate stop end like a kill for those who held a lease, and for nobody else.
func TestStopsOfALocalServer(t *testing.T) {
	pgtest.Require(t)
	kept(t, "2-fast|2-immediate")
}
