package server

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/faultproxy"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// unwatched makes a pool that hands out connections as they are.
func unwatched(c *poolactor.Config) {
	c.MaxSize = 2
	c.Health.OnAcquire, c.Health.Interval = poolactor.CheckNever, -1
}

// resetAll resets every connection through the proxy, and returns when they are closed.
func resetAll(t *testing.T, proxy *faultproxy.Proxy) {
	t.Helper()
	proxy.ResetAll()
	require.Eventually(t, func() bool { return proxy.Counts().Open == 0 }, patience, time.Millisecond)
}

// A connection that was reset while it rested takes not a byte of what is sent to it, so another one is taken.
func TestWhatCouldNotBeWrittenIsSentOnAnotherConnection(t *testing.T) {
	id := table(t, "unwritten", "n int")
	for name, use := range map[string]func(ctx context.Context, p *poolactor.Pool) error{
		"exec": func(ctx context.Context, p *poolactor.Pool) error {
			_, err := p.Exec(ctx, "insert into unwritten values ($1)", 1)
			return err
		},
		"query": func(ctx context.Context, p *poolactor.Pool) error {
			return p.QueryRow(ctx, "insert into unwritten values ($1) returning n", 1).Scan(new(int))
		},
		"batch": func(ctx context.Context, p *poolactor.Pool) error {
			var b pgx.Batch
			b.Queue("insert into unwritten values ($1)", 1)
			return p.SendBatch(ctx, &b).Close()
		},
		"copy": func(ctx context.Context, p *poolactor.Pool) error {
			_, err := p.CopyFrom(ctx, id, []string{"n"}, pgx.CopyFromRows([][]any{{1}}))
			return err
		},
		"transaction": func(ctx context.Context, p *poolactor.Pool) error {
			return p.WithTx(ctx, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
				_, err := tx.Exec(ctx, "insert into unwritten values ($1)", 1)
				return err
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			proxy, through := proxied(t)
			p := open(t, func(c *poolactor.Config) { unwatched(c); through(c) })
			before := ask[int](t, p, "select count(*) from unwritten")
			resetAll(t, proxy)
			require.NoError(t, use(within(t, patience), p))
			require.Equal(t, before+1, ask[int](t, p, "select count(*) from unwritten"))
		})
	}
}

// Rows that a copy has taken from its source cannot be had again.
func TestACopyThatReadItsRowsIsNotRepeated(t *testing.T) {
	id := table(t, "copied", "n int")
	proxy, through := proxied(t)
	p := open(t, func(c *poolactor.Config) { unwatched(c); through(c) })
	_, err := p.CopyFrom(within(t, patience), id, []string{"n"}, pgx.CopyFromRows([][]any{{1}, {2}}))
	require.NoError(t, err)
	resetAll(t, proxy)
	taken := 0
	_, err = p.CopyFrom(within(t, patience), id, []string{"n"}, pgx.CopyFromFunc(func() ([]any, error) {
		taken++
		return nil, nil
	}))
	require.Error(t, err, "pgx knows the table by now, and reads rows before it sends anything")
	require.Equal(t, 1, taken)
	require.Equal(t, 2, ask[int](t, p, "select count(*) from copied"))
}

// Twenty times a second every backend of the pool is terminated, for as long as the callers take. Whatever was sent by then:
// no row is there twice, and each that was acknowledged is there.
func TestNoStatementRunsTwiceOnARealServer(t *testing.T) {
	const callers, each = 8, 300
	table(t, "once", "n int")
	p := open(t, func(c *poolactor.Config) { c.MaxSize = 4 })
	application := ask[string](t, p, "show application_name")
	beside := connect(t, pgtest.Server(t).DSN())
	var (
		work         sync.WaitGroup
		mu           sync.Mutex
		acknowledged []int
		failed       int
	)
	for caller := range callers {
		work.Go(func() {
			for n := range each {
				key := caller*each + n
				err := insert(within(t, patience), p, key)
				mu.Lock()
				if err == nil {
					acknowledged = append(acknowledged, key)
				} else {
					failed++
				}
				mu.Unlock()
			}
		})
	}
	over := make(chan struct{})
	go func() { work.Wait(); close(over) }()
	for ended := false; !ended; {
		_, err := beside.Exec(within(t, patience), "select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1", application)
		require.NoError(t, err)
		select {
		case <-over:
			ended = true
		case <-time.After(50 * time.Millisecond):
		}
	}
	require.Zero(t, ask[int](t, beside, "select count(*) - count(distinct n) from once"))
	require.Equal(t, len(acknowledged), ask[int](t, beside, "select count(*) from once where n = any($1)", acknowledged))
	require.Greater(t, len(acknowledged), callers*each/2)
	t.Logf("%d acknowledged, %d failed, %d connections", len(acknowledged), failed, p.Stat().Opened)
}

// insert adds a row in one of the ways that the pool offers.
func insert(ctx context.Context, p *poolactor.Pool, key int) error {
	const sql = "insert into once values ($1)"
	switch rand.IntN(5) {
	case 0:
		_, err := p.Exec(ctx, sql, key)
		return err
	case 1:
		_, err := p.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol, key)
		return err
	case 2:
		return p.QueryRow(ctx, sql+" returning n", key).Scan(new(int))
	case 3:
		var b pgx.Batch
		b.Queue(sql, key)
		return p.SendBatch(ctx, &b).Close()
	default:
		_, err := p.CopyFrom(ctx, pgx.Identifier{"once"}, []string{"n"}, pgx.CopyFromRows([][]any{{key}}))
		return err
	}
}
