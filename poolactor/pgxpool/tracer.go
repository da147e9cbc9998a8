package pgxpool

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// AcquireTracer is told of every acquire, those of the pool's own methods included, if it is the Tracer of
// [Config].ConnConfig. A panic of it is the error of that acquire. A tracer whose methods have pgx's own *pgxpool.Pool in their
// signatures (tracelog.TraceLog, multitracer.Tracer) is none, and hears of statements only.
type AcquireTracer interface {
	// TraceAcquireStart is called when an acquire begins. The context that it returns is that of the rest of the acquire, and
	// of TraceAcquireEnd.
	TraceAcquireStart(ctx context.Context, pool *Pool, data TraceAcquireStartData) context.Context
	// TraceAcquireEnd is called when there is a connection, or none to be had.
	TraceAcquireEnd(ctx context.Context, pool *Pool, data TraceAcquireEndData)
}

// TraceAcquireStartData is nothing yet.
type TraceAcquireStartData struct{}

// TraceAcquireEndData is how an acquire ended.
type TraceAcquireEndData struct {
	Conn *pgx.Conn // nil with an error
	Err  error     // why there is no connection; nil: there is one
}

// ReleaseTracer is told of every release, if it is the Tracer of [Config].ConnConfig. A panic of it is an event of the pool
// below, and closes the connection.
type ReleaseTracer interface {
	// TraceRelease is called when a release begins.
	TraceRelease(pool *Pool, data TraceReleaseData)
}

// TraceReleaseData is what is released.
type TraceReleaseData struct {
	Conn *pgx.Conn // the holder has it until TraceRelease returns
}

// tracers are what a tracer of statements can do besides; nil: it cannot.
type tracers struct {
	acquire AcquireTracer
	release ReleaseTracer
}

func tracersOf(t pgx.QueryTracer) (found tracers) {
	found.acquire, _ = t.(AcquireTracer)
	found.release, _ = t.(ReleaseTracer)
	return found
}
