// Package poolprom shows a pool to Prometheus: connections, waits, leases, dials, outages, and the pool's actors.
//
//	metrics := poolprom.New(poolprom.Config{})
//	cfg.Tracer = metrics
//	pool, err := poolactor.Open(ctx, cfg)
//	prometheus.MustRegister(metrics)
//
// Setting the tracer is all that connects the two: the pool shows itself to its tracer when it is made. With a tracer of
// your own beside it, poolactor.Tracers joins both. Each pool has metrics of its own; Config.Pool names them, and is the
// label "pool" of each of them.
//
// # What there is
//
// Everything is read off the pool when Prometheus asks, which takes no lock and works while the pool's actor is down, or
// after the pool has ended. Three things are told as they happen, since figures of a moment miss them: how long callers
// waited (supervised_pool_acquire_wait_seconds), how long they kept what they got (supervised_pool_lease_hold_seconds),
// and how long it took to open connections (supervised_pool_dial_duration_seconds). These are histograms in both forms:
// native ones for who scrapes these, with classic buckets for everybody else. They cost each lease about 0.2
// microseconds.
//
// All times are in seconds. No label has more values than the pool has states and the tree has actors: there is none with
// a process, a caller or an error in it. Who holds what is told by poolactor.Pool's Holders, and why something failed by
// its Events and its log.
//
// # What to look at
//
// When callers are slow, supervised_pool_acquire_wait_seconds says whether they wait for the pool. If they do and
// supervised_pool_connections{state="leased"} is at supervised_pool_connections_max, either leases are held for long
// (supervised_pool_lease_hold_seconds, supervised_pool_leases_overdue) or there are too few connections. If they do and
// supervised_pool_outage is 1, the server lets nobody in; supervised_pool_dials_total says of which kind the answers are.
// Of the leased connections supervised_pool_connections_shared serve poolactor.Shared, which no single caller holds; that
// supervised_pool_shared_statements_total stands still says that its statements have leases of their own.
// The folder contrib of this module has a dashboard for Grafana and rules for alerts that use all this.
package poolprom
