package poolprom

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// observed runs f in fake time, with a pool over an in-memory server and its metrics in a registry.
func observed(t *testing.T, change func(*poolactor.Config), f func(*testing.T, *poolactor.Pool, *fakepg.Server, *prometheus.Registry)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server := fakepg.New()
		defer server.Close()
		metrics := New(Config{})
		cfg := config(server)
		cfg.Tracer = metrics
		if change != nil {
			change(&cfg)
		}
		p, err := poolactor.Open(t.Context(), cfg)
		require.NoError(t, err)
		defer p.Close()
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(metrics)
		f(t, p, server, registry)
	})
}

func config(server *fakepg.Server) poolactor.Config {
	return poolactor.Config{
		ConnConfig: server.Config(), MaxSize: 2, MaxIdleTime: -1,
		DialFunc: server.Dial, CancelDialFunc: server.CancelDial, LookupFunc: server.Lookup,
		Retry: poolactor.RetryConfig{Jitter: -1},
	}
}

// value is what a metric with these labels says, written as name and value in turns; of a histogram how much it counted.
func value(t *testing.T, g prometheus.Gatherer, name string, labels ...string) float64 {
	t.Helper()
	families, err := g.Gather()
	require.NoError(t, err)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() != name || !hasLabels(m, labels) {
				continue
			}
			switch {
			case m.Counter != nil:
				return m.GetCounter().GetValue()
			case m.Gauge != nil:
				return m.GetGauge().GetValue()
			default:
				return float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	require.Fail(t, "there is no such metric", "%s %v", name, labels)
	return 0
}

func hasLabels(m *dto.Metric, labels []string) bool {
	for i := 0; i < len(labels); i += 2 {
		if !slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool {
			return l.GetName() == labels[i] && l.GetValue() == labels[i+1]
		}) {
			return false
		}
	}
	return true
}

func TestALeaseIsSeen(t *testing.T) {
	observed(t, nil, func(t *testing.T, p *poolactor.Pool, _ *fakepg.Server, r *prometheus.Registry) {
		l, err := p.Acquire(t.Context())
		require.NoError(t, err)
		<-time.After(3 * time.Second)
		require.Equal(t, 1.0, value(t, r, "supervised_pool_connections", "state", "leased"))
		require.Equal(t, 2.0, value(t, r, "supervised_pool_connections_max", "pool", "main"))
		require.Equal(t, 3.0, value(t, r, "supervised_pool_lease_oldest_seconds"))
		require.Equal(t, 1.0, value(t, r, "supervised_pool_acquire_wait_seconds", "outcome", "granted"))
		require.Zero(t, value(t, r, "supervised_pool_lease_hold_seconds"))
		l.Release()
		require.Equal(t, 1.0, value(t, r, "supervised_pool_lease_hold_seconds"))
		require.Zero(t, value(t, r, "supervised_pool_lease_oldest_seconds"))
		require.Equal(t, 1.0, value(t, r, "supervised_pool_leases_total"))
		require.Equal(t, 1.0, value(t, r, "supervised_pool_dials_total", "outcome", "opened"))
		require.Equal(t, 1.0, value(t, r, "supervised_pool_dial_duration_seconds", "outcome", "opened"))
	})
}

func TestSharedStatementsAreSeen(t *testing.T) {
	observed(t, nil, func(t *testing.T, p *poolactor.Pool, server *fakepg.Server, r *prometheus.Registry) {
		require.Zero(t, value(t, r, "supervised_pool_connections_shared"))
		server.Delay(time.Millisecond)
		ctx, cancel := context.WithCancel(t.Context())
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				for ctx.Err() == nil {
					_, _ = p.Shared().Exec(t.Context(), "select 1")
				}
			})
		}
		<-time.After(time.Second)
		require.Equal(t, 1.0, value(t, r, "supervised_pool_connections_shared"))
		require.Positive(t, value(t, r, "supervised_pool_shared_statements_total"))
		cancel()
		callers.Wait()
	})
}

func TestThoseWhoWaitInVainAreSeen(t *testing.T) {
	observed(t, func(c *poolactor.Config) { c.MaxSize = 1 }, func(t *testing.T, p *poolactor.Pool, _ *fakepg.Server, r *prometheus.Registry) {
		l, err := p.Acquire(t.Context())
		require.NoError(t, err)
		defer l.Release()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		waited := make(chan error)
		go func() {
			_, err := p.Acquire(ctx)
			waited <- err
		}()
		synctest.Wait()
		require.Equal(t, 1.0, value(t, r, "supervised_pool_waiters"))
		require.Error(t, <-waited)
		require.Zero(t, value(t, r, "supervised_pool_waiters"))
		require.Equal(t, 1.0, value(t, r, "supervised_pool_acquire_wait_seconds", "outcome", "failed"))
		require.Equal(t, 1.0, value(t, r, "supervised_pool_acquires_failed_total", "reason", "gave_up"))
	})
}

func TestAnOverdueLeaseIsSeen(t *testing.T) {
	observed(t, func(c *poolactor.Config) { c.LeaseWarnAfter = time.Second }, func(t *testing.T, p *poolactor.Pool, _ *fakepg.Server, r *prometheus.Registry) {
		l, err := p.Acquire(t.Context())
		require.NoError(t, err)
		defer l.Release()
		require.Zero(t, value(t, r, "supervised_pool_leases_overdue"))
		<-time.After(2 * time.Second)
		require.Equal(t, 1.0, value(t, r, "supervised_pool_leases_overdue"))
	})
}

func TestAnOutageIsSeen(t *testing.T) {
	observed(t, nil, func(t *testing.T, p *poolactor.Pool, server *fakepg.Server, r *prometheus.Registry) {
		require.Zero(t, value(t, r, "supervised_pool_outage"))
		require.Zero(t, value(t, r, "supervised_pool_outage_start_time_seconds"))
		server.Stop()
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		require.Error(t, p.Ping(ctx))
		require.Equal(t, 1.0, value(t, r, "supervised_pool_outage"))
		require.Zero(t, value(t, r, "supervised_pool_outage_refused"))
		require.Equal(t, 10.0, value(t, r, "supervised_pool_outage_duration_seconds"))
		require.Equal(t, 10.0, value(t, r, "supervised_pool_outage_seconds_total"))
		require.InDelta(t, float64(began.Unix()), value(t, r, "supervised_pool_outage_start_time_seconds"), 1)
		require.Positive(t, value(t, r, "supervised_pool_outage_attempts"))
		require.Positive(t, value(t, r, "supervised_pool_dials_total", "outcome", "failed", "class", "unreachable"))

		server.Start()
		require.NoError(t, p.Ping(t.Context()))
		require.Zero(t, value(t, r, "supervised_pool_outage"))
		require.Equal(t, 1.0, value(t, r, "supervised_pool_outages_total"))
		require.GreaterOrEqual(t, value(t, r, "supervised_pool_outage_seconds_total"), 10.0)
		require.Less(t, value(t, r, "supervised_pool_outage_seconds_total"), 11.0)
	})
}

func TestARefusalIsSeen(t *testing.T) {
	observed(t, nil, func(t *testing.T, p *poolactor.Pool, server *fakepg.Server, r *prometheus.Registry) {
		server.Refuse("28P01", "no")
		require.Error(t, p.Ping(t.Context()))
		require.Equal(t, 1.0, value(t, r, "supervised_pool_outage_refused"))
		require.Positive(t, value(t, r, "supervised_pool_dials_total", "outcome", "failed", "class", "refused"))
	})
}

func TestActorsAreSeen(t *testing.T) {
	observed(t, nil, func(t *testing.T, p *poolactor.Pool, _ *fakepg.Server, r *prometheus.Registry) {
		for _, actor := range []string{"root/data/pool", "root/upkeep/retry", "root/upkeep/health", "root/upkeep/desk", "root/upkeep/janitor"} {
			require.Equal(t, 1.0, value(t, r, "supervised_actor_up", "actor", actor))
			require.Zero(t, value(t, r, "supervised_actor_restarts_total", "actor", actor))
		}
		require.Positive(t, value(t, r, "supervised_actor_mailbox_capacity", "actor", "root/data/pool"))
		require.Zero(t, value(t, r, "supervised_actor_mailbox_messages", "actor", "root/upkeep/desk"))
		require.NoError(t, p.Close())
		require.Zero(t, value(t, r, "supervised_actor_up", "actor", "root/data/pool"))
		require.Equal(t, 1.0, value(t, r, "supervised_pool_closed"))
	})
}

func TestATreeOfOnesOwnIsSeen(t *testing.T) {
	server := fakepg.New()
	defer server.Close()
	metrics := New(Config{Pool: "orders", Tree: func() supervisor.Node {
		return supervisor.Node{Path: "app", Kind: supervisor.KindGroup, Children: []supervisor.Node{
			{Path: "app/mine", State: supervisor.StateBackoff, Restarts: 7},
		}}
	}})
	cfg := config(server)
	cfg.Tracer = metrics
	p, err := poolactor.New(cfg)
	require.NoError(t, err)
	defer p.Close()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(metrics)
	require.Equal(t, 7.0, value(t, registry, "supervised_actor_restarts_total", "actor", "app/mine", "pool", "orders"))
	require.Zero(t, value(t, registry, "supervised_actor_up", "actor", "app/mine"))
}

func TestNamesAndHelpAreAsPrometheusWantsThem(t *testing.T) {
	observed(t, nil, func(t *testing.T, _ *poolactor.Pool, _ *fakepg.Server, r *prometheus.Registry) {
		problems, err := testutil.GatherAndLint(r)
		require.NoError(t, err)
		require.Empty(t, problems)
	})
}

// TestSeriesAreFew: whatever happens, a pool has as many series as after its start.
func TestSeriesAreFew(t *testing.T) {
	observed(t, nil, func(t *testing.T, p *poolactor.Pool, server *fakepg.Server, r *prometheus.Registry) {
		before, err := testutil.GatherAndCount(r)
		require.NoError(t, err)
		require.Less(t, before, 80)
		for i := range 20 {
			_, err := p.Exec(poolactor.WithLabel(t.Context(), strings.Repeat("x", i)), "select 1")
			require.NoError(t, err)
			server.Terminate("57P01")
		}
		server.Refuse("28P01", "no")
		server.Terminate("57P01")
		_ = p.Ping(t.Context())
		after, err := testutil.GatherAndCount(r)
		require.NoError(t, err)
		require.Equal(t, before, after)
	})
}

func TestHistogramsAreNativeAndClassic(t *testing.T) {
	observed(t, nil, func(t *testing.T, p *poolactor.Pool, _ *fakepg.Server, r *prometheus.Registry) {
		require.NoError(t, p.Ping(t.Context()))
		families, err := r.Gather()
		require.NoError(t, err)
		seen := 0
		for _, family := range families {
			if family.GetType() != dto.MetricType_HISTOGRAM {
				continue
			}
			seen++
			for _, m := range family.GetMetric() {
				require.NotEmpty(t, m.GetHistogram().GetBucket(), "%s is classic", family.GetName())
				require.NotNil(t, m.GetHistogram().Schema, "%s is native", family.GetName())
			}
		}
		require.Equal(t, 3, seen)
		classic := scrape(r, "text/plain")
		require.Contains(t, classic, `supervised_pool_acquire_wait_seconds_bucket{outcome="granted",pool="main",le="+Inf"} 1`)
		require.NotEqual(t, classic, scrape(r, "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"))
	})
}

func scrape(r *prometheus.Registry, accept string) string {
	request := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	request.Header.Set("Accept", accept)
	answer := httptest.NewRecorder()
	promhttp.HandlerFor(r, promhttp.HandlerOpts{}).ServeHTTP(answer, request)
	return answer.Body.String()
}

func TestMetricsAreOfOnePool(t *testing.T) {
	server := fakepg.New()
	defer server.Close()
	metrics := New(Config{})
	require.Empty(t, testutil.CollectAndCount(metrics), "there is no pool yet")
	cfg := config(server)
	cfg.Tracer = metrics
	first, err := poolactor.New(cfg)
	require.NoError(t, err)
	defer first.Close()
	_, err = poolactor.New(cfg)
	require.ErrorContains(t, err, "another pool's already")

	registry := prometheus.NewRegistry()
	require.NoError(t, registry.Register(metrics))
	require.Error(t, registry.Register(New(Config{})), "two pools need two names")
	require.NoError(t, registry.Register(New(Config{Pool: "other"})))
}

func TestASumNeverFalls(t *testing.T) {
	var s sum
	require.Equal(t, 2.5, s.raise(2.5))
	require.Equal(t, 2.5, s.raise(2))
	require.Equal(t, 3.0, s.raise(3))
}

func BenchmarkLease(b *testing.B) {
	metrics := New(Config{})
	for b.Loop() {
		metrics.AcquireEnd(metrics.AcquireStart(b.Context()), poolactor.AcquireEnd{Waited: time.Microsecond, PID: 1})
		metrics.Released(poolactor.Released{Held: time.Millisecond})
	}
}
