package server

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// Serializable transactions that read all and write one: most of them find at COMMIT or before that another one has
// changed what they read, and all of them succeed in the end.
func TestRetryUnderSerializationFailures(t *testing.T) {
	const callers, each = 6, 10
	table(t, "balance", "n int")
	p := open(t, func(c *poolactor.Config) { c.MaxSize = callers })
	var (
		work sync.WaitGroup
		read sync.WaitGroup // by everybody, before anybody writes for the first time: that cannot go well for all
		mu   sync.Mutex
		runs int
	)
	read.Add(callers)
	policy := poolactor.RetryPolicy{TxOptions: pgx.TxOptions{IsoLevel: pgx.Serializable}, MaxAttempts: -1, Initial: time.Millisecond}
	for range callers {
		work.Go(func() {
			once := sync.OnceFunc(func() { read.Done(); read.Wait() })
			for range each {
				err := p.Retry(within(t, patience), policy, func(ctx context.Context, tx pgx.Tx) error {
					mu.Lock()
					runs++
					mu.Unlock()
					var n int
					if err := tx.QueryRow(ctx, "select count(*) from balance").Scan(&n); err != nil {
						return err
					}
					once()
					_, err := tx.Exec(ctx, "insert into balance values ($1)", n)
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	work.Wait()
	require.Equal(t, callers*each, ask[int](t, p, "select count(distinct n) from balance"), "as if one had run after the other")
	require.Equal(t, callers*each, ask[int](t, p, "select count(*) from balance"))
	require.Greater(t, runs, callers*each, "some had to run again")
	require.LessOrEqual(t, p.Stat().Opened, int64(callers), "no connection was lost by it")
}

// Two transactions that lock the same rows in different order: the server ends one of them, and it runs again.
func TestRetryAfterADeadlock(t *testing.T) {
	table(t, "locks", "n int")
	p := open(t, func(c *poolactor.Config) { c.MaxSize = 2 })
	_, err := p.Exec(within(t, patience), "insert into locks values (1), (2)")
	require.NoError(t, err)
	var (
		work sync.WaitGroup
		both sync.WaitGroup
		mu   sync.Mutex
		runs int
	)
	both.Add(2)
	for _, order := range [][2]int{{1, 2}, {2, 1}} {
		work.Go(func() {
			once := sync.OnceFunc(func() { both.Done(); both.Wait() })
			err := p.Retry(within(t, patience), poolactor.RetryPolicy{}, func(ctx context.Context, tx pgx.Tx) error {
				mu.Lock()
				runs++
				mu.Unlock()
				for _, n := range order {
					if _, err := tx.Exec(ctx, "select n from locks where n = $1 for update", n); err != nil {
						return err
					}
					once()
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	require.GreaterOrEqual(t, runs, 3, "more often if the one that lost is back before the other goes on")
}

// Transactions whose backends are terminated at any time, the COMMIT included: each has happened once if it was
// acknowledged, once or not at all if its outcome is unknown.
func TestRetryWhileBackendsAreTerminated(t *testing.T) {
	const callers, each = 6, 50
	table(t, "kept", "n int")
	p := open(t, func(c *poolactor.Config) { c.MaxSize = 4 })
	application := ask[string](t, p, "show application_name")
	beside := connect(t, pgtest.Server(t).DSN())
	var (
		work          sync.WaitGroup
		mu            sync.Mutex
		acknowledged  []int
		unknown, runs int
	)
	for caller := range callers {
		work.Go(func() {
			for n := range each {
				key := caller*each + n
				err := p.Retry(within(t, patience), poolactor.RetryPolicy{MaxAttempts: -1}, func(ctx context.Context, tx pgx.Tx) error {
					mu.Lock()
					runs++
					mu.Unlock()
					if _, err := tx.Exec(ctx, "insert into kept values ($1)", key); err != nil {
						return err
					}
					_, err := tx.Exec(ctx, "select pg_sleep(0.001)")
					return err
				})
				mu.Lock()
				switch {
				case err == nil:
					acknowledged = append(acknowledged, key)
				case errors.Is(err, poolactor.ErrOutcomeUnknown):
					unknown++
				default:
					t.Error(err)
				}
				mu.Unlock()
			}
		})
	}
	over := make(chan struct{})
	go func() { work.Wait(); close(over) }()
	for ended := false; !ended; {
		_, err := beside.Exec(within(t, patience), `select pg_terminate_backend(pid) from pg_stat_activity
			where application_name = $1 order by random() limit 1`, application)
		require.NoError(t, err)
		select {
		case <-over:
			ended = true
		case <-time.After(25 * time.Millisecond):
		}
	}
	require.Zero(t, ask[int](t, beside, "select count(*) - count(distinct n) from kept"), "nothing is there twice")
	require.Equal(t, len(acknowledged), ask[int](t, beside, "select count(*) from kept where n = any($1)", acknowledged))
	require.Greater(t, runs, callers*each, "some had to run again")
	t.Logf("%d acknowledged, %d unknown, %d runs", len(acknowledged), unknown, runs)
}
