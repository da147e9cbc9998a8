package poolotel

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgconn"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// scope is the name of the instrumentation.
const scope = "github.com/seed-4ff2b7b9/supervised/poolactor/poolotel"

// Config says where spans and metrics go, and under which name.
type Config struct {
	// Pool is the attribute db.client.connection.pool.name. Default: host:port/database.
	Pool string
	// TracerProvider takes the spans, MeterProvider the metrics. Default: the global ones.
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
}

// Telemetry is a poolactor.Tracer for the Config of one pool. All methods are safe from any goroutine.
type Telemetry struct {
	config Config
	shown  atomic.Pointer[subject]
}

var (
	_ poolactor.Tracer     = (*Telemetry)(nil)
	_ poolactor.PoolTracer = (*Telemetry)(nil)
	_ poolactor.DialTracer = (*Telemetry)(nil)
)

// subject is the pool that is shown.
type subject struct {
	tracer   trace.Tracer
	spanName string
	start    []trace.SpanStartOption
	meters   meters
}

// New makes the telemetry of a pool that is not made yet: set it as its Config.Tracer.
func New(c Config) *Telemetry { return &Telemetry{config: c} }

// TracePool is for the pool. The errors are those of the MeterProvider, and that of a Telemetry that is another pool's
// already.
func (t *Telemetry) TracePool(p *poolactor.Pool) error {
	target := targetOf(p.Target())
	name := t.config.Pool
	if name == "" {
		name = target.name()
	}
	spans := t.config.TracerProvider
	if spans == nil {
		spans = otel.GetTracerProvider()
	}
	s := &subject{
		tracer:   spans.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL)),
		spanName: "acquire " + target.Database,
		start: []trace.SpanStartOption{
			trace.WithSpanKind(trace.SpanKindInternal),
			trace.WithAttributes(append(target.attributes(), semconv.DBClientConnectionPoolName(name))...),
		},
	}
	if !t.shown.CompareAndSwap(nil, s) {
		return errors.New("poolotel: this telemetry is another pool's already: make one for each pool")
	}
	figures := t.config.MeterProvider
	if figures == nil {
		figures = otel.GetMeterProvider()
	}
	return s.meters.begin(figures.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL)), name, p)
}

// AcquireStart is for the pool. It begins a span.
func (t *Telemetry) AcquireStart(ctx context.Context) context.Context {
	s := t.shown.Load()
	if s == nil {
		return ctx
	}
	ctx, _ = s.tracer.Start(ctx, s.spanName, s.start...)
	return ctx
}

// AcquireEnd is for the pool. It ends the span.
func (t *Telemetry) AcquireEnd(ctx context.Context, end poolactor.AcquireEnd) {
	s := t.shown.Load()
	if s == nil {
		return
	}
	s.meters.acquired(ctx, end)
	span := trace.SpanFromContext(ctx)
	defer span.End()
	if !span.IsRecording() {
		return
	}
	if end.Err == nil {
		span.SetAttributes(attribute.Int64("supervised.backend.pid", int64(end.PID)))
		return
	}
	span.SetStatus(codes.Error, end.Err.Error())
	span.SetAttributes(semconv.ErrorTypeKey.String(errorType(end.Err)))
	var server *pgconn.PgError
	if errors.As(end.Err, &server) {
		span.SetAttributes(semconv.DBResponseStatusCode(server.Code))
	}
}

// Released is for the pool.
func (t *Telemetry) Released(r poolactor.Released) {
	if s := t.shown.Load(); s != nil {
		s.meters.released(r)
	}
}

// DialEnd is for the pool.
func (t *Telemetry) DialEnd(end poolactor.DialEnd) {
	if s := t.shown.Load(); s != nil {
		s.meters.dialled(end)
	}
}

// errorType is why there is no lease, in one of a few words.
func errorType(err error) string {
	for _, known := range []struct {
		err  error
		word string
	}{
		{poolactor.ErrTooManyWaiters, "too_many_waiters"},
		{poolactor.ErrShed, "shed"},
		{poolactor.ErrClosed, "closed"},
		{poolactor.ErrStopped, "stopped"},
	} {
		if errors.Is(err, known.err) {
			return known.word
		}
	}
	var (
		exhausted   *poolactor.ExhaustedError
		unavailable *poolactor.UnavailableError
	)
	switch {
	case errors.As(err, &exhausted):
		return "exhausted"
	case errors.As(err, &unavailable):
		return "unavailable"
	case errors.Is(err, context.DeadlineExceeded):
		return "deadline_exceeded"
	case errors.Is(err, context.Canceled):
		return "canceled"
	default:
		return "_OTHER" // as the conventions call it
	}
}
