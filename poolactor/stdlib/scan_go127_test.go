//go:build go1.27

package stdlib_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/stretchr/testify/require"
)

// With Go 1.27, what database/sql cannot scan needs nothing around it.
func TestScanningWithoutAnAdapter(t *testing.T) {
	s := onServer(t, nil)
	require.Equal(t, []int64{1, 2}, ask[[]int64](t, s, "select '{1,2}'::bigint[]"))
	require.Equal(t, map[string]int{"a": 1}, ask[map[string]int](t, s, `select '{"a":1}'::jsonb`))
	require.Equal(t, struct{ A int }{1}, ask[struct{ A int }](t, s, `select '{"A":1}'::jsonb`))
	require.Equal(t, pgtype.Range[int32]{
		Lower: 1, Upper: 5, LowerType: pgtype.Inclusive, UpperType: pgtype.Exclusive, Valid: true,
	}, ask[pgtype.Range[int32]](t, s, "select '[1,5)'::int4range"))
	require.Nil(t, ask[[]int64](t, s, "select null::bigint[]"))
	var none *[]int64
	require.ErrorContains(t, s.QueryRowContext(t.Context(), "select '{1,2}'::bigint[]").Scan(none), "nil")

	type loop *loop
	var itself loop
	require.Error(t, s.QueryRowContext(t.Context(), "select 1").Scan(&itself))
}
