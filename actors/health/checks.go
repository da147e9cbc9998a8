package health

import (
	"context"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-4ff2b7b9/supervised/actors"
)

// checks are the checks of one life, each in a goroutine of its own.
type checks struct {
	config  Config
	pool    Pool
	onCrash func() // called after a crash was stored

	running  sync.WaitGroup
	places   chan struct{} // one token per check that holds a place; nil: no bound
	lastGood atomic.Int64  // how long the last good check took, in nanoseconds
	crash    atomic.Pointer[actors.PanicError]

	mu    sync.Mutex
	begun map[int]bool // slots that are checked, or wait for a place; each is there once
}

func newChecks(config Config, pool Pool) *checks {
	c := &checks{config: config, pool: pool, begun: make(map[int]bool)}
	if config.Parallel > 0 {
		c.places = make(chan struct{}, config.Parallel)
	}
	return c
}

// begin begins to check these slots, without waiting for a place or an answer.
func (c *checks) begin(ctx context.Context, slots []int) {
	for _, slot := range slots {
		if c.enter(slot) {
			c.running.Go(func() {
				defer c.leave(slot)
				c.contained(func() { c.check(ctx, slot) })
			})
		}
	}
}

func (c *checks) enter(slot int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.begun[slot] {
		return false
	}
	c.begun[slot] = true
	return true
}

func (c *checks) leave(slot int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.begun, slot)
}

// check checks one slot when there is a place for it. A check that is silent for too long gives its place up: a server
// that has gone silent would else hold up the news about it.
func (c *checks) check(ctx context.Context, slot int) {
	giveUp, ok := c.takePlace(ctx)
	if !ok {
		return
	}
	defer giveUp()
	if c.config.Timeout > 0 {
		bound := Bound(c.config.Timeout, time.Duration(c.lastGood.Load()))
		patience := time.AfterFunc(bound, giveUp)
		defer patience.Stop()
	}
	begun := time.Now()
	err := c.pool.Check(ctx, slot)
	if err == nil {
		c.lastGood.Store(int64(time.Since(begun)))
	} // else the pool has told of it
}

// takePlace waits for a place. It is given up once, however often that is called.
func (c *checks) takePlace(ctx context.Context) (giveUp func(), ok bool) {
	if c.places == nil {
		return func() {}, ctx.Err() == nil
	}
	select {
	case <-ctx.Done():
		return nil, false
	case c.places <- struct{}{}:
		return sync.OnceFunc(func() { <-c.places }), true
	}
}

// contained runs f, and stores the first panic or runtime.Goexit for the life to end with.
func (c *checks) contained(f func()) {
	returned := false
	defer func() {
		if returned {
			return
		}
		value := recover()
		if value == nil {
			value = actors.ErrGoexit
		}
		c.crash.CompareAndSwap(nil, &actors.PanicError{Value: value, Stack: debug.Stack()})
		c.onCrash()
	}()
	f()
	returned = true
}

// crashed is how a check crashed, if one did.
func (c *checks) crashed() error {
	if crash := c.crash.Load(); crash != nil {
		return crash
	}
	return nil
}
