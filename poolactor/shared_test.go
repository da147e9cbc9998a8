package poolactor

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

// share lets so many callers run statements until the returned function is called.
func share(t *testing.T, p *Pool, callers int) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			for ctx.Err() == nil {
				var n int
				if err := p.Shared().Idempotent().QueryRow(context.Background(), "select 7").Scan(&n); err != nil || n != 7 {
					t.Error(n, err)
					return
				}
				time.Sleep(time.Millisecond) // in fake time
			}
		})
	}
	return func() { cancel(); group.Wait() }
}

func TestSharedConnectionsAreLeasesThatNobodyMinds(t *testing.T) {
	inMemory(t, func(c *Config) {
		c.LeaseWarnAfter, c.LeaseMaxAge, c.ShedByDeadline = time.Second, 2*time.Second, true
		c.MaxLifetime = 5 * time.Second
	}, func(t *testing.T, p *Pool, server *fakepg.Server) {
		events := p.Events(t.Context())
		server.Delay(time.Millisecond)
		stop := share(t, p, 12)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.Positive(t, p.Stat().Sharing)
		require.LessOrEqual(t, p.Stat().Sharing, 3, "one connection is left for leases")
		require.Positive(t, p.Stat().Shared)
		for _, h := range p.Holders() {
			if h.Label == "shared statements" {
				require.False(t, h.Overdue)
			}
		}
		require.Zero(t, p.Stat().Revoked)
		require.Positive(t, p.Stat().Expired, "they are replaced when they are old")
		stop()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Zero(t, p.Stat().Leased, "they are given back when nobody shares them")
		for len(events) > 0 {
			require.NotContains(t, []EventKind{EventOverdue, EventRevoked, EventForgotten}, (<-events).Kind)
		}
	})
}

func TestNothingIsSharedWhereItCannotBe(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"off":            func(c *Config) { c.Shared.Connections = -1 },
		"one connection": func(c *Config) { c.MaxSize = 1 },
		"full reset":     func(c *Config) { c.Reset = ResetFull },
		"a tracer":       func(c *Config) { c.ConnConfig.Tracer = &statements{} },
		"no names":       func(c *Config) { c.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec },
	} {
		t.Run(name, func(t *testing.T) {
			inMemory(t, change, func(t *testing.T, p *Pool, server *fakepg.Server) {
				server.Delay(time.Millisecond)
				stop := share(t, p, 12)
				time.Sleep(time.Second)
				require.Zero(t, p.Stat().Sharing)
				require.Zero(t, p.Stat().Shared)
				stop()
			})
		})
	}
}

// What may run twice is sent again when its connection is lost, and nobody hears of it.
func TestIdempotentStatementsOutliveTheirConnections(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		server.Delay(time.Millisecond)
		stop := share(t, p, 12)
		for range 10 {
			time.Sleep(time.Second)
			require.Positive(t, p.Stat().Sharing)
			server.Terminate("57P01")
		}
		server.Stop()
		time.Sleep(5 * time.Second)
		server.Start()
		before := p.Stat().Shared
		time.Sleep(time.Second)
		require.Greater(t, p.Stat().Shared, before)
		stop()
	})
}
