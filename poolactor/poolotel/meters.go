package poolotel

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/dbconv"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// meters are the instruments that are told of things as they happen; the others read the pool when they are asked.
type meters struct {
	pool                     attribute.Set
	timeouts                 dbconv.ClientConnectionTimeouts
	waits, uses, createTimes recorder
}

// recorder is a histogram.
type recorder interface {
	RecordSet(ctx context.Context, value float64, set attribute.Set)
}

// buckets are the boundaries that the conventions advise for durations of databases, and two below them: most waits are
// shorter. What an SDK has by itself is made for milliseconds.
var buckets = metric.WithExplicitBucketBoundaries(.0001, .0005, .001, .005, .01, .05, .1, .5, 1, 5, 10)

// begin makes the instruments. Until the pool ends, the observable ones read it.
func (m *meters) begin(meter metric.Meter, name string, p *poolactor.Pool) error {
	m.pool = attribute.NewSet(semconv.DBClientConnectionPoolName(name))
	var errs [4]error
	m.timeouts, errs[0] = dbconv.NewClientConnectionTimeouts(meter)
	m.waits, errs[1] = dbconv.NewClientConnectionWaitTime(meter, buckets)
	m.uses, errs[2] = dbconv.NewClientConnectionUseTime(meter, buckets)
	m.createTimes, errs[3] = dbconv.NewClientConnectionCreateTime(meter, buckets)
	if err := errors.Join(append(errs[:], observe(meter, name, p))...); err != nil {
		return fmt.Errorf("poolotel: %w", err)
	}
	return nil
}

// observe makes the instruments that read the pool. One that has ended is not shown any more, and let go: the provider keeps
// the callback for as long as it lives itself.
func observe(meter metric.Meter, name string, p *poolactor.Pool) error {
	count, err1 := dbconv.NewClientConnectionCountObservable(meter)
	limit, err2 := dbconv.NewClientConnectionMaxObservable(meter)
	idleMax, err3 := dbconv.NewClientConnectionIdleMaxObservable(meter)
	idleMin, err4 := dbconv.NewClientConnectionIdleMinObservable(meter)
	pending, err5 := dbconv.NewClientConnectionPendingRequestsObservable(meter)
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return err
	}
	named := semconv.DBClientConnectionPoolName(name)
	pool := metric.WithAttributeSet(attribute.NewSet(named))
	idle := metric.WithAttributeSet(attribute.NewSet(named, semconv.DBClientConnectionStateIdle))
	used := metric.WithAttributeSet(attribute.NewSet(named, semconv.DBClientConnectionStateUsed))
	var shown atomic.Pointer[poolactor.Pool]
	shown.Store(p)
	_, err := meter.RegisterCallback(func(_ context.Context, to metric.Observer) error {
		p := shown.Load()
		if p == nil {
			return nil
		}
		select {
		case <-p.Done():
			shown.Store(nil)
			return nil
		default:
		}
		st := p.Stat()
		to.ObserveInt64(count.Inst(), int64(st.Idle), idle)
		to.ObserveInt64(count.Inst(), int64(st.Leased+st.Checking+st.Cleaning), used)
		to.ObserveInt64(limit.Inst(), int64(st.Max), pool)
		to.ObserveInt64(idleMax.Inst(), int64(st.Max), pool)
		to.ObserveInt64(idleMin.Inst(), int64(st.MinIdle), pool)
		to.ObserveInt64(pending.Inst(), int64(st.Waiting), pool)
		return nil
	}, count.Inst(), limit.Inst(), idleMax.Inst(), idleMin.Inst(), pending.Inst())
	return err
}

// acquired tells of somebody who has asked for a lease.
func (m *meters) acquired(ctx context.Context, end poolactor.AcquireEnd) {
	switch {
	case end.Err == nil:
		m.waits.RecordSet(ctx, end.Waited.Seconds(), m.pool)
	case errors.Is(end.Err, context.DeadlineExceeded):
		m.timeouts.AddSet(ctx, 1, m.pool)
	}
}

func (m *meters) released(r poolactor.Released) {
	m.uses.RecordSet(context.Background(), r.Held.Seconds(), m.pool)
}

func (m *meters) dialled(end poolactor.DialEnd) {
	if end.Err == nil {
		m.createTimes.RecordSet(context.Background(), end.Took.Seconds(), m.pool)
	}
}
