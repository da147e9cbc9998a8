package ecosystem

import (
	"context"
	"testing"

	"github.com/Masterminds/squirrel"
	"github.com/georgysavva/scany/v2/pgxscan"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// build makes statements with PostgreSQL's placeholders.
var build = squirrel.StatementBuilder.PlaceholderFormat(squirrel.Dollar)

// Squirrel writes the statements, scany reads their rows; the pool is between.
func TestSquirrelAndScany(t *testing.T) {
	type book struct {
		ID    int64
		Title string
		Tags  []string
	}
	s := plain(t)
	s.exec(t, "create table books (id bigserial primary key, title text not null, tags text[] not null)")

	sql, args, err := build.Insert("books").Columns("title", "tags").
		Values("A", []string{"short"}).Values("B", []string{"short", "dull"}).Values("C", []string{}).ToSql()
	require.NoError(t, err)
	tag, err := s.pool.Exec(within(t), sql, args...)
	require.NoError(t, err)
	require.EqualValues(t, 3, tag.RowsAffected())

	sql, args, err = build.Select("*").From("books").
		Where(squirrel.And{squirrel.Expr("? = any (tags)", "short"), squirrel.NotEq{"title": "B"}}).ToSql()
	require.NoError(t, err)
	ask := func(pool pgxscan.Querier) func(context.Context) error {
		return func(ctx context.Context) error {
			var short []book
			if err := pgxscan.Select(ctx, pool, &short, sql, args...); err != nil {
				return err
			}
			require.Equal(t, []book{{ID: 1, Title: "A", Tags: []string{"short"}}}, short)
			return nil
		}
	}
	require.NoError(t, ask(s.pool)(within(t)))
	s.outage(t, ask(s.pool))

	lease, err := s.pool.Acquire(within(t))
	require.NoError(t, err)
	defer lease.Release()
	require.NoError(t, ask(lease)(within(t)))

	var one book
	err = pgxscan.Get(within(t), s.pool, &one, "select * from books where id = $1", 7)
	require.True(t, pgxscan.NotFound(err))
	require.ErrorIs(t, err, pgx.ErrNoRows)
}
