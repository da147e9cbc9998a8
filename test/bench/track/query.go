package track

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-4ff2b7b9/supervised/test/bench/figures"
)

// The statements of the rows with queries.
const (
	trivial   = "select $1::int"
	pointRead = "select n from points where id = $1"
	points    = 100_000 // rows in the table
)

// fill makes the table that point reads read.
func (t *Track) fill(ctx context.Context) error {
	c, err := pgx.Connect(ctx, t.server.DSN())
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	_, err = c.Exec(ctx, fmt.Sprintf("create table points as select id, id as n from generate_series(0, %d) as id; "+
		"alter table points add primary key (id)", points-1))
	return err
}

// queryEvents are queries through the pool.
func queryEvents() []event {
	var events []event
	for _, callers := range []int{1, 8, 64, 512} {
		bounds := []figures.Bound{
			figures.AtLeast(Ours, figures.Throughput, 0.98, pgxPool),
			figures.AtMost(Ours, figures.P99, 1.05, pgxPool),
		}
		if callers == 1 {
			bounds = append(bounds, figures.AtLeast(Ours, figures.Throughput, 0.97, limit))
		}
		events = append(events, event{
			Row: figures.Row{
				ID:     fmt.Sprintf("query/%d", callers),
				Title:  fmt.Sprintf("QueryRow(%q), %d connections, %s", trivial, poolSize, plural(callers, "caller")),
				X:      float64(callers),
				Bounds: bounds,
			},
			quick:    callers == 1 || callers == 64,
			entrants: questioners(callers, trivial),
		})
	}
	return events
}

const queryWindow = time.Second

// questioners are everybody who can ask the server.
func questioners(callers int, sql string) []entrant {
	return []entrant{
		asking(Ours, callers, sql, func(ctx context.Context, dsn string) (*pool, error) {
			return openOurs(ctx, dsn, fixed(poolSize), nil)
		}),
		asking(pgxPool, callers, sql, func(ctx context.Context, dsn string) (*pool, error) {
			return openPgxpool(ctx, dsn, fixed(poolSize), nil)
		}),
		asking(stdlibSQL, callers, sql, func(ctx context.Context, dsn string) (*pool, error) {
			return openStdlib(ctx, dsn, fixed(poolSize))
		}),
		asking(floor, callers, sql, func(ctx context.Context, dsn string) (*pool, error) {
			return openChannel(ctx, dsn, fixed(poolSize))
		}),
		asking(limit, callers, sql, func(ctx context.Context, dsn string) (*pool, error) {
			return openBare(ctx, dsn, callers)
		}),
	}
}

// asking is an entrant whose callers ask the server one statement again and again, and look at the answers.
func asking(name string, callers int, sql string, open func(ctx context.Context, dsn string) (*pool, error)) entrant {
	return entrant{name, func(ctx context.Context, t *Track) (lane, error) {
		p, err := open(ctx, t.server.DSN())
		if err != nil {
			return lane{}, err
		}
		watch := newStopwatch(callers)
		return lane{
			func(ctx context.Context) (figures.Figures, error) {
				return p.asks(ctx, watch, t.window(queryWindow), sql)
			},
			p.close,
		}, nil
	}}
}

// asks is what callers show who ask, as many as the stopwatch is for.
func (p *pool) asks(ctx context.Context, watch *stopwatch, window time.Duration, sql string) (figures.Figures, error) {
	asked := make([]int, len(watch.each))
	return watch.rate(len(watch.each), window, func(caller int) error {
		asked[caller]++
		want, got := (asked[caller]*61+caller)%points, -1
		if err := p.query(ctx, caller, sql, want, &got); err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("asked for %d, got %d", want, got)
		}
		return nil
	})
}
