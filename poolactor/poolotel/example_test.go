package poolotel_test

import (
	"context"
	"fmt"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/poolactor/poolotel"
	"github.com/seed-4ff2b7b9/supervised/poolactor/pooltest"
)

// The telemetry is the pool's tracer. Without providers in its Config it uses those that are set globally.
func Example() {
	ctx := context.Background()
	server := pooltest.New() // an in-memory stand-in for PostgreSQL
	defer server.Close()
	cfg := server.Config() // a program begins with poolactor.ParseConfig

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
