package ecosystem

import (
	"context"
	"testing"
	"testing/fstest"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"github.com/stretchr/testify/require"
)

// migrations are in a transaction each, but for the one that cannot be.
var migrations = fstest.MapFS{
	"1_tables.sql": {Data: []byte(`
-- +goose Up
create table parts (id bigserial primary key, name text not null);
-- +goose Down
drop table parts;
`)},
	"2_index.sql": {Data: []byte(`
-- +goose NO TRANSACTION
-- +goose Up
create index concurrently parts_by_name on parts (name);
-- +goose Down
drop index concurrently parts_by_name;
`)},
	"3_function.sql": {Data: []byte(`
-- +goose Up
-- +goose StatementBegin
create function count_parts() returns bigint language plpgsql as $$
begin
	return (select count(*) from parts);
end
$$;
-- +goose StatementEnd
-- +goose Down
drop function count_parts();
`)},
}

func TestGoose(t *testing.T) {
	s := plain(t)
	db := openDB(t, s.pool)
	locker, err := lock.NewPostgresSessionLocker()
	require.NoError(t, err)
	provider, err := goose.NewProvider(goose.DialectPostgres, db, migrations, goose.WithSessionLocker(locker))
	require.NoError(t, err)
	require.NoError(t, s.pool.WaitReady(within(t)))

	s.outage(t, func(ctx context.Context) error {
		done, err := provider.Up(ctx)
		if err == nil {
			require.Len(t, done, 3)
		}
		return err
	})
	var parts int
	require.NoError(t, s.pool.QueryRow(within(t), "select count_parts()").Scan(&parts))
	require.Zero(t, parts)
	require.Zero(t, locks(t, s), "the lock went back before the connection did")

	_, err = provider.DownTo(within(t), 1)
	require.NoError(t, err)
	version, err := provider.GetDBVersion(within(t))
	require.NoError(t, err)
	require.EqualValues(t, 1, version)
	require.Error(t, s.pool.QueryRow(within(t), "select count_parts()").Scan(&parts))
	require.Zero(t, s.pool.Stat().Leased)
}

// locks counts the advisory locks that sessions of the server hold.
func locks(t *testing.T, s *stage) (n int) {
	t.Helper()
	row := s.pool.QueryRow(within(t), "select count(*) from pg_locks where locktype = 'advisory'")
	require.NoError(t, row.Scan(&n))
	return n
}
