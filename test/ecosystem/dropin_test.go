package ecosystem

import (
	"context"
	"errors"
	"testing"

	"github.com/georgysavva/scany/v2/pgxscan"
	"github.com/jackc/pgx/v5"
	"github.com/pgvector/pgvector-go"
	pgxvector "github.com/pgvector/pgvector-go/pgx"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/poolactor/pgxpool"
)

// dropIn is a pool that looks like jackc's, and the stage that it is on.
func dropIn(t *testing.T, setup string) (*pgxpool.Pool, *stage) {
	t.Helper()
	server := pgtest.Own(t, postgres.Options{})
	_, err := connect(t, server).Exec(within(t), setup)
	require.NoError(t, err)
	cfg, err := pgxpool.ParseConfig(server.DSN() + "&pool_max_conns=4")
	require.NoError(t, err)
	cfg.AfterConnect = pgxvector.RegisterTypes
	cfg.Tune = func(c *poolactor.Config) { c.Health.Interval = lookout }
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool, &stage{server: server, pool: pool.Supervised()}
}

// What was written for jackc's pool does with another import path what it did, and outlives its server.
func TestDropIn(t *testing.T) {
	pool, s := dropIn(t, standIn+authors)
	for name, use := range map[string]func(context.Context) error{
		"sqlc on the pool": New(pool).play,
		"sqlc on a connection": func(ctx context.Context) error {
			return pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error { return New(conn).play(ctx) })
		},
		"sqlc in a transaction": func(ctx context.Context) error {
			return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error { return New(pool).WithTx(tx).play(ctx) })
		},
		"scany": func(ctx context.Context) error {
			var numbers []int
			if err := pgxscan.Select(ctx, pool, &numbers, "select generate_series(1, $1)", 3); err != nil {
				return err
			}
			require.Equal(t, []int{1, 2, 3}, numbers)
			return nil
		},
		"pgvector": func(ctx context.Context) error {
			var item pgvector.Vector
			err := pool.QueryRow(ctx, "select $1::vector", items[1]).Scan(&item)
			if err == nil {
				require.Equal(t, items[1], item)
			}
			return err
		},
		"a listener": func(ctx context.Context) error {
			lease, err := pool.Acquire(ctx)
			if err != nil {
				return err
			}
			conn := lease.Hijack()
			_, err = conn.Exec(ctx, "listen news")
			if err == nil {
				_, err = pool.Exec(ctx, "notify news, 'good'")
			}
			if err == nil {
				_, err = conn.WaitForNotification(ctx)
			}
			return errors.Join(err, conn.Close(ctx))
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, use(within(t)))
			s.outage(t, use)
			require.NoError(t, use(within(t)))
			require.Zero(t, pool.Stat().AcquiredConns())
		})
	}
}
