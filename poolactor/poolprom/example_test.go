package poolprom_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/poolactor/poolprom"
	"github.com/seed-4ff2b7b9/supervised/poolactor/pooltest"
)

// The metrics are the pool's tracer and a collector of the registry. What the registry has is served as usual.
func Example() {
	ctx := context.Background()
	server := pooltest.New() // an in-memory stand-in for PostgreSQL
	defer server.Close()
	cfg := server.Config() // a program begins with poolactor.ParseConfig

	metrics := poolprom.New(poolprom.Config{Pool: "orders"})
	cfg.Tracer = metrics
	pool, err := poolactor.Open(ctx, cfg)
	if err != nil {
		panic(err)
	}
	defer pool.Close()
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics)
	handler := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})

	if err := pool.Ping(ctx); err != nil {
		panic(err)
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(answer.Body.String()) {
		if strings.HasPrefix(line, "supervised_pool_leases_total") || strings.HasPrefix(line, "supervised_pool_outage{") {
			fmt.Print(line)
		}
	}
	// Output:
	// supervised_pool_leases_total{pool="orders"} 1
	// supervised_pool_outage{pool="orders"} 0
}
