package track

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-4ff2b7b9/supervised/test/bench/figures"
)

// growthEvents are how the cost grows with the size of the pool, and with the number of those who call.
func growthEvents() []event {
	var events []event
	for _, n := range []int{1, 10, 100, 1000} {
		events = append(events, bySize(n))
	}
	for _, callers := range []int{1, 10, 100, 1000, 10_000, 100_000} {
		events = append(events, byCallers(callers))
	}
	return events
}

// growthRounds are fewer than those of rows with a bound: these rows draw a line.
const growthRounds = 3

// bySize is acquire and release in pools of different sizes, what a connection takes in memory, and what the pool does
// by itself while nobody calls.
func bySize(connections int) event {
	const callers = 32
	entry := func(name string, open opener) entrant {
		return entrant{name, func(ctx context.Context, t *Track) (lane, error) {
			before := memory()
			p, err := open(ctx, t, fixed(connections))
			if err != nil {
				return lane{}, err
			}
			took := float64(memory()-before) / float64(connections)
			return lane{func(ctx context.Context) (figures.Figures, error) {
				busy, err := processorTime(ctx, time.Second)
				if err != nil {
					return nil, err
				}
				f, err := p.cycles(ctx, callers, t.window(250*time.Millisecond))
				if err != nil {
					return nil, err
				}
				f[figures.CPU], f[figures.Memory] = busy, took
				return f, nil
			}, p.close}, nil
		}}
	}
	return event{
		Row: figures.Row{
			ID:    fmt.Sprintf("connections/%d", connections),
			Title: fmt.Sprintf("growth: %s, %d callers", plural(connections, "connection"), callers),
			Setup: "acquire and release; memory is the process's for each connection; CPU is the process's while nobody calls",
			X:     float64(connections),
		},
		fresh:    true,
		rounds:   growthRounds,
		entrants: []entrant{entry(Ours, plainOurs), entry(pgxPool, plainPgxpool)},
	}
}

// processorTime is what this process uses of its processors, in nanoseconds a second.
func processorTime(ctx context.Context, window time.Duration) (float64, error) {
	before, began := used(), time.Now()
	if err := pause(ctx, window); err != nil {
		return 0, err
	}
	return float64(used()-before) / time.Since(began).Seconds(), nil
}

// byCallers is acquire and release for more and more callers.
func byCallers(callers int) event {
	return event{
		Row: figures.Row{
			ID:    fmt.Sprintf("callers/%d", callers),
			Title: fmt.Sprintf("growth: %s, %d connections", plural(callers, "caller"), poolSize),
			Setup: "acquire and release",
			X:     float64(callers),
		},
		rounds:   growthRounds,
		entrants: cyclists(callers, nil),
	}
}
