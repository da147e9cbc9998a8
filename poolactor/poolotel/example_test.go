package poolotel_test

import (
	"context"
	"fmt"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/poolactor/poolotel"
)

// The telemetry is the pool's tracer. Without providers in its Config it uses those that are set globally.
func Example() {
	ctx := context.Background()
	server := fakepg.New() // an in-memory stand-in for PostgreSQL
	defer server.Close()
	cfg, err := poolactor.ParseConfig(fakepg.DSN)
	if err != nil {
		panic(err)
	}
	cfg.DialFunc, cfg.LookupFunc = server.Dial, server.Lookup

	spans := tracetest.NewSpanRecorder() // an exporter, in a program
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
	cfg.Tracer = poolotel.New(poolotel.Config{TracerProvider: provider})
	pool, err := poolactor.Open(ctx, cfg)
	if err != nil {
		panic(err)
	}
	defer pool.Close()

	ctx, request := provider.Tracer("example").Start(ctx, "GET /orders")
	if err := pool.Ping(ctx); err != nil {
		panic(err)
	}
	request.End()
	for _, span := range spans.Ended() {
		fmt.Println(span.Name(), "below another:", span.Parent().IsValid())
	}
	// Output:
	// acquire app below another: true
	// GET /orders below another: false
}
