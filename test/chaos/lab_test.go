package chaos

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/test/chaos/lab"
)

// The short form of the laboratory: our pool in the faults that do not take long, once each.
func TestTheShortForm(t *testing.T) {
	pgtest.Require(t)
	l := &lab.Lab{Short: true, Progress: t.Output()}
	defer func() { require.NoError(t, l.Close()) }()
	outcomes, err := l.Run(t.Context(), lab.Rows())
	require.NoError(t, err)
	for _, o := range outcomes {
		require.Empty(t, o.Wrong, "row %s: %s", o.Row.ID, o.Row.Fault)
	}
}

// A laboratory that finds nothing wrong with a pool that lacks something would prove nothing about one that does not.
func TestTheLaboratoryIsHonest(t *testing.T) {
	pgtest.Require(t)
	l := &lab.Lab{Progress: t.Output()}
	defer func() { require.NoError(t, l.Close()) }()
	require.NoError(t, l.Honest(t.Context()))
}
