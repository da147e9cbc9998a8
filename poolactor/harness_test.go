package poolactor

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeConfig leads a pool to an in-memory server, with a schedule that is exact.
func fakeConfig(server *fakepg.Server) Config {
	return Config{
		ConnConfig:     server.Config(),
		MaxSize:        4,
		DialFunc:       server.Dial,
		CancelDialFunc: server.CancelDial,
		LookupFunc:     server.Lookup,
		Retry:          RetryConfig{Jitter: -1},
	}
}

// inMemory runs f in fake time with a pool over an in-memory server, and looks afterwards that nothing is left.
func inMemory(t *testing.T, change func(*Config), f func(t *testing.T, p *Pool, server *fakepg.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server := fakepg.New()
		defer server.Close()
		cfg := fakeConfig(server)
		if change != nil {
			change(&cfg)
		}
		p, err := Open(t.Context(), cfg)
		require.NoError(t, err)
		defer p.Close() // also when f fails
		f(t, p, server)
		require.NoError(t, p.Close())
		synctest.Wait()
		require.Zero(t, server.Connections(), "every connection was closed")
		require.Zero(t, p.Stat().Total())
		require.Zero(t, p.waiting.Load())
	})
}

// within is a context with a deadline, cancelled with the test.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func one(t *testing.T, ctx context.Context, q interface {
	QueryRow(context.Context, string, ...any) pgx.Row
}, sql string,
) (n int) {
	t.Helper()
	require.NoError(t, q.QueryRow(ctx, sql).Scan(&n))
	return n
}

// pass lets fake time go by.
func pass(d time.Duration) { <-time.After(d) }
