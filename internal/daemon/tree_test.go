package daemon

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"github.com/thejerf/suture/v4"

	"github.com/seed-4ff2b7b9/supervised/internal/config"
	"github.com/seed-4ff2b7b9/supervised/internal/ops"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

// service is a function as a service.
type service func(context.Context) error

func (s service) Serve(ctx context.Context) error { return s(ctx) }

// child makes a child of a function.
func child(name string, serve func(context.Context) error) supervisor.Child {
	return supervisor.Child{Name: name, New: func() suture.Service { return service(serve) }}
}

// poolTo makes a pool to a server; it does not run yet.
func poolTo(t *testing.T, url string) *poolactor.Pool {
	t.Helper()
	settings, err := PoolConfig(config.Default().WithURL(url), nil)
	require.NoError(t, err)
	pool, err := poolactor.New(settings)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	return pool
}

func TestTheEdgeEndsWhileThePoolStillServes(t *testing.T) {
	server := pgtest.Own(t, postgres.Options{})
	pool := poolTo(t, server.DSN())
	var inTheEnd error
	edge := child("caller", func(ctx context.Context) error {
		<-ctx.Done()
		inTheEnd = pool.Ping(context.Background()) // a call that begins while the edge drains
		return ctx.Err()
	})
	tree, err := NewTree(Parts{Embedded: server, EmbeddedDelay: time.Second, Pool: pool, Edge: []supervisor.Child{edge}})
	require.NoError(t, err)
	require.NoError(t, tree.Start(t.Context()))
	var paths []string
	for n := range tree.Snapshot().All() {
		paths = append(paths, n.Path)
	}
	require.Subset(t, paths, []string{EmbeddedPath, PoolPath, PoolPath + "/data/pool", PoolPath + "/upkeep/retry", "root/edge/caller"})

	require.NoError(t, tree.Stop(t.Context()))
	require.NoError(t, inTheEnd)
	require.ErrorIs(t, pool.Ping(t.Context()), poolactor.ErrClosed)
	require.Zero(t, server.PID(), "the server stops last")
}

// As the daemon is configured by default, a part that always fails ends it: it must not look healthy for ever.
func TestAPartThatAlwaysFailsEndsTheTree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		broken := child("broken", func(context.Context) error { return errors.New("bang") })
		broken.Restart = restart(config.Default().Supervision)
		tree, err := supervisor.New(supervisor.Config{}, supervisor.Group{Name: "edge", Children: []supervisor.Child{broken}})
		require.NoError(t, err)
		var gaveUp *supervisor.GaveUpError
		require.ErrorAs(t, tree.Serve(t.Context()), &gaveUp)
		require.Less(t, time.Since(began), 2*time.Minute)
	})
}

func TestATreeThatGaveUpEndsTheDaemonWithItsCause(t *testing.T) {
	bang := errors.New("bang")
	pool := poolTo(t, "postgres://127.0.0.1:1/none")
	edge := child("broken", func(context.Context) error { return bang })
	edge.Restart.Never = true
	listener, err := ops.Listen("127.0.0.1", 0)
	require.NoError(t, err)
	defer listener.Close()
	front := NewFront(config.Default(), "", listener, nil)
	tree, err := NewTree(Parts{Pool: pool, Front: front, Edge: []supervisor.Child{edge}})
	require.NoError(t, err)
	d := &daemon{pool: pool, front: front, tree: tree, log: &logbook{logger: zerolog.Nop()}}
	err = d.serve(t.Context())
	require.ErrorIs(t, err, bang)
	var gaveUp *supervisor.GaveUpError
	require.ErrorAs(t, err, &gaveUp)
	require.Equal(t, "root/edge/broken", gaveUp.Who)
	require.ErrorIs(t, pool.Ping(t.Context()), poolactor.ErrClosed)
}
