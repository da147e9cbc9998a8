package ecosystem

import (
	"database/sql"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/poolactor/stdlib"
)

// openDB is what whoever knows only database/sql gets. It keeps no connections of its own.
func openDB(t *testing.T, pool *poolactor.Pool) *sql.DB {
	t.Helper()
	db := stdlib.OpenDB(pool)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}
