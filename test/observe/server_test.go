package observe

import (
	"errors"
	"io"
	"math"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
)

// prometheus is a Prometheus without its network: what was scraped, and the engine that answers queries about it.
type prometheus struct {
	engine  *promql.Engine
	samples memory
	first   time.Time // of the samples
	last    time.Time
}

// interval is how far apart samples are taken to be: what people configure, not what a test can wait for.
const interval = 15 * time.Second

// syntax is PromQL without anything experimental, for queries and rules.
var syntax = parser.NewParser(parser.Options{})

// newPrometheus takes in pages as if they had been scraped an interval apart.
func newPrometheus(t *testing.T, pages []page) *prometheus {
	t.Helper()
	p := &prometheus{first: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	p.engine = promql.NewEngine(promql.EngineOpts{
		MaxSamples: 1 << 20, Timeout: time.Minute, LookbackDelta: 5 * time.Minute, Parser: syntax,
		EnableAtModifier: true, EnableNegativeOffset: true,
	})
	t.Cleanup(func() { require.NoError(t, p.engine.Close()) })
	for i, page := range pages {
		p.last = p.first.Add(time.Duration(i) * interval)
		p.store(t, page, p.last)
	}
	return p
}

// store keeps one page, with the labels that a scrape adds.
func (p *prometheus) store(t *testing.T, page page, at time.Time) {
	t.Helper()
	metrics, err := textparse.New(page.body, page.contentType, labels.NewSymbolTable(), textparse.ParserOptions{})
	require.NoError(t, err)
	for {
		entry, err := metrics.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		switch entry {
		case textparse.EntrySeries:
			_, _, value := metrics.Series()
			p.samples.keep(scraped(metrics), sample{at: at.UnixMilli(), number: value})
		case textparse.EntryHistogram:
			_, _, whole, fractions := metrics.Histogram()
			if whole != nil {
				fractions = whole.ToFloat(nil)
			}
			p.samples.keep(scraped(metrics), sample{at: at.UnixMilli(), histogram: fractions})
		}
	}
}

func scraped(metrics textparse.Parser) labels.Labels {
	var own labels.Labels
	metrics.Labels(&own)
	all := labels.NewBuilder(own)
	all.Set("job", "supervised")
	all.Set("instance", "127.0.0.1:8432")
	return all.Labels()
}

// evaluate runs a query over the whole time, as a dashboard does, and returns its series.
func (p *prometheus) evaluate(t *testing.T, query string) promql.Matrix {
	t.Helper()
	q, err := p.engine.NewRangeQuery(t.Context(), p.samples.queryable(), nil, query, p.first.Add(interval), p.last, interval)
	require.NoError(t, err, query)
	defer q.Close()
	result := q.Exec(t.Context())
	require.NoError(t, result.Err, query)
	require.Empty(t, result.Warnings, query)
	series, err := result.Matrix()
	require.NoError(t, err, query)
	return copied(series)
}

// copied outlives its query.
func copied(series promql.Matrix) promql.Matrix {
	var all promql.Matrix
	for _, s := range series {
		s.Floats = append([]promql.FPoint(nil), s.Floats...)
		all = append(all, s)
	}
	return all
}

// requireData asks for a number.
func (p *prometheus) requireData(t *testing.T, query string) {
	t.Helper()
	for _, series := range p.evaluate(t, query) {
		for _, point := range series.Floats {
			if !math.IsNaN(point.F) {
				return
			}
		}
	}
	require.Fail(t, "there is no data", "%s", query)
}
