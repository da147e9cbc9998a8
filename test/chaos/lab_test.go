package chaos

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/test/chaos/lab"
)

// atMost is how long the short form may take: two to four times as long as it does, for a machine that has other work.
const atMost = 2 * time.Minute

// The short form of the laboratory: our pool in the faults that do not take long, once each.
func TestTheShortForm(t *testing.T) {
	pgtest.Require(t)
	l := &lab.Lab{Short: true, Progress: t.Output()}
	defer func() { require.NoError(t, l.Close()) }()
	began := time.Now()
	outcomes, err := l.Run(t.Context(), lab.Rows())
	require.NoError(t, err)
	took := time.Since(began)
	for _, o := range outcomes {
		require.Empty(t, o.Wrong, "row %s: %s", o.Row.ID, o.Row.Fault)
	}
	require.LessOrEqual(t, took, atMost, "it is part of every test run")
}

// A laboratory that finds nothing wrong with a pool that lacks something would prove nothing about one that does not.
func TestTheLaboratoryIsHonest(t *testing.T) {
	pgtest.Require(t)
	l := &lab.Lab{Progress: t.Output()}
	defer func() { require.NoError(t, l.Close()) }()
	require.NoError(t, l.Honest(t.Context()))
}
