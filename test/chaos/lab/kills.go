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
			Run: kills(defaultCallers, 1, down),
		})
	}
	return append(rows, Row{
		ID: "1-5x", Fault: "five kills, 1 s apart", Timed: true, Bounds: bounds,
		Run: kills(defaultCallers, 5, time.Second/4),
	}, Row{
		ID: "1-crowd", Fault: "kill -9 of the postmaster, down 5 s, 1000 callers", Bounds: []Bound{DialsWithin(80)},
		Run: kills(1000, 1, 5*time.Second),
	}, Row{
		ID: "2-fast", Fault: "fast stop and start", Short: true, Run: stops(postgres.Fast),
	}, Row{
		ID: "2-immediate", Fault: "immediate stop and start", Run: stops(postgres.Immediate),
	})
}

// kills kills a server of its own, some times, 1 s apart. The rate is measured after the last.
func kills(callers, times int, down time.Duration) func(context.Context, *Lab, Kind) (Result, error) {
	return func(ctx context.Context, l *Lab, k Kind) (Result, error) {
		return l.on(ctx, k, postgres.Options{}, Setup{Callers: callers}, func(x *Experiment, server *postgres.Server) error {
			x.lookAfterBackends()
			beat := time.NewTicker(time.Second)
			defer beat.Stop()
			var f *Fault
			var err error
			for i := range times {
				if i > 0 {
					<-beat.C
				}
				if f, err = x.killAndStart(ctx, server, down); err != nil {
					return err
				}
				x.First(ctx, f, server.AcceptedAt(), bareLogIn(ctx, server))
			}
			x.apart()
			x.regained(ctx, f, server.AcceptedAt(), 0)
			return nil
		})
	}
}

// bareLogIn is the control of a first success: how long it takes to log in at a server that has just begun to accept, with
// nothing in between. One that fails is none.
func bareLogIn(ctx context.Context, server *postgres.Server) time.Duration {
	began := time.Now()
	if logIn(ctx, server.DSN()) != nil {
		return 0
	}
	return time.Since(began)
}

// apart tells how far apart the faults really were: each waits until every connection is in use.
func (x *Experiment) apart() {
	if n := len(x.faults); n > 1 {
		x.Note("%d faults in %v", n, x.faults[n-1].At.Sub(x.faults[0].At).Round(100*time.Millisecond))
	}
}

// killAndStart kills a server once, and starts it again.
func (x *Experiment) killAndStart(ctx context.Context, server *postgres.Server, down time.Duration) (*Fault, error) {
	return x.endAll(ctx, server, server.Kill, func() error {
		Pass(ctx, down)
		return server.StartAgain(ctx)
	})
}

func stops(mode postgres.StopMode) func(context.Context, *Lab, Kind) (Result, error) {
	return func(ctx context.Context, l *Lab, k Kind) (Result, error) {
		return l.on(ctx, k, postgres.Options{}, Setup{}, func(x *Experiment, server *postgres.Server) error {
			x.lookAfterBackends()
			stop := func() error { return server.Stop(ctx, mode) }
			f, err := x.endAll(ctx, server, stop, func() error {
				Pass(ctx, time.Second)
				return server.StartAgain(ctx)
			})
			if err != nil {
				return err
			}
			x.Accepted(ctx, f, server.AcceptedAt(), bareLogIn(ctx, server))
			return nil
		})
	}
}
