package daemon

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"
	"github.com/thejerf/suture/v4"

	"github.com/seed-4ff2b7b9/supervised/internal/config"
	"github.com/seed-4ff2b7b9/supervised/internal/ops"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/poolactor/poolprom"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

// Front is what the outside sees of a pool and its tree: the HTTP server with its pages and metrics, the watch over
// readiness, and the journal of what happened. Make it before the pool, whose Tracer it has.
type Front struct {
	config   config.Config
	version  string
	started  time.Time
	listener net.Listener
	log      *zerolog.Logger

	metrics *poolprom.Metrics // nil: none are asked for
	journal ops.Journal
	tree    atomic.Pointer[supervisor.Tree]
	watch   *ops.Watch
	server  *ops.Server
}

// NewFront makes the front for what a listener accepts.
func NewFront(c config.Config, version string, listener net.Listener, log *zerolog.Logger) *Front {
	f := &Front{config: c, version: version, started: time.Now(), listener: listener, log: log}
	if c.Ops.Metrics {
		f.metrics = poolprom.New(poolprom.Config{Tree: f.snapshot})
	}
	return f
}

// Tracer is for the pool's Config.
func (f *Front) Tracer() poolactor.Tracer {
	if f.metrics == nil {
		return nil
	}
	return f.metrics
}

// URL leads to the page.
func (f *Front) URL() string { return f.server.URL() }

// snapshot is empty before there is a tree.
func (f *Front) snapshot() supervisor.Node {
	if tree := f.tree.Load(); tree != nil {
		return tree.Snapshot()
	}
	return supervisor.Node{}
}

// children are the watch and the HTTP server as children of the edge.
func (f *Front) children(pool *poolactor.Pool) []supervisor.Child {
	c := f.config
	f.watch = ops.NewWatch(ops.Subject{
		Version: f.version, Started: f.started, Pool: pool, PoolPath: PoolPath, Journal: &f.journal,
		Tree: f.snapshot, Metrics: f.handler(),
	}, time.Duration(c.Health.Interval+c.Health.Timeout), c.Ops.ReadyWhileDown, f.log)
	f.server = ops.NewServer(f.listener, f.watch.Handler(c.Ops.StatePage), f.log)
	return []supervisor.Child{
		{
			Name: f.watch.String(), New: func() suture.Service { return f.watch }, Restart: restart(c.Supervision),
			StopTimeout: time.Second,
		},
		{
			Name: f.server.String(), New: func() suture.Service { return f.server }, Restart: restart(c.Supervision),
			StopTimeout: ops.DrainTimeout + time.Second,
		},
	}
}

// handler serves what Prometheus asks for: the pool and the tree, the Go runtime and the process.
func (f *Front) handler() http.Handler {
	if f.metrics == nil {
		return nil
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(f.metrics, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

// Follow takes down what happens in the pool and its tree, until end is called.
func (f *Front) Follow(pool *poolactor.Pool, tree *supervisor.Tree) (end func()) {
	ctx, unfollow := context.WithCancel(context.Background())
	events, poolEvents := tree.Events(ctx), pool.Events(ctx)
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		f.journal.Follow(events, poolEvents, PoolPath)
	}()
	return func() {
		unfollow()
		<-followed
	}
}
