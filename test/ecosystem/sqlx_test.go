package ecosystem

import (
	"context"
	"database/sql"
	"testing"

	"github.com/jmoiron/sqlx"
	"github.com/stretchr/testify/require"
)

func TestSqlx(t *testing.T) {
	type person struct {
		ID   int64
		Name string
		Team sql.NullString
	}
	s := plain(t)
	s.exec(t, "create table people (id bigint primary key, name text not null, team text)")
	db := openDB(t, s.pool)
	x := sqlx.NewDb(db, "pgx") // the name tells sqlx which placeholders to write

	people := []person{{ID: 1, Name: "Ada"}, {ID: 2, Name: "Grace", Team: sql.NullString{String: "navy", Valid: true}}}
	_, err := x.NamedExecContext(within(t), "insert into people (id, name, team) values (:id, :name, :team)", people)
	require.NoError(t, err)

	query, args, err := sqlx.In("select * from people where id in (?) order by id", []int{1, 2, 3})
	require.NoError(t, err)
	ask := func(ctx context.Context) error {
		var found []person
		err := x.SelectContext(ctx, &found, x.Rebind(query), args...)
		if err == nil {
			require.Equal(t, people, found)
		}
		return err
	}
	require.NoError(t, ask(within(t)))
	s.outage(t, ask)
	require.ErrorIs(t, x.GetContext(within(t), &person{}, "select * from people where id = $1", 7), sql.ErrNoRows)

	s.outage(t, func(ctx context.Context) error {
		tx, err := x.BeginTxx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		statement, err := tx.PrepareNamedContext(ctx, "update people set team = :team where team is null")
		if err != nil {
			return err
		}
		if _, err := statement.ExecContext(ctx, map[string]any{"team": "engines"}); err != nil {
			return err
		}
		return tx.Commit()
	})
	var team string
	require.NoError(t, x.GetContext(within(t), &team, "select team from people where id = $1", 1))
	require.Equal(t, "engines", team)
	require.Zero(t, s.pool.Stat().Leased)
}
