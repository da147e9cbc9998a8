package lab

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
)

// Row 1 and 2: the postmaster is killed, and the server stops in each way it can.

func outages() []Row {
	bounds := []Bound{DialsWithin(80), FirstWithin(100 * time.Millisecond), RateWithin(time.Second)}
	var rows []Row
	for _, down := range []time.Duration{0, time.Second, 5 * time.Second, 20 * time.Second} {
		rows = append(rows, Row{
			ID: fmt.Sprintf("1-%d", int(down.Seconds())), Fault: fmt.Sprintf("kill -9 of the postmaster, down %v", down),
			Timed: true, Short: down == time.Second, Bounds: bounds,
			Run: func(ctx context.Context, l *Lab, k Kind) (Result, error) { return kills(ctx, l, k, 1, down) },
		})
	}
	return append(rows, Row{
		ID: "1-5x", Fault: "five kills, 1 s apart", Timed: true, Bounds: bounds,
		Run: func(ctx context.Context, l *Lab, k Kind) (Result, error) { return kills(ctx, l, k, 5, time.Second/2) },
	}, Row{
		ID: "2-fast", Fault: "fast stop and start", Short: true, Run: stops(postgres.Fast),
	}, Row{
		ID: "2-immediate", Fault: "immediate stop and start", Run: stops(postgres.Immediate),
	})
}

// kills kills a server of its own, some times.
func kills(ctx context.Context, l *Lab, k Kind, times int, down time.Duration) (Result, error) {
	server, err := l.server(ctx, postgres.Options{})
	if err != nil {
		return Result{}, err
	}
	defer server.Close()
	x, err := Begin(ctx, k, Setup{DSN: server.DSN()})
	if err != nil {
		return Result{}, err
	}
	x.lookAfterBackends()
	for i := range times {
		if i > 0 {
			Pass(ctx, time.Second)
		}
		if err := x.killAndStart(ctx, server, down); err != nil {
			return Result{}, err
		}
	}
	return x.Finish(ctx), nil
}

// killAndStart kills a server once, and starts it again.
func (x *Experiment) killAndStart(ctx context.Context, server *postgres.Server, down time.Duration) error {
	f, err := x.endAll(ctx, server, server.Kill, func() error {
		Pass(ctx, down)
		return server.StartAgain(ctx)
	})
	if err != nil {
		return err
	}
	x.Accepted(ctx, f, server.AcceptedAt(), 0)
	return nil
}

func stops(mode postgres.StopMode) func(context.Context, *Lab, Kind) (Result, error) {
	return func(ctx context.Context, l *Lab, k Kind) (Result, error) {
		server, err := l.server(ctx, postgres.Options{})
		if err != nil {
			return Result{}, err
		}
		defer server.Close()
		x, err := Begin(ctx, k, Setup{DSN: server.DSN()})
		if err != nil {
			return Result{}, err
		}
		x.lookAfterBackends()
		stop := func() error { return server.Stop(ctx, mode) }
		f, err := x.endAll(ctx, server, stop, func() error {
			Pass(ctx, time.Second)
			return server.StartAgain(ctx)
		})
		if err != nil {
			return Result{}, err
		}
		x.Accepted(ctx, f, server.AcceptedAt(), 0)
		return x.Finish(ctx), nil
	}
}
