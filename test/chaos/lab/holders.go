package lab

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// Callers that a row makes itself, beside or instead of the workload.

// holdAll takes every connection of a pool.
func holdAll(ctx context.Context, pool *ours, n int) ([]*poolactor.Lease, error) {
	var held []*poolactor.Lease
	for i := range n {
		lease, err := pool.Acquire(poolactor.WithLabel(ctx, fmt.Sprintf("holder %d", i)))
		if err != nil {
			releaseAll(held)
			return nil, err
		}
		held = append(held, lease)
	}
	return held, nil
}

func releaseAll(held []*poolactor.Lease) {
	for _, lease := range held {
		lease.Release()
	}
}

// told is what a caller was told, and when.
type told struct {
	err error
	at  time.Time
}

// wait lets callers wait for a connection, with and without a deadline in turn. Each tells how it ended.
func wait(ctx context.Context, pool *ours, callers int) <-chan told {
	all := make(chan told, callers)
	for i := range callers {
		go func() {
			ctx, cancel := ctx, context.CancelFunc(func() {})
			if i%2 == 0 {
				ctx, cancel = context.WithTimeout(ctx, patience)
			}
			defer cancel()
			lease, err := pool.Acquire(ctx)
			all <- told{err: err, at: time.Now()}
			if err == nil {
				lease.Release()
			}
		}()
	}
	return all
}
