package track

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/seed-4ff2b7b9/supervised/internal/backend"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/test/bench/figures"
)

// checkEvents are what it costs to be sure that a connection lives.
func checkEvents() []event {
	return []event{checked(1), checked(8), look()}
}

// checked is a lease with SELECT 1 before each hand-off.
func checked(callers int) event {
	entry := func(name string, open opener) entrant {
		return entrant{name, func(ctx context.Context, t *Track) (lane, error) {
			p, err := open(ctx, t, fixed(poolSize))
			if err != nil {
				return lane{}, err
			}
			watch := newStopwatch(callers)
			return lane{func(ctx context.Context) (figures.Figures, error) {
				return watch.rate(callers, t.window(time.Second), func(int) error { return p.cycle(ctx) })
			}, p.close}, nil
		}}
	}
	return event{
		Row: figures.Row{
			ID:     fmt.Sprintf("check/%d", callers),
			Title:  fmt.Sprintf("SELECT 1 at each hand-off, %s", plural(callers, "caller")),
			Setup:  "ours with CheckAlways, pgxpool with a ShouldPing that is always true",
			Bounds: []figures.Bound{figures.Under(Ours, figures.P99, float64(5*time.Millisecond))},
		},
		quick: callers == 8,
		entrants: []entrant{
			entry(Ours, func(ctx context.Context, t *Track, n size) (*pool, error) {
				return openOurs(ctx, t.server.DSN(), n, func(c *poolactor.Config) { c.Health.OnAcquire = poolactor.CheckAlways })
			}),
			entry(pgxPool, func(ctx context.Context, t *Track, n size) (*pool, error) {
				return openPgxpool(ctx, t.server.DSN(), n, func(c *pgxpool.Config) {
					c.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return true }
				})
			}),
		},
	}
}

// look is a look at the socket, which needs no round trip.
func look() event {
	return event{
		Row: figures.Row{
			ID:     "look",
			Title:  "the look at a socket",
			Bounds: []figures.Bound{figures.Under(Ours, figures.Time, 3000)},
		},
		quick: true,
		entrants: []entrant{{Ours, func(ctx context.Context, t *Track) (lane, error) {
			cfg, err := pgx.ParseConfig(t.server.DSN())
			if err != nil {
				return lane{}, err
			}
			c, err := backend.Open(ctx, cfg, backend.Options{})
			if err != nil {
				return lane{}, err
			}
			turn := func(context.Context) (figures.Figures, error) {
				done, err := drive(1, t.window(250*time.Millisecond), func(int) error { return c.Look() })
				if err != nil {
					return nil, errors.Join(errors.New("a look at a healthy socket"), err)
				}
				return figures.Figures{figures.Time: done.perOperation(), figures.Work: done.work(), figures.Allocs: done.allocations()}, nil
			}
			return lane{turn, func() error { return c.Close(context.Background()) }}, nil
		}}},
	}
}
