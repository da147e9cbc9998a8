package track

import (
	"context"
	"fmt"
	"runtime"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/seed-4ff2b7b9/supervised/test/bench/figures"
)

// waitEvents are about those for whom there is no connection yet.
func waitEvents() []event {
	return []event{fairness(), waiters(10_000), waiters(100_000)}
}

// fairness is how equal the waits are, and whether anybody is left behind.
func fairness() event {
	const callers, connections = 512, 8
	entry := func(name string, open opener) entrant {
		return entrant{name, func(ctx context.Context, t *Track) (lane, error) {
			p, err := open(ctx, t, fixed(connections))
			if err != nil {
				return lane{}, err
			}
			watch := newStopwatch(callers)
			return lane{func(ctx context.Context) (figures.Figures, error) {
				return p.fair(ctx, watch, t.window(2*time.Second))
			}, p.close}, nil
		}}
	}
	return event{
		Row: figures.Row{
			ID:    "fairness",
			Title: fmt.Sprintf("fairness: %d callers, %d connections", callers, connections),
			Setup: "each caller leases, yields the processor once, and gives back; the wait is that for the lease",
			Bounds: []figures.Bound{
				figures.AtMost(Ours, figures.Tail, 1, pgxPool),
				figures.Over(Ours, figures.Least, 0.5),
			},
		},
		quick:    true,
		entrants: []entrant{entry(Ours, plainOurs), entry(pgxPool, plainPgxpool), entry(floor, plainChannel)},
	}
}

// opener opens a pool of a kind with nothing special about it.
type opener func(context.Context, *Track, size) (*pool, error)

func plainOurs(ctx context.Context, t *Track, n size) (*pool, error) {
	return openOurs(ctx, t.server.DSN(), n, nil)
}

func plainPgxpool(ctx context.Context, t *Track, n size) (*pool, error) {
	return openPgxpool(ctx, t.server.DSN(), n, nil)
}

func plainChannel(ctx context.Context, t *Track, n size) (*pool, error) {
	return openChannel(ctx, t.server.DSN(), n)
}

// fair is what callers show of their waits, as many as the stopwatch is for.
func (p *pool) fair(ctx context.Context, watch *stopwatch, window time.Duration) (figures.Figures, error) {
	watch.reset()
	done, err := drive(len(watch.each), window, func(caller int) error {
		began := time.Now()
		release, err := p.lease(ctx)
		if err != nil {
			return err
		}
		watch.note(caller, time.Since(began))
		runtime.Gosched()
		release()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return figures.Figures{
		figures.Tail:       watch.quantile(0.999) / watch.quantile(0.5),
		figures.Least:      done.least(),
		figures.Throughput: done.perSecond(),
		figures.P99:        watch.quantile(0.99),
	}, nil
}

// waiters is what very many waiting callers cost, in memory and in time.
func waiters(callers int) event {
	few := Ours + ", 64 callers"
	entry := func(name string, callers int, measure bool, open opener) entrant {
		return entrant{name, func(ctx context.Context, t *Track) (lane, error) {
			p, err := open(ctx, t, fixed(poolSize))
			if err != nil {
				return lane{}, err
			}
			return lane{func(ctx context.Context) (figures.Figures, error) {
				return p.crowd(ctx, callers, measure, t.window(time.Second))
			}, p.close}, nil
		}}
	}
	return event{
		Row: figures.Row{
			ID:    fmt.Sprintf("waiters/%d", callers),
			Title: fmt.Sprintf("%d callers wait, %d connections", callers, poolSize),
			Setup: "memory: heap and stacks in use with all of them waiting, less those before, for each; it includes the caller's " +
				"goroutine. Throughput: leases given back at once, again and again",
			Bounds: []figures.Bound{
				figures.AtMost(Ours, figures.Memory, 1, pgxPool),
				figures.AtLeast(Ours, figures.Throughput, 0.95, few),
			},
		},
		quick: callers == 10_000,
		entrants: []entrant{
			entry(Ours, callers, true, plainOurs), entry(pgxPool, callers, true, plainPgxpool), entry(few, 64, false, plainOurs),
		},
	}
}

// crowd is what so many callers show, who wait all at once before they begin.
func (p *pool) crowd(ctx context.Context, callers int, measure bool, window time.Duration) (figures.Figures, error) {
	f := figures.Figures{}
	if measure {
		memory, err := p.memoryOfWaiters(ctx, callers)
		if err != nil {
			return nil, err
		}
		f[figures.Memory] = memory
	}
	done, err := drive(callers, window, func(int) error { return p.cycle(ctx) })
	if err != nil {
		return nil, err
	}
	f[figures.Throughput] = done.perSecond()
	return f, nil
}

// memoryOfWaiters lets callers wait while everything is leased, and looks what one of them takes.
func (p *pool) memoryOfWaiters(ctx context.Context, callers int) (float64, error) {
	var (
		group  sync.WaitGroup
		leases []func()
		once   sync.Once
		failed error
	)
	for range poolSize {
		release, err := p.lease(ctx)
		if err != nil {
			return 0, err
		}
		leases = append(leases, release)
	}
	before, asleep := memory(), waitingGoroutines()
	for range callers {
		group.Go(func() {
			if err := p.cycle(ctx); err != nil {
				once.Do(func() { failed = err })
			}
		})
	}
	err := until(ctx, "all callers to wait", func() bool { return waitingGoroutines()-asleep >= int64(callers)-slack })
	took := memory() - before
	for _, release := range leases {
		release()
	}
	group.Wait()
	if err == nil {
		err = failed
	}
	return float64(took) / float64(callers), err
}

// slack is how many goroutines of others may have woken up meanwhile.
const slack = 16

// memory is what is in use of the heap and of stacks, in bytes, after the garbage was collected: twice, since what sits in
// a sync.Pool survives the first time.
func memory() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// waitingGoroutines is how many goroutines wait for something.
func waitingGoroutines() int64 {
	sample := []metrics.Sample{{Name: "/sched/goroutines/waiting:goroutines"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}
