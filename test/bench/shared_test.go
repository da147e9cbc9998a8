package bench

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// querier is what each peer of the benchmark is.
type querier interface {
	QueryRow(context.Context, string, ...any) pgx.Row
}

// BenchmarkSharedBesideLeases says how long a statement takes over four shared connections, in ns/op, and how often as many
// statements there are in the same time as with a lease each on 20 connections: from our pool, and from pgxpool.
func BenchmarkSharedBesideLeases(t *testing.B) {
	server := pgtest.Server(t)
	cfg, err := poolactor.ParseConfig(server.DSN())
	require.NoError(t, err)
	cfg.MaxSize = connections
	ours, err := poolactor.Open(t.Context(), cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, ours.Close()) }()
	pc, err := pgxpool.ParseConfig(server.DSN())
	require.NoError(t, err)
	pc.MaxConns = connections
	theirs, err := pgxpool.NewWithConfig(t.Context(), pc)
	require.NoError(t, err)
	defer theirs.Close()
	_, err = ours.Exec(t.Context(), "create table if not exists bench_points (id int primary key, text text); "+
		"truncate bench_points; insert into bench_points select i, md5(i::text) from generate_series(1, 10000) i; analyze bench_points")
	require.NoError(t, err)

	for _, statement := range []struct {
		name string
		run  func(querier, int)
	}{
		{"select", func(q querier, i int) {
			var n int
			if err := q.QueryRow(context.Background(), "select $1::int", i).Scan(&n); err != nil || n != i {
				panic(fmt.Sprint(n, i, err))
			}
		}},
		{"point", func(q querier, i int) {
			var s string
			if err := q.QueryRow(context.Background(), "select text from bench_points where id = $1", 1+i%10000).Scan(&s); err != nil {
				panic(err)
			}
		}},
	} {
		for _, callers := range []int{1, 8, 64, 512} {
			t.Run(fmt.Sprintf("%s/callers=%d", statement.name, callers), func(b *testing.B) {
				var times, overLease, overPgxpool []float64
				time := func(q querier) float64 {
					return measure(callers, b.N, func() { statement.run(q, callers) })
				}
				for range rounds {
					shared, lease, pgxpool := time(ours.Shared()), time(ours), time(theirs)
					times = append(times, shared)
					overLease, overPgxpool = append(overLease, lease/shared), append(overPgxpool, pgxpool/shared)
				}
				b.ReportMetric(median(times), "ns/op")
				b.ReportMetric(median(overLease), "x-lease")
				b.ReportMetric(median(overPgxpool), "x-pgxpool")
			})
		}
	}
}
