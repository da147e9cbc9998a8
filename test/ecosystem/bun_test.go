package ecosystem

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
)

// City is a model of bun's.
type City struct {
	ID      int64 `bun:",pk,autoincrement"`
	Name    string
	Bridges []string `bun:",array"`
}

func TestBun(t *testing.T) {
	s := plain(t)
	db := openDB(t, s.pool)
	orm := bun.NewDB(db, pgdialect.New())
	_, err := orm.NewCreateTable().Model((*City)(nil)).Exec(within(t))
	require.NoError(t, err)

	cities := []City{{Name: "Prague", Bridges: []string{"Charles"}}, {Name: "Venice", Bridges: []string{"Rialto", "Sighs"}}}
	_, err = orm.NewInsert().Model(&cities).Exec(within(t))
	require.NoError(t, err)
	require.NotZero(t, cities[1].ID, "what the statement returns is read")

	ask := func(ctx context.Context) error {
		var found []City
		err := orm.NewSelect().Model(&found).Where("? = any (bridges)", "Rialto").Scan(ctx)
		if err == nil {
			require.Equal(t, cities[1:], found)
		}
		return err
	}
	require.NoError(t, ask(within(t)))
	s.outage(t, ask)

	remove := func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewDelete().Model((*City)(nil)).Where("name = ?", "Prague").Exec(ctx)
		return err
	}
	oops := errors.New("oops")
	err = orm.RunInTx(within(t), nil, func(ctx context.Context, tx bun.Tx) error {
		return errors.Join(remove(ctx, tx), oops)
	})
	require.ErrorIs(t, err, oops)
	count, err := orm.NewSelect().Model((*City)(nil)).Count(within(t))
	require.NoError(t, err)
	require.EqualValues(t, 2, count)

	s.outage(t, func(ctx context.Context) error { return orm.RunInTx(ctx, nil, remove) })
	count, err = orm.NewSelect().Model((*City)(nil)).Count(within(t))
	require.NoError(t, err)
	require.EqualValues(t, 1, count)
	require.Zero(t, s.pool.Stat().Leased)
}
