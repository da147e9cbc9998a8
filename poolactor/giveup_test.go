//go:build failpoint

package poolactor

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

// These tests crash the actor that dials, and look at the end of the pool.

const injected = "no room for another dial"

// undialled makes that actor panic whenever it has news.
func undialled(t *testing.T, restart supervisor.Restart) func(*Config) {
	hooked(t, func(name string) {
		if name == "dialer.published" {
			panic(injected)
		}
	})
	return func(c *Config) { c.Supervision.Upkeep = restart }
}

// waiting sets callers on a pool that cannot serve them, and returns their errors when all wait.
func waiting(t *testing.T, p *Pool, n int) <-chan error {
	errs := make(chan error, n)
	for range n {
		go func() {
			_, err := p.Acquire(t.Context())
			errs <- err
		}()
	}
	return errs
}

func allGet(t *testing.T, errs <-chan error, want error) {
	t.Helper()
	for range cap(errs) {
		require.ErrorIs(t, <-errs, want)
	}
}

func TestCloseInCrashBackoff(t *testing.T) {
	inMemory(t, undialled(t, supervisor.Restart{Initial: time.Hour, Max: time.Hour}), func(t *testing.T, p *Pool, server *fakepg.Server) {
		server.Stop()
		errs := waiting(t, p, 3)
		synctest.Wait()
		require.EqualValues(t, 1, p.retry.Inspect().Crashes)
		began := time.Now()
		require.NoError(t, p.Close())
		require.Less(t, time.Since(began), time.Second)
		allGet(t, errs, ErrClosed)
		require.NoError(t, p.Err())
	})
}

func TestAnActorThatGivesUpEndsThePool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := fakepg.New()
		defer server.Close()
		server.Stop()
		cfg := fakeConfig(server)
		undialled(t, supervisor.Restart{Never: true})(&cfg)
		p, err := Open(t.Context(), cfg)
		require.NoError(t, err)
		allGet(t, waiting(t, p, 5), ErrStopped)
		<-p.Done()
		var gaveUp *supervisor.GaveUpError
		require.ErrorAs(t, p.Err(), &gaveUp)
		require.ErrorIs(t, p.Err(), ErrStopped)
		require.ErrorContains(t, p.Err(), injected)
		require.ErrorContains(t, p.Err(), "retry")
		_, err = p.Acquire(t.Context())
		require.ErrorIs(t, err, ErrStopped)
		require.ErrorContains(t, err, injected, "later callers learn the cause")
		require.Zero(t, p.Stat().Total())
	})
}

// A pool that gives up ends the tree that it is mounted in with its cause.
func TestAMountedPoolThatGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := fakepg.New()
		defer server.Close()
		server.Stop()
		cfg := fakeConfig(server)
		undialled(t, supervisor.Restart{Never: true})(&cfg)
		p, err := New(cfg)
		require.NoError(t, err)
		tree, err := supervisor.New(supervisor.Config{Name: "app"},
			supervisor.Group{Name: "storage", Children: []supervisor.Child{p.Service()}})
		require.NoError(t, err)
		require.NoError(t, tree.Start(t.Context()))
		_, err = p.Acquire(t.Context())
		require.ErrorIs(t, err, ErrStopped)
		<-tree.Done()
		require.ErrorIs(t, tree.Err(), ErrStopped)
		require.ErrorContains(t, tree.Err(), injected)
	})
}
