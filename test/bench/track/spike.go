package track

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/test/bench/figures"
)

// meter counts the sockets that a pool asks for, each of which takes a while.
type meter struct {
	takes time.Duration
	dials atomic.Int64
}

func (m *meter) dial(ctx context.Context, network, address string) (net.Conn, error) {
	m.dials.Add(1)
	if m.takes > 0 {
		timer := time.NewTimer(m.takes)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}

var _ pgconn.DialFunc = (&meter{}).dial

// meteredOpener opens a pool of a kind whose sockets go through a meter.
type meteredOpener func(context.Context, string, size, *meter) (*pool, error)

func meteredOurs(ctx context.Context, dsn string, n size, m *meter) (*pool, error) {
	return openOurs(ctx, dsn, n, func(c *poolactor.Config) {
		c.DialFunc = m.dial
		c.CancelDialFunc = (&net.Dialer{}).DialContext // cancel requests open no connection
	})
}

func meteredPgxpool(ctx context.Context, dsn string, n size, m *meter) (*pool, error) {
	return openPgxpool(ctx, dsn, n, func(c *pgxpool.Config) { c.ConnConfig.DialFunc = m.dial })
}

// spikeEvents are one crowd that comes at once to a pool that has few connections open.
func spikeEvents() []event {
	entry := func(name string, open meteredOpener) entrant {
		return oneOff(name, func(ctx context.Context, t *Track) (figures.Figures, error) {
			return spike(ctx, t.server.DSN(), open)
		})
	}
	return []event{{
		Row: figures.Row{
			ID:    "spike",
			Title: fmt.Sprintf("spike: %d callers at once, %d connections open, %d at most", spikeCallers, spikeSize.min, spikeSize.max),
			Setup: "after HikariCP's SpikeLoadTest: a socket takes 150 ms, a query 2 ms (pg_sleep), each caller asks once",
			Bounds: []figures.Bound{
				figures.AtMost(Ours, figures.Served, 1, pgxPool),
				figures.AtMost(Ours, figures.Dials, 0.5, pgxPool),
			},
		},
		quick:    true,
		entrants: []entrant{entry(Ours, meteredOurs), entry(pgxPool, meteredPgxpool)},
	}}
}

// oneOff is an entrant that has nothing open between its turns.
func oneOff(name string, turn func(context.Context, *Track) (figures.Figures, error)) entrant {
	return entrant{name, func(_ context.Context, t *Track) (lane, error) {
		return lane{turn: func(ctx context.Context) (figures.Figures, error) { return turn(ctx, t) }}, nil
	}}
}

const spikeCallers = 50

var spikeSize = size{5, 50}

func spike(ctx context.Context, dsn string, open meteredOpener) (_ figures.Figures, err error) {
	m := &meter{takes: 150 * time.Millisecond}
	p, err := open(ctx, dsn, spikeSize, m)
	if err != nil {
		return nil, err
	}
	before := m.dials.Load()
	var (
		group  sync.WaitGroup
		failed atomic.Pointer[error]
	)
	began := time.Now()
	for caller := range spikeCallers {
		group.Go(func() {
			var slept string
			if err := p.query(ctx, caller, "select pg_sleep(0.002 * $1)::text", 1, &slept); err != nil {
				failed.Store(&err)
			}
		})
	}
	group.Wait()
	served := time.Since(began)
	if err := p.close(); err != nil { // nothing dials any more when it returns
		return nil, err
	}
	if err := failed.Load(); err != nil {
		return nil, *err
	}
	return figures.Figures{
		figures.Served: float64(served.Nanoseconds()),
		figures.Dials:  float64(m.dials.Load() - before),
	}, nil
}
