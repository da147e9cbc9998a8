package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// What a soak does to the pool as its operator would, also while the server is down.

var operatorSteps = []func(*rand.Rand) deed{soakResize, soakResize, soakSuspend, soakEvict, soakEvict, soakMaintain}

// soakResize changes the sizes. When a smaller one is in force, no dial may begin any more that it does not allow.
func soakResize(r *rand.Rand) deed {
	most := 3 + r.IntN(soakSize-2)
	least := r.IntN(most + 1)
	return deed{what: fmt.Sprintf("resize to %d..%d", least, most), do: func(ctx context.Context, b *bout) error {
		if int64(most) >= b.bound.Load() {
			b.overshot()
			b.bound.Store(int64(most))
		}
		if err := b.pool.Resize(ctx, least, most); err != nil {
			b.fail("resize: %v", err)
			return nil
		}
		fits := func() bool { return b.meter.now.Load() <= int64(most) && b.pool.Stat().Total() <= most }
		if !until(ctx, eventually, fits) {
			b.fail("the pool did not shrink to %d within %v: %+v", most, eventually, b.pool.Stat())
			return nil
		}
		b.overshot()
		b.bound.Store(int64(most))
		b.meter.peak.Store(0)
		return nil
	}}
}

// soakSuspend holds everybody back for a while. A lease that somebody forgot, or that waits for a server that is down, may
// be out longer than the operator waits.
func soakSuspend(r *rand.Rand) deed {
	length := between(r, 0, time.Second)
	return deed{what: fmt.Sprintf("suspend for %v", length), do: func(ctx context.Context, b *bout) error {
		b.suspended(ctx, func(context.Context) { b.pass(length) })
		return nil
	}}
}

// operatorWaits is how long the operator waits for leases to come back.
const operatorWaits = 2 * time.Second

// suspended runs f in a suspended pool, if every lease came back in time.
func (b *bout) suspended(ctx context.Context, f func(context.Context)) {
	bounded, cancel := context.WithTimeout(ctx, operatorWaits)
	defer cancel()
	switch err := b.pool.Suspend(bounded); {
	case err == nil:
		f(bounded)
	case !errors.Is(err, context.DeadlineExceeded):
		b.fail("suspend: %v", err)
	}
	if err := b.pool.Resume(); err != nil {
		b.fail("resume: %v", err)
	}
}

// soakMaintain suspends and evicts: then no connection is left.
func soakMaintain(r *rand.Rand) deed {
	length := between(r, 0, time.Second)
	return deed{what: fmt.Sprintf("suspend and evict, for %v", length), do: func(ctx context.Context, b *bout) error {
		b.suspended(ctx, func(ctx context.Context) {
			if err := b.pool.Evict(ctx, 0); err != nil {
				if !errors.Is(err, context.DeadlineExceeded) {
					b.fail("evict: %v", err)
				}
				return
			}
			if st := b.pool.Stat(); st.Total() > 0 {
				b.fail("a suspended pool has connections after an eviction: %+v", st)
			}
			b.pass(length)
		})
		return nil
	}}
}

// soakEvict replaces every connection. That need not be over when the next step comes.
func soakEvict(r *rand.Rand) deed {
	over := pick(r, []time.Duration{0, between(r, 0, 2*time.Second)})
	return deed{what: fmt.Sprintf("evict over %v", over), do: func(ctx context.Context, b *bout) error {
		bounded, cancel := context.WithTimeout(ctx, operatorWaits)
		defer cancel()
		if err := b.pool.Evict(bounded, over); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			b.fail("evict: %v", err)
		}
		return nil
	}}
}
