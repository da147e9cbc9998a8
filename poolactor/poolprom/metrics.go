package poolprom

import (
	"cmp"
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

// Config says what is shown, and under which name.
type Config struct {
	// Pool is the label "pool" of every metric. A registry takes two pools only under two names. Default "main".
	Pool string
	// Tree is where restarts and mailboxes are read: a snapshot of your own tree, say, if the pool is mounted in one.
	// Default: the pool's own part. It is called by many goroutines and must not block.
	Tree func() supervisor.Node
}

// Metrics are the metrics of one pool: a prometheus.Collector to register, and a poolactor.Tracer for the pool's Config.
// Before the pool was made they are empty; they outlive its end. All methods are safe from any goroutine.
type Metrics struct {
	config  Config
	pool    atomic.Pointer[poolactor.Pool]
	figures []described
	outages sum // of seconds: what Stat says of the one that goes on and of those before is not read at the same instant

	waits, dials *prometheus.HistogramVec
	holds        prometheus.Histogram
	granted      prometheus.Observer
	notGranted   prometheus.Observer
}

var (
	_ prometheus.Collector = (*Metrics)(nil)
	_ poolactor.Tracer     = (*Metrics)(nil)
	_ poolactor.PoolTracer = (*Metrics)(nil)
	_ poolactor.DialTracer = (*Metrics)(nil)
)

// namespace begins the name of every metric.
const namespace = "supervised"

// The bounds of the classic buckets, in seconds. A wait of less than 10 microseconds found a connection free.
var (
	waitBuckets = []float64{1e-5, 1e-4, 5e-4, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30}
	holdBuckets = []float64{1e-4, 5e-4, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300}
	dialBuckets = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}
)

// New makes the metrics of a pool that is not made yet: set them as its Config.Tracer, and register them.
func New(c Config) *Metrics {
	c.Pool = cmp.Or(c.Pool, "main")
	labels := prometheus.Labels{"pool": c.Pool}
	m := &Metrics{
		config: c,
		waits: prometheus.NewHistogramVec(histogram("acquire_wait_seconds", labels, waitBuckets,
			"How long callers waited for a lease, by whether they got one (granted) or not (failed)."), []string{"outcome"}),
		holds: prometheus.NewHistogram(histogram("lease_hold_seconds", labels, holdBuckets,
			"How long leases were held that were given back.")),
		dials: prometheus.NewHistogramVec(histogram("dial_duration_seconds", labels, dialBuckets,
			"How long attempts to open a connection took, by whether there was one (opened) or not (failed)."), []string{"outcome"}),
	}
	m.granted, m.notGranted = m.waits.WithLabelValues("granted"), m.waits.WithLabelValues("failed")
	for _, outcome := range []string{"opened", "failed"} {
		m.dials.WithLabelValues(outcome) // so that they are there before anything has happened
	}
	for _, f := range figures {
		m.figures = append(m.figures, f.described(labels))
	}
	return m
}

// histogram describes a histogram in both forms. The native one has buckets of a tenth each, and widens them rather than
// to have more than 160.
func histogram(name string, labels prometheus.Labels, buckets []float64, help string) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Namespace: namespace, Subsystem: "pool", Name: name, Help: help, ConstLabels: labels, Buckets: buckets,
		NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160, NativeHistogramMinResetDuration: time.Hour,
	}
}

// Describe is for the registry.
func (m *Metrics) Describe(to chan<- *prometheus.Desc) {
	for _, f := range m.figures {
		to <- f.desc
	}
	for _, h := range m.histograms() {
		h.Describe(to)
	}
}

// Collect is for the registry. It never blocks.
func (m *Metrics) Collect(to chan<- prometheus.Metric) {
	p := m.pool.Load()
	if p == nil {
		return
	}
	picture := m.take(p)
	for _, f := range m.figures {
		f.read(picture, func(value float64, labels ...string) {
			to <- prometheus.MustNewConstMetric(f.desc, f.kind, value, labels...)
		})
	}
	for _, h := range m.histograms() {
		h.Collect(to)
	}
}

func (m *Metrics) histograms() []prometheus.Collector {
	return []prometheus.Collector{m.waits, m.holds, m.dials}
}

// TracePool is for the pool. The error is that of metrics which are another pool's already.
func (m *Metrics) TracePool(p *poolactor.Pool) error {
	if !m.pool.CompareAndSwap(nil, p) {
		return errors.New("poolprom: these metrics are another pool's already: make some for each pool, with a Config.Pool of its own")
	}
	return nil
}

// AcquireStart is for the pool.
func (m *Metrics) AcquireStart(ctx context.Context) context.Context { return ctx }

// AcquireEnd is for the pool.
func (m *Metrics) AcquireEnd(_ context.Context, end poolactor.AcquireEnd) {
	if end.Err != nil {
		m.notGranted.Observe(end.Waited.Seconds())
		return
	}
	m.granted.Observe(end.Waited.Seconds())
}

// Released is for the pool.
func (m *Metrics) Released(r poolactor.Released) { m.holds.Observe(r.Held.Seconds()) }

// DialEnd is for the pool.
func (m *Metrics) DialEnd(end poolactor.DialEnd) {
	outcome := "opened"
	if end.Err != nil {
		outcome = "failed"
	}
	m.dials.WithLabelValues(outcome).Observe(end.Took.Seconds())
}
