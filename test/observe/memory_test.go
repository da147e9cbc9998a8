package observe

import (
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// memory keeps samples for a query engine. The database of Prometheus would do the same, and takes minutes to build.
type memory struct {
	series map[string]*series // by labels
}

// series are the samples of some labels, the oldest first.
type series struct {
	labels  labels.Labels
	samples []chunks.Sample
}

func (m *memory) keep(of labels.Labels, s sample) {
	if m.series == nil {
		m.series = make(map[string]*series)
	}
	key := of.String()
	if m.series[key] == nil {
		m.series[key] = &series{labels: of}
	}
	m.series[key].samples = append(m.series[key].samples, s)
}

// queryable is the storage as the engine wants it.
func (m *memory) queryable() storage.Queryable {
	return &storage.MockQueryable{MockQuerier: &storage.MockQuerier{SelectMockFunction: m.find}}
}

// find lists the series that fit, by their labels.
func (m *memory) find(_ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	var found []storage.Series
	for _, s := range m.series {
		misfits := func(m *labels.Matcher) bool { return !m.Matches(s.labels.Get(m.Name)) }
		if !slices.ContainsFunc(matchers, misfits) {
			found = append(found, storage.NewListSeries(s.labels, s.samples))
		}
	}
	slices.SortFunc(found, func(a, b storage.Series) int { return labels.Compare(a.Labels(), b.Labels()) })
	return &seriesSet{all: found}
}

// seriesSet is a list of series that is gone through once.
type seriesSet struct {
	all []storage.Series
	now storage.Series
}

func (s *seriesSet) Next() bool {
	if len(s.all) == 0 {
		return false
	}
	s.now, s.all = s.all[0], s.all[1:]
	return true
}

func (s *seriesSet) At() storage.Series              { return s.now }
func (*seriesSet) Err() error                        { return nil }
func (*seriesSet) Warnings() annotations.Annotations { return nil }

// sample is a value at a time: a number or a histogram.
type sample struct {
	at        int64
	number    float64
	histogram *histogram.FloatHistogram
}

func (s sample) T() int64                      { return s.at }
func (sample) ST() int64                       { return 0 }
func (s sample) F() float64                    { return s.number }
func (sample) H() *histogram.Histogram         { return nil }
func (s sample) FH() *histogram.FloatHistogram { return s.histogram }
func (s sample) Copy() chunks.Sample           { return s } // nobody changes it

func (s sample) Type() chunkenc.ValueType {
	if s.histogram != nil {
		return chunkenc.ValFloatHistogram
	}
	return chunkenc.ValFloat
}
