package spec

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// A bound in time is for a machine that is not busy with something else. What the control needs that does the same
// without a pool, in turns with it, is therefore added to each bound.

func percentile(d []time.Duration, p int) time.Duration {
	d = slices.Clone(d)
	slices.Sort(d)
	return d[(len(d)-1)*p/100]
}

func timed(f func()) time.Duration {
	began := time.Now()
	f()
	return time.Since(began)
}

func checksCheaply(t *testing.T) {
	dsn := pgtest.Server(t).DSN()
	ctx := within(t, patience)
	with := func(policy poolactor.CheckPolicy) func() {
		p := open(t, dsn, func(c *poolactor.Config) {
			c.Health = poolactor.HealthConfig{OnAcquire: policy, Interval: -1}
		})
		require.NoError(t, p.WaitReady(ctx))
		return func() {
			l, err := p.Acquire(ctx)
			require.NoError(t, err)
			l.Release()
		}
	}
	always, never := with(poolactor.CheckAlways), with(poolactor.CheckNever)
	conn := connect(t, dsn)
	bare := func() { require.NoError(t, conn.PgConn().Exec(ctx, "SELECT 1").Close()) }
	var checked, unchecked, control []time.Duration
	for range 201 {
		checked = append(checked, timed(always))
		unchecked = append(unchecked, timed(never))
		control = append(control, timed(bare))
	}
	overhead, excess := percentile(checked, 50)-percentile(unchecked, 50), percentile(control, 50)
	t.Logf("acquire with SELECT 1 takes %v, without %v: %v more; SELECT 1 alone %v",
		percentile(checked, 50), percentile(unchecked, 50), overhead, excess)
	require.Less(t, overhead, 5*time.Millisecond+excess)
}

const (
	callers     = 32
	connections = 20
	calls       = 60 // of each caller
)

func acquiresSoon(t *testing.T) {
	dsn := pgtest.Server(t).DSN()
	ctx := within(t, 2*time.Minute)
	p := open(t, dsn, func(c *poolactor.Config) { c.MinSize, c.MaxSize = connections, connections })
	require.Eventually(t, func() bool { return p.Stat().Idle == connections }, patience, time.Millisecond)
	pooled := func() time.Duration {
		var l *poolactor.Lease
		waited := timed(func() {
			var err error
			if l, err = p.Acquire(ctx); err != nil {
				panic(err)
			}
		})
		defer l.Release()
		use(ctx, l)
		return waited
	}
	shelf := make(chan *pgx.Conn, connections)
	for range connections {
		shelf <- connect(t, dsn)
	}
	shelved := func() time.Duration {
		var conn *pgx.Conn
		waited := timed(func() { conn = <-shelf })
		defer func() { shelf <- conn }()
		use(ctx, conn)
		return waited
	}
	var ours, control []time.Duration
	for range 5 {
		ours = append(ours, crowd(pooled)...)
		control = append(control, crowd(shelved)...)
	}
	p99, excess := percentile(ours, 99), percentile(control, 99)
	t.Logf("%d acquires: p50 %v, p99 %v, max %v; from a bare channel: p50 %v, p99 %v, max %v", len(ours),
		percentile(ours, 50), p99, slices.Max(ours), percentile(control, 50), excess, slices.Max(control))
	require.Less(t, p99, 100*time.Millisecond+excess)
}

// use keeps a connection for a short read.
func use(ctx context.Context, q querier) {
	if err := q.QueryRow(ctx, "select $1::int", 1).Scan(new(int)); err != nil {
		panic(err)
	}
}

// crowd lets many callers do the same at once, and returns how long each of their calls waited.
func crowd(call func() time.Duration) (all []time.Duration) {
	var (
		mu    sync.Mutex
		group sync.WaitGroup
	)
	for range callers {
		group.Go(func() {
			var waits []time.Duration
			for range calls / 5 {
				waits = append(waits, call())
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, waits...)
		})
	}
	group.Wait()
	return all
}
