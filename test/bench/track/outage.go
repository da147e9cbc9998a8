package track

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/test/bench/figures"
)

// How an outage goes.
const (
	outageLasts    = 5 * time.Second
	beforeOutage   = 300 * time.Millisecond
	oldServerEnded = 2 * time.Second // after the kill; the processes of a killed server live on for up to 0.75 s
	callerWaits    = 10 * time.Second
)

// outageEvents are a server that is killed, stays down, and comes back.
func outageEvents() []event {
	var events []event
	for _, callers := range []int{32, 1000} {
		entry := func(name string, open meteredOpener) entrant {
			return oneOff(name, func(ctx context.Context, _ *Track) (figures.Figures, error) { return outage(ctx, callers, open) })
		}
		events = append(events, event{
			Row: figures.Row{
				ID:    fmt.Sprintf("outage/%d", callers),
				Title: fmt.Sprintf("outage of %v, %d callers", outageLasts, callers),
				Setup: fmt.Sprintf("the server is killed and started again; each caller asks again and again, each time with a deadline of %v; "+
					"dials are those from the kill until the server lets clients in", callerWaits),
				X: float64(callers),
				Bounds: []figures.Bound{
					figures.Under(Ours, figures.Dials, 80),
					figures.Under(Ours, figures.First, float64(100*time.Millisecond)),
					figures.Under(Ours, figures.Failed, poolSize),
				},
			},
			entrants: []entrant{entry(Ours, meteredOurs), entry(pgxPool, meteredPgxpool)},
			fresh:    true, // a turn is long, and what it warms up is killed
		})
	}
	return events
}

// sufferer is what the callers of an outage have seen.
type sufferer struct {
	failed atomic.Int64
	since  atomic.Int64 // from when on a success is one of the new server, in Unix nanoseconds; 0: not yet
	first  atomic.Int64 // when there was one
}

// outage has a server of its own: the others need theirs.
func outage(ctx context.Context, callers int, open meteredOpener) (_ figures.Figures, err error) {
	server, err := postgres.Start(ctx, serverOptions())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	m := &meter{}
	p, err := open(ctx, server.DSN(), fixed(poolSize), m)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	var (
		s     sufferer
		group sync.WaitGroup
	)
	suffering, end := context.WithCancel(ctx)
	for caller := range callers {
		group.Go(func() { s.suffer(suffering, p, caller) })
	}
	defer group.Wait()
	defer end()
	if err := pause(ctx, beforeOutage); err != nil {
		return nil, err
	}
	killed, dials := time.Now(), m.dials.Load()
	s.since.Store(killed.Add(oldServerEnded).UnixNano())
	if err := server.Kill(); err != nil {
		return nil, err
	}
	if err := pause(ctx, time.Until(killed.Add(outageLasts))); err != nil {
		return nil, err
	}
	if err := server.StartAgain(ctx); err != nil {
		return nil, err
	}
	dials = m.dials.Load() - dials
	if err := until(ctx, "a first success", func() bool { return s.first.Load() != 0 }); err != nil {
		return nil, err
	}
	return figures.Figures{
		figures.Dials:  float64(dials),
		figures.First:  max(0, float64(s.first.Load()-server.AcceptedAt().UnixNano())),
		figures.Failed: float64(s.failed.Load()),
	}, nil
}

// suffer asks until its context ends.
func (s *sufferer) suffer(ctx context.Context, p *pool, caller int) {
	for ctx.Err() == nil {
		call, cancel := context.WithTimeout(ctx, callerWaits)
		got := 0
		err := p.query(call, caller, trivial, 1, &got)
		cancel()
		now := time.Now().UnixNano()
		switch since := s.since.Load(); {
		case err != nil && ctx.Err() == nil:
			s.failed.Add(1)
		case err == nil && since != 0 && now > since:
			s.first.CompareAndSwap(0, now)
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
