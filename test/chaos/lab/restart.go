package lab

import (
	"context"
	"time"

	"github.com/seed-4ff2b7b9/supervised/test/chaos/container"
)

// Row 2b, in a container: planned maintenance that ends with another life of the whole machine.

func maintenance() []Row {
	return []Row{{
		ID: "2b-container", Fault: "Suspend and Evict, docker restart, Resume", Container: true, Alone: true,
		Bounds: []Bound{NothingFails, DialsWithin(80)}, Run: contained(restartSuspended),
	}}
}

// restartSuspended restarts the container while the pool lets nobody at it. Callers go on calling, and wait.
func restartSuspended(ctx context.Context, x *Experiment, server *container.Server) error {
	pool, f := x.Pool(), x.Strike(ctx)
	if err := pool.Suspend(ctx); err != nil {
		return err
	}
	if err := pool.Evict(ctx, 0); err != nil {
		return err
	}
	before, _ := x.meter.count(nil)
	if err := server.Restart(ctx); err != nil {
		return err
	}
	loggedIn, err := server.WaitAccepting(ctx)
	if err != nil {
		return err
	}
	if after, _ := x.meter.count(nil); after > before {
		x.Fail("%d dials of a suspended pool", after-before)
	}
	if pool.Stat().Waiting == 0 {
		x.Fail("nobody waited for the end of the restart")
	}
	resumed := time.Now()
	if err := pool.Resume(); err != nil {
		return err
	}
	x.Note("the restart took %v", loggedIn.Sub(f.At).Round(time.Millisecond))
	x.First(ctx, f, resumed, 0)
	Pass(ctx, 500*time.Millisecond)
	return nil
}
