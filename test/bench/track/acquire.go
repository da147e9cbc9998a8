package track

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/test/bench/figures"
)

// poolSize is how many connections the pools have that share a row.
const poolSize = 20

// Settings say what of our pool is on in all rows that do not say otherwise: what its bookkeeping costs is in the
// figures. [honest] looks that it is.
const Settings = "defaults but for the size: checks at hand-off (CheckIdle), statistics, holders, the watch for forgotten " +
	"leases and ResetSmart on, RecordStacks off"

// acquireEvents are acquire and release without a query, and the same with stacks recorded.
func acquireEvents() []event {
	var events []event
	for _, stacks := range []bool{false, true} {
		for _, callers := range []int{1, 4, 32, 256} {
			events = append(events, acquireEvent(callers, stacks))
		}
	}
	return events
}

func acquireEvent(callers int, stacks bool) event {
	bounds := []figures.Bound{figures.AtMost(Ours, figures.Time, acquireLimit(callers), pgxPool)}
	if callers == 1 {
		bounds = append(bounds, figures.Under(Ours, figures.Allocs, 1))
	}
	e := event{
		Row: figures.Row{
			ID:     fmt.Sprintf("acquire/%d", callers),
			Title:  fmt.Sprintf("acquire + release, %d connections, %s", poolSize, plural(callers, "caller")),
			Setup:  "no query, given back at once; ours with " + Settings,
			X:      float64(callers),
			Bounds: bounds,
		},
		quick:    true,
		entrants: cyclists(callers, nil),
	}
	if stacks {
		e.ID, e.quick = fmt.Sprintf("stacks/%d", callers), callers == 4
		e.Title = fmt.Sprintf("acquire + release with stacks recorded, %s", plural(callers, "caller"))
		e.Setup = "ours with RecordStacks on, else as above; pgxpool records none"
		e.Bounds = []figures.Bound{figures.AtMost(Ours, figures.Time, 1.2, pgxPool)}
		e.entrants = cyclists(callers, func(c *poolactor.Config) { c.RecordStacks = true })[:2]
	}
	return e
}

func acquireLimit(callers int) float64 {
	if callers == 1 {
		return 0.6
	}
	return 0.7
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// cyclists are everybody who can lease and give back, ours and pgxpool first.
func cyclists(callers int, more func(*poolactor.Config)) []entrant {
	const window = 250 * time.Millisecond
	entry := func(name string, open func(context.Context, *Track) (*pool, error)) entrant {
		return entrant{name, func(ctx context.Context, t *Track) (lane, error) {
			p, err := open(ctx, t)
			if err != nil {
				return lane{}, err
			}
			return lane{func(ctx context.Context) (figures.Figures, error) { return p.cycles(ctx, callers, t.window(window)) }, p.close}, nil
		}}
	}
	return []entrant{
		entry(Ours, func(ctx context.Context, t *Track) (*pool, error) {
			p, err := openOurs(ctx, t.server.DSN(), fixed(poolSize), more)
			if err != nil {
				return nil, err
			}
			return p, p.orClose(honest(ctx, p.ours))
		}),
		entry(pgxPool, func(ctx context.Context, t *Track) (*pool, error) {
			return openPgxpool(ctx, t.server.DSN(), fixed(poolSize), nil)
		}),
		entry(puddleV2, func(ctx context.Context, _ *Track) (*pool, error) { return openPuddle(ctx, fixed(poolSize)) }),
		entry(stdlibSQL, func(ctx context.Context, t *Track) (*pool, error) {
			return openStdlib(ctx, t.server.DSN(), fixed(poolSize))
		}),
		entry(floor, func(ctx context.Context, t *Track) (*pool, error) {
			return openChannel(ctx, t.server.DSN(), fixed(poolSize))
		}),
	}
}

// cycles is what so many callers show who lease and give back.
func (p *pool) cycles(ctx context.Context, callers int, window time.Duration) (figures.Figures, error) {
	before := p.granted()
	done, err := drive(callers, window, func(int) error { return p.cycle(ctx) })
	if err != nil {
		return nil, err
	}
	if counted := p.granted() - before; p.ours != nil && counted < int64(done.operations) {
		return nil, fmt.Errorf("%d leases were counted of %d: the statistics are off, so this proves nothing", counted, done.operations)
	}
	return figures.Figures{figures.Time: done.perOperation(), figures.Work: done.work(), figures.Allocs: done.allocations()}, nil
}

// granted is how many leases our pool has counted.
func (p *pool) granted() int64 {
	if p.ours == nil {
		return 0
	}
	return p.ours.Stat().Acquired
}

// honest fails if our pool does not do all the bookkeeping that the rows are to pay for: who holds what, under which
// label, how many leases are out, and that a lease which is dropped is found.
func honest(ctx context.Context, p *poolactor.Pool) error {
	const label = "the benchmark"
	l, err := p.Acquire(poolactor.WithLabel(ctx, label))
	if err != nil {
		return err
	}
	holders, leased := p.Holders(), p.Stat().Leased
	l.Release()
	if len(holders) != 1 || holders[0].Label != label || leased != 1 {
		return errors.New("the pool does not tell who holds what, so this run would prove nothing")
	}
	if err := forget(ctx, p); err != nil {
		return err
	}
	err = until(ctx, "a forgotten lease to be found", func() bool {
		runtime.GC()
		return p.Stat().Forgotten == 1
	})
	if err != nil {
		return err
	}
	return until(ctx, "a connection in its place", func() bool { s := p.Stat(); return s.Idle >= s.Min })
}

// forget drops a lease without giving it back.
func forget(ctx context.Context, p *poolactor.Pool) error {
	_, err := p.Acquire(ctx)
	return err
}
