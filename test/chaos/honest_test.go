package chaos

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/test/chaos/lab"
)

// A laboratory that finds nothing wrong with a pool that lacks something would prove nothing about one that does not.
func TestTheLaboratoryIsHonest(t *testing.T) {
	pgtest.Require(t)
	l := &lab.Lab{Progress: t.Output()}
	defer func() { require.NoError(t, l.Close()) }()
	require.NoError(t, l.Honest(t.Context()))
}
