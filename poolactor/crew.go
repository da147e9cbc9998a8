package poolactor

import "sync"

// crew is the pool's set of worker goroutines (closers, checkers, cleaners, requests of the desk). They belong to the
// pool, not to a life of one of its actors, so that a crash cuts none short; the pool's end joins them.
type crew struct {
	mu        sync.Mutex
	working   int
	dismissed bool
	idle      chan struct{} // closed when dismissed and nobody works any more
}

func newCrew() *crew { return &crew{idle: make(chan struct{})} }

// Go runs f in a worker, or returns false when the crew was dismissed.
func (c *crew) Go(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dismissed {
		return false
	}
	c.working++
	go func() {
		defer c.done()
		f()
	}()
	return true
}

func (c *crew) done() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.working--
	if c.dismissed && c.working == 0 {
		close(c.idle)
	}
}

// dismiss takes no more work; the channel closes when the last worker has ended.
func (c *crew) dismiss() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dismissed {
		c.dismissed = true
		if c.working == 0 {
			close(c.idle)
		}
	}
	return c.idle
}
