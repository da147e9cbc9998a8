package pooltest_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/poolactor/pooltest"
)

func TestCopyFrom(t *testing.T) {
	inBubble(t, func(t *testing.T, server *pooltest.Server, pool *poolactor.Pool) {
		server.Answer(`select "id", "name" from "users"`, pooltest.Answer{Columns: []string{"id::int8", "name"}})
		users := func(n int) pgx.CopyFromSource {
			return pgx.CopyFromSlice(n, func(i int) ([]any, error) {
				if i == 1000 {
					return nil, errors.New("the source is broken")
				}
				return []any{i, nil}, nil
			})
		}
		into, columns := pgx.Identifier{"users"}, []string{"id", "name"}
		for _, n := range []int{0, 1, 999} {
			copied, err := pool.CopyFrom(t.Context(), into, columns, users(n))
			require.NoError(t, err)
			require.Equal(t, int64(n), copied)
		}

		_, err := pool.CopyFrom(t.Context(), into, columns, users(1001))
		requireCode(t, "57014", err)
		require.ErrorContains(t, err, "the source is broken")

		server.Answer(`copy "users" ( "id", "name" ) from stdin binary`,
			pooltest.Answer{Err: &pgconn.PgError{Code: "23505"}}, pooltest.Answer{})
		_, err = pool.CopyFrom(t.Context(), into, columns, users(3))
		requireCode(t, "23505", err)
		copied, err := pool.CopyFrom(t.Context(), into, columns, users(3))
		require.NoError(t, err)
		require.Equal(t, int64(3), copied)

		_, err = pool.CopyFrom(t.Context(), pgx.Identifier{"orders"}, columns, users(3))
		requireCode(t, "42P01", err)
		require.Equal(t, 1, server.Stat().LogIns, "nothing of this has cost the connection")
	})
}
