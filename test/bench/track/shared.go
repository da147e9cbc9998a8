package track

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/seed-4ff2b7b9/supervised/internal/faultproxy"
	"github.com/seed-4ff2b7b9/supervised/test/bench/figures"
)

// sharedSize is how many connections the callers of shared statements have among them.
const sharedSize = 4

// pgxPoolSmall is pgxpool with as many.
const pgxPoolSmall = "pgxpool with 4"

// sharedEvents are statements of many callers over a few connections that they share.
func sharedEvents() []event {
	var events []event
	for _, r := range []struct {
		callers int
		ratio   float64
	}{{1, 0.95}, {8, 1.1}, {64, 2.5}, {512, 3}} {
		events = append(events, sharedEvent("shared", trivial, r.callers, r.ratio))
	}
	for _, callers := range []int{64, 512} {
		events = append(events, sharedEvent("point", pointRead, callers, 2))
	}
	return append(events, far(64, 3), far(512, 10))
}

func sharedEvent(id, sql string, callers int, ratio float64) event {
	e := event{
		Row: figures.Row{
			ID:     fmt.Sprintf("%s/%d", id, callers),
			Title:  fmt.Sprintf("shared statements, %q, %s", sql, plural(callers, "caller")),
			Setup:  fmt.Sprintf("ours with %d connections, pgxpool with %d", sharedSize, poolSize),
			X:      float64(callers),
			Bounds: []figures.Bound{figures.AtLeast(Ours, figures.Throughput, ratio, pgxPool)},
		},
		quick: callers == 64,
		entrants: []entrant{
			asking(Ours, callers, sql, func(ctx context.Context, dsn string) (*pool, error) { return openShared(ctx, dsn) }),
			asking(pgxPool, callers, sql, func(ctx context.Context, dsn string) (*pool, error) {
				return openPgxpool(ctx, dsn, fixed(poolSize), nil)
			}),
		},
	}
	if callers >= 64 { // else the server is not what limits anybody
		e.entrants = append(e.entrants, rawPipelines(sql, sharedSize))
	}
	return e
}

// eachWay is the delay of the proxy in the rows with a server that is far.
const eachWay = time.Millisecond

// far is the same with a server that is a millisecond away.
func far(callers int, ratio float64) event {
	e := event{
		Row: figures.Row{
			ID:     fmt.Sprintf("far/%d", callers),
			Title:  fmt.Sprintf("shared statements through a proxy that adds %v each way, %s", eachWay, plural(callers, "caller")),
			Setup:  fmt.Sprintf("%q; ours with %d connections, pgxpool with %d", trivial, sharedSize, poolSize),
			X:      float64(callers),
			Bounds: []figures.Bound{figures.AtLeast(Ours, figures.Throughput, ratio, pgxPool)},
		},
		quick:    callers == 64,
		entrants: []entrant{distant(Ours, callers, openShared), distant(pgxPool, callers, pgxpoolOf(poolSize))},
	}
	if callers == 64 {
		e.Bounds = append(e.Bounds, figures.AtLeast(Ours, figures.Throughput, 10, pgxPoolSmall))
		e.entrants = append(e.entrants, distant(pgxPoolSmall, callers, pgxpoolOf(sharedSize)))
	}
	return e
}

func pgxpoolOf(n int) func(context.Context, string) (*pool, error) {
	return func(ctx context.Context, dsn string) (*pool, error) { return openPgxpool(ctx, dsn, fixed(n), nil) }
}

// distant is an entrant that asks through a proxy of its own.
func distant(name string, callers int, open func(context.Context, string) (*pool, error)) entrant {
	return asking(name, callers, trivial, func(ctx context.Context, dsn string) (*pool, error) {
		u, err := url.Parse(dsn)
		if err != nil {
			return nil, err
		}
		proxy, err := faultproxy.New(u.Host)
		if err != nil {
			return nil, err
		}
		proxy.Latency(eachWay)
		u.Host = net.JoinHostPort("127.0.0.1", fmt.Sprint(proxy.Port()))
		p, err := open(ctx, u.String())
		if err != nil {
			_ = proxy.Close() // fails never
			return nil, err
		}
		closePool := p.close
		p.close = func() error {
			err := closePool()
			_ = proxy.Close() // fails never
			return err
		}
		return p, nil
	})
}

// openShared opens our pool for statements that share its connections.
func openShared(ctx context.Context, dsn string) (*pool, error) {
	p, err := openOurs(ctx, dsn, fixed(sharedSize), nil)
	if err != nil {
		return nil, err
	}
	shared := p.ours.Shared()
	p.query = func(ctx context.Context, _ int, sql string, arg int, into any) error {
		return shared.QueryRow(ctx, sql, arg).Scan(into)
	}
	return p, nil
}
