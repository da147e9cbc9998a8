package poolotel

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	metricnoop "go.opentelemetry.io/otel/metric/noop"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	tracenoop "go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/goleak"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// witness is where spans and metrics end up.
type witness struct {
	spans   *tracetest.SpanRecorder
	traces  *sdktrace.TracerProvider
	figures *sdkmetric.ManualReader
	meters  *sdkmetric.MeterProvider
}

func newWitness() witness {
	w := witness{spans: tracetest.NewSpanRecorder(), figures: sdkmetric.NewManualReader()}
	w.traces = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(w.spans))
	w.meters = sdkmetric.NewMeterProvider(sdkmetric.WithReader(w.figures))
	return w
}

func (w witness) config() Config { return Config{TracerProvider: w.traces, MeterProvider: w.meters} }

// read collects the metrics: name and attributes, and the value; of a histogram how much it counted.
func (w witness) read(t *testing.T) map[string]int64 {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, w.figures.Collect(t.Context(), &all))
	found := map[string]int64{}
	for _, s := range all.ScopeMetrics {
		require.Equal(t, scope, s.Scope.Name)
		require.Contains(t, s.Scope.SchemaURL, "opentelemetry.io/schemas/")
		for _, m := range s.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				for _, p := range data.DataPoints {
					found[series(m.Name, m.Unit, p.Attributes)] = p.Value
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					found[series(m.Name, m.Unit, p.Attributes)] = int64(p.Count)
				}
			default:
				require.Fail(t, "unexpected", "%s is a %T", m.Name, m.Data)
			}
		}
	}
	return found
}

// series leaves out the pool's name, which each of them has.
func series(name, unit string, set attribute.Set) string {
	if _, ok := set.Value("db.client.connection.pool.name"); !ok {
		return name + " of no pool"
	}
	if state, ok := set.Value("db.client.connection.state"); ok {
		name += " " + state.AsString()
	}
	return name + " " + unit
}

// shown runs f in fake time, with a pool over an in-memory server.
func shown(t *testing.T, change func(*poolactor.Config), f func(*testing.T, *poolactor.Pool, *fakepg.Server, witness)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server := fakepg.New()
		defer server.Close()
		w := newWitness()
		cfg := config(server)
		cfg.Tracer = New(w.config())
		if change != nil {
			change(&cfg)
		}
		p, err := poolactor.Open(t.Context(), cfg)
		require.NoError(t, err)
		defer p.Close()
		f(t, p, server, w)
	})
}

func config(server *fakepg.Server) poolactor.Config {
	return poolactor.Config{
		ConnConfig: server.Config(), MaxSize: 2, MinSize: 1,
		DialFunc: server.Dial, CancelDialFunc: server.CancelDial, LookupFunc: server.Lookup,
		Retry: poolactor.RetryConfig{Jitter: -1},
	}
}

func attributes(s sdktrace.ReadOnlySpan) map[string]any {
	all := map[string]any{}
	for _, a := range s.Attributes() {
		all[string(a.Key)] = a.Value.AsInterface()
	}
	return all
}

func TestAnAcquireIsASpan(t *testing.T) {
	shown(t, nil, func(t *testing.T, p *poolactor.Pool, _ *fakepg.Server, w witness) {
		ctx, parent := w.traces.Tracer("caller").Start(t.Context(), "request")
		l, err := p.Acquire(ctx)
		require.NoError(t, err)
		pid := p.Holders()[0].PID
		l.Release()
		parent.End()

		span := w.spans.Ended()[0]
		require.Equal(t, "acquire app", span.Name())
		require.Equal(t, parent.SpanContext().SpanID(), span.Parent().SpanID())
		require.Equal(t, scope, span.InstrumentationScope().Name)
		require.Equal(t, codes.Unset, span.Status().Code)
		require.Equal(t, map[string]any{
			"db.system.name": "postgresql", "db.namespace": "app", "server.address": "db.test", "server.port": int64(5432),
			"db.client.connection.pool.name": "db.test:5432/app", "supervised.backend.pid": int64(pid),
		}, attributes(span))
	})
}

func TestAnAcquireInVainIsASpanThatSaysWhy(t *testing.T) {
	none := func(c *poolactor.Config) { c.MinSize = 0 }
	shown(t, none, func(t *testing.T, p *poolactor.Pool, server *fakepg.Server, w witness) {
		server.Refuse("28P01", "no")
		_, err := p.Acquire(t.Context())
		require.Error(t, err)
		span := w.spans.Ended()[0]
		require.Equal(t, codes.Error, span.Status().Code)
		require.Contains(t, span.Status().Description, "refuses the connection")
		require.Equal(t, "unavailable", attributes(span)["error.type"])
		require.Equal(t, "28P01", attributes(span)["db.response.status_code"])
		require.NotContains(t, attributes(span), "supervised.backend.pid")
	})
}

func TestErrorsAreOfFewTypes(t *testing.T) {
	for want, err := range map[string]error{
		"exhausted":         &poolactor.ExhaustedError{Err: context.DeadlineExceeded},
		"too_many_waiters":  &poolactor.ExhaustedError{Err: poolactor.ErrTooManyWaiters},
		"shed":              &poolactor.ExhaustedError{Err: poolactor.ErrShed},
		"unavailable":       &poolactor.UnavailableError{Err: context.DeadlineExceeded},
		"closed":            poolactor.ErrClosed,
		"stopped":           fmt.Errorf("%w: why", poolactor.ErrStopped),
		"deadline_exceeded": context.DeadlineExceeded,
		"canceled":          context.Canceled,
		"_OTHER":            errors.New("what else"),
	} {
		require.Equal(t, want, errorType(err))
	}
}

func TestThePoolIsMeasured(t *testing.T) {
	shown(t, func(c *poolactor.Config) { c.MinSize, c.MinIdle = 0, 1 }, func(t *testing.T, p *poolactor.Pool, _ *fakepg.Server, w witness) {
		l, err := p.Acquire(t.Context())
		require.NoError(t, err)
		second, err := p.Acquire(t.Context())
		require.NoError(t, err)
		second.Release()
		over, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		third, err := p.Acquire(over)
		require.NoError(t, err)
		waited := make(chan error)
		go func() {
			_, err := p.Acquire(over)
			waited <- err
		}()
		synctest.Wait()
		require.Equal(t, map[string]int64{
			"db.client.connection.count idle {connection}": 0, "db.client.connection.count used {connection}": 2,
			"db.client.connection.max {connection}": 2, "db.client.connection.idle.max {connection}": 2,
			"db.client.connection.idle.min {connection}": 1, "db.client.connection.pending_requests {request}": 1,
			"db.client.connection.create_time s": 2, "db.client.connection.wait_time s": 3, "db.client.connection.use_time s": 1,
		}, w.read(t))
		require.Error(t, <-waited)
		require.EqualValues(t, 1, w.read(t)["db.client.connection.timeouts {timeout}"])
		l.Release()
		third.Release()
		require.EqualValues(t, 2, w.read(t)["db.client.connection.count idle {connection}"])
		require.EqualValues(t, 3, w.read(t)["db.client.connection.use_time s"])

		require.NoError(t, p.Close())
		require.NotContains(t, w.read(t), "db.client.connection.max {connection}", "a pool that has ended is not shown")
	})
}

func TestATelemetryIsOfOnePool(t *testing.T) {
	server := fakepg.New()
	defer server.Close()
	w := newWitness()
	named := w.config()
	named.Pool = "orders"
	cfg := config(server)
	cfg.Tracer = New(named)
	first, err := poolactor.New(cfg)
	require.NoError(t, err)
	defer first.Close()
	_, err = poolactor.New(cfg)
	require.ErrorContains(t, err, "another pool's already")
}

// brokenMeters refuse one instrument.
type brokenMeters struct{ metricnoop.MeterProvider }

type brokenMeter struct{ metric.Meter }

var errNoInstrument = errors.New("no such instrument")

func (m brokenMeters) Meter(name string, options ...metric.MeterOption) metric.Meter {
	return brokenMeter{m.MeterProvider.Meter(name, options...)}
}

func (brokenMeter) Float64Histogram(string, ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	return nil, errNoInstrument
}

func TestAnInstrumentThatCannotBeMadeIsAnError(t *testing.T) {
	server := fakepg.New()
	defer server.Close()
	cfg := config(server)
	cfg.Tracer = New(Config{TracerProvider: tracenoop.NewTracerProvider(), MeterProvider: brokenMeters{}})
	_, err := poolactor.New(cfg)
	require.ErrorIs(t, err, errNoInstrument)
}

func TestWithoutProvidersNothingIsDone(t *testing.T) {
	shown(t, func(c *poolactor.Config) { c.Tracer = New(Config{}) }, func(t *testing.T, p *poolactor.Pool, _ *fakepg.Server, w witness) {
		require.NoError(t, p.Ping(t.Context()))
		require.Empty(t, w.spans.Ended())
	})
	hidden := New(Config{}) // behind a tracer that does not show it its pool
	hidden.AcquireEnd(hidden.AcquireStart(t.Context()), poolactor.AcquireEnd{})
	hidden.Released(poolactor.Released{})
	hidden.DialEnd(poolactor.DialEnd{})
}

func TestASocketHasNoPort(t *testing.T) {
	socket := target{Host: "/run/postgresql", Port: 5432, Database: "app"}
	require.Equal(t, "/run/postgresql/app", socket.name())
	require.Len(t, socket.attributes(), 3)
	require.Equal(t, "[::1]:5432/app", target{Host: "::1", Port: 5432, Database: "app"}.name())
}

func BenchmarkLeaseOfNoProvider(b *testing.B) {
	server := fakepg.New()
	defer server.Close()
	cfg := config(server)
	telemetry := New(Config{TracerProvider: tracenoop.NewTracerProvider(), MeterProvider: metricnoop.NewMeterProvider()})
	cfg.Tracer = telemetry
	p, err := poolactor.New(cfg)
	require.NoError(b, err)
	defer p.Close()
	for b.Loop() {
		telemetry.AcquireEnd(telemetry.AcquireStart(b.Context()), poolactor.AcquireEnd{Waited: time.Microsecond, PID: 1})
		telemetry.Released(poolactor.Released{Held: time.Millisecond})
	}
}
