package lab

import (
	"sync/atomic"
	"time"
)

// lateness watches how late this machine wakes a goroutine that sleeps for a millisecond: what a bound in time has to
// allow for beside what a pool does.
type lateness struct {
	worst         atomic.Int64
	done, stopped chan struct{}
}

func watchLateness() *lateness {
	l := &lateness{done: make(chan struct{}), stopped: make(chan struct{})}
	go func() {
		defer close(l.stopped)
		for {
			began := time.Now()
			select {
			case <-l.done:
				return
			case <-time.After(time.Millisecond):
				late := int64(time.Since(began) - time.Millisecond)
				l.worst.Store(max(l.worst.Load(), late))
			}
		}
	}()
	return l
}

// reset begins to watch anew.
func (l *lateness) reset() { l.worst.Store(0) }

func (l *lateness) seen() time.Duration { return time.Duration(l.worst.Load()) }

func (l *lateness) stop() {
	close(l.done)
	<-l.stopped
}
