//go:build failpoint

package lab

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-4ff2b7b9/supervised/actors"
	"github.com/seed-4ff2b7b9/supervised/internal/failpoint"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

func closingsInBackoff() []Row {
	return []Row{{
		ID: "17-backoff", Fault: "Close while every actor has crashed and is not to come back for an hour, and callers wait", Timed: true, Alone: true,
		Bounds: []Bound{TookWithin(ending, time.Second), TookWithin(tellingAll, 50*time.Millisecond)}, Run: closeInBackoff,
	}}
}

// closeInBackoff lets every actor crash at the first thing that it has to do, the pool actor last, and then closes the pool.
func closeInBackoff(ctx context.Context, l *Lab, k Kind) (Result, error) {
	later := supervisor.Restart{Initial: time.Hour, Max: time.Hour}
	setup := quiet(4)
	setup.Tuning.Ours = func(c *poolactor.Config) { c.Supervision.Pool, c.Supervision.Upkeep = later, later }
	return l.on(ctx, k, postgres.Options{}, setup, func(x *Experiment, _ *postgres.Server) error {
		pool := x.Pool()
		held, err := holdAll(ctx, pool, 2)
		if err != nil {
			return err
		}
		held[1].Release() // the health actor has something to look at
		f := &firstHits{crashed: make(map[string]bool), doomed: []string{"health", "janitor", "desk"}}
		failpoint.Set(f.hit)
		defer failpoint.Set(nil)
		lease, err := actors.Ask(ctx, pool.Ref(), func(r actors.Reply[*poolactor.Lease]) poolactor.ToPool {
			return poolactor.ToPool{Reply: r}
		})
		if err != nil {
			return err
		}
		lease.Release()
		if err := f.all(ctx); err != nil {
			return err
		}
		f.doom("dialer") // that connection is gone
		waiting, err := waitersOf(ctx, pool, 50)
		if err != nil {
			return err
		}
		if err := f.all(ctx); err != nil {
			return err
		}
		f.doom("actor")
		if err := f.all(ctx); err != nil {
			return err
		}
		x.late.reset()
		began := time.Now()
		time.AfterFunc(drainFor, held[0].Release)
		err = pool.Close()
		x.Took(ending, time.Since(began)-drainFor, x.late.seen())
		x.toldOfTheEnd(waiting, began)
		if err != nil {
			x.Fail("the pool did not close in order: %v", err)
		}
		return nil
	})
}

// firstHits makes actors panic at the first of their marks.
type firstHits struct {
	mu      sync.Mutex
	doomed  []string // by the beginning of their marks
	crashed map[string]bool
}

func (f *firstHits) hit(mark string) {
	actor, _, _ := strings.Cut(mark, ".")
	f.mu.Lock()
	defer f.mu.Unlock()
	if slices.Contains(f.doomed, actor) {
		f.crashed[actor] = true
		panic("injected at " + mark)
	}
}

func (f *firstHits) doom(actor string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.doomed = append(f.doomed, actor)
}

// all waits until all that are doomed have crashed.
func (f *firstHits) all(ctx context.Context) error {
	crashed := func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.crashed) == len(f.doomed)
	}
	if !until(ctx, eventually, crashed) {
		return fmt.Errorf("of %v only these crashed: %v", f.doomed, f.crashed)
	}
	return nil
}
