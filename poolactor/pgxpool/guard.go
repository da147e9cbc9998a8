package pgxpool

import (
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/seed-4ff2b7b9/supervised/actors"
	"github.com/seed-4ff2b7b9/supervised/internal/door"
)

// guarded runs a hook and makes an error of its panic, an *actors.PanicError with the stack.
func guarded(hook string, f func()) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("pgxpool: %s: %w", hook, &actors.PanicError{Value: v, Stack: debug.Stack()})
		}
	}()
	f()
	return nil
}

// contained runs a hook whose panic is nobody's error: the pool below tells about it.
func (p *Pool) contained(hook string, f func()) {
	if err := guarded(hook, f); err != nil {
		door.Panicked(p.pool, hook, err)
	}
}

// workers are the goroutines in which hooks run beside their callers. Close joins them.
type workers struct {
	mu     sync.Mutex // guards joined, so that none begins beside the join
	joined bool
	group  sync.WaitGroup
}

// run runs f in a goroutine; false: the pool has been closed.
func (w *workers) run(f func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.joined {
		return false
	}
	w.group.Go(f)
	return true
}

// join waits until all have ended, or for the grace: what hangs in a hook is left behind.
func (w *workers) join(grace time.Duration) {
	w.mu.Lock()
	w.joined = true
	w.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.group.Wait()
	}()
	limit := time.NewTimer(grace)
	defer limit.Stop()
	select {
	case <-done:
	case <-limit.C:
	}
}
