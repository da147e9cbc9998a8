package pgxpool

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeConfig leads a pool of one connection to an in-memory server.
func fakeConfig(t *testing.T, server *fakepg.Server) *Config {
	t.Helper()
	c, err := ParseConfig(fakepg.DSN)
	require.NoError(t, err)
	c.ConnConfig.DialFunc, c.ConnConfig.LookupFunc = server.Dial, server.Lookup
	c.MaxConns = 1
	c.Tune = func(s *poolactor.Config) { s.CancelDialFunc = server.CancelDial }
	return c
}

// inMemory runs f in fake time with a pool over an in-memory server, and looks afterwards that nothing is left.
func inMemory(t *testing.T, change func(*Config), f func(t *testing.T, p *Pool, server *fakepg.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server := fakepg.New()
		defer server.Close()
		c := fakeConfig(t, server)
		if change != nil {
			change(c)
		}
		p, err := NewWithConfig(t.Context(), c)
		require.NoError(t, err)
		defer p.Close()
		f(t, p, server)
		p.Close()
		synctest.Wait()
		require.Zero(t, server.Connections(), "every connection was closed")
		require.Zero(t, p.Stat().TotalConns())
	})
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func acquired(t *testing.T, p *Pool) *Conn {
	t.Helper()
	c, err := p.Acquire(t.Context())
	require.NoError(t, err)
	return c
}

// pass lets fake time go by.
func pass(d time.Duration) { <-time.After(d) }

// works asserts that nothing is out and the next caller is served.
func works(t *testing.T, p *Pool) {
	t.Helper()
	synctest.Wait()
	require.Zero(t, p.Stat().AcquiredConns())
	var n int
	require.NoError(t, p.QueryRow(t.Context(), "select 7").Scan(&n))
	require.Equal(t, 7, n)
}
