package server

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// Planned maintenance: callers wait while a server that stops when its last client has gone is restarted. Nobody fails.
func TestAServerIsRestartedUnderASuspendedPool(t *testing.T) {
	server := pgtest.Own(t, postgres.Options{})
	cfg := configure(t, server.DSN(), func(c *poolactor.Config) { c.MinSize, c.MaxSize = 2, 5 })
	p, err := poolactor.Open(t.Context(), cfg)
	require.NoError(t, err)
	defer p.Close()

	var work sync.WaitGroup
	quit := make(chan struct{})
	for range 20 {
		work.Go(func() {
			for {
				select {
				case <-quit:
					return
				default:
				}
				if _, err := p.Exec(within(t, patience), "select pg_sleep(0.01)"); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	require.Eventually(t, func() bool { return p.Stat().Acquired > 100 }, patience, time.Millisecond)
	for range 3 {
		require.NoError(t, p.Suspend(within(t, patience)))
		require.NoError(t, p.Evict(within(t, patience), 0))
		began := time.Now()
		require.NoError(t, server.Stop(within(t, patience), postgres.Smart))
		require.Less(t, time.Since(began), time.Second, "no client kept it")
		require.NoError(t, server.StartAgain(within(t, patience)))
		served := p.Stat().Acquired
		require.NoError(t, p.Resume())
		require.Eventually(t, func() bool { return p.Stat().Acquired > served+100 }, patience, time.Millisecond)
	}
	close(quit)
	work.Wait()
	require.NoError(t, p.Close())
}

// A pool whose connections are all replaced under load fails nobody, and never has more connections than it may.
func TestEvictUnderLoad(t *testing.T) {
	p := open(t, func(c *poolactor.Config) { c.MaxSize = 4 })
	application := ask[string](t, p, "show application_name")
	beside := connect(t, pgtest.Server(t).DSN())
	var work sync.WaitGroup
	quit := make(chan struct{})
	for range 12 {
		work.Go(func() {
			for {
				select {
				case <-quit:
					return
				default:
				}
				if _, err := p.Exec(within(t, patience), "select pg_sleep(0.002)"); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	require.Eventually(t, func() bool { return backends(t, beside, application) == 4 }, patience, time.Millisecond)
	for _, over := range []time.Duration{0, 400 * time.Millisecond} {
		before := ask[time.Time](t, beside, "select clock_timestamp()")
		require.NoError(t, p.Evict(within(t, patience), over))
		require.Eventually(t, func() bool {
			return ask[int](t, beside, "select count(*) from pg_stat_activity where application_name = $1 and backend_start < $2", application, before) == 0
		}, patience, time.Millisecond)
	}
	close(quit)
	work.Wait()
}
