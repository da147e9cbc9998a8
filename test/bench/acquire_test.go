package bench

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const (
	connections = 20
	rounds      = 7 // of each peer, in turns; the median of the ratios counts
)

// BenchmarkAcquireBesidePgxpool says how long acquire and release take without a query, in ns/op and as a ratio to
// pgxpool's time, at 1, 4, 32 and 256 callers, both with the lease given back at once and with it held across one
// scheduling point. Checks, holders and the watch for forgotten leases are on, as by default.
func BenchmarkAcquireBesidePgxpool(t *testing.B) {
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

	ctx := context.Background()
	for _, callers := range []int{1, 4, 32, 256} {
		for _, held := range []struct {
			how string
			f   func()
		}{{"not", func() {}}, {"Gosched", runtime.Gosched}} {
			us := func() {
				l, err := ours.Acquire(ctx)
				if err != nil {
					panic(err)
				}
				held.f()
				l.Release()
			}
			them := func() {
				c, err := theirs.Acquire(ctx)
				if err != nil {
					panic(err)
				}
				held.f()
				c.Release()
			}
			t.Run(fmt.Sprintf("callers=%d/held=%s", callers, held.how), func(b *testing.B) {
				var ratios, mine, peers []float64
				for range rounds {
					x, y := measure(callers, b.N, us), measure(callers, b.N, them)
					mine, peers, ratios = append(mine, x), append(peers, y), append(ratios, x/y)
				}
				b.ReportMetric(median(mine), "ns/op")
				b.ReportMetric(median(peers), "pgxpool-ns/op")
				b.ReportMetric(median(ratios), "ratio")
			})
		}
	}
}

// measure is the time of one acquire and release, in nanoseconds, when so many callers make that many of them.
func measure(callers, leases int, f func()) float64 {
	var (
		left  atomic.Int64
		group sync.WaitGroup
	)
	left.Store(int64(leases))
	began := time.Now()
	for range callers {
		group.Go(func() {
			for left.Add(-1) >= 0 {
				f()
			}
		})
	}
	group.Wait()
	return float64(time.Since(began)) / float64(leases)
}

func median(x []float64) float64 {
	x = slices.Clone(x)
	slices.Sort(x)
	return x[len(x)/2]
}
