// Package broadcast hands every published value to every subscriber and never waits for one: a subscriber that does not
// keep up loses values, and the loss is counted. It is how a supervisor tree or a pool tells what happens in it without
// being slowed down by whoever listens.
package broadcast

import (
	"context"
	"sync"
	"sync/atomic"
)

// Bus connects publishers with subscribers. The zero value is ready; a Bus must not be copied after its first use.
// All methods are safe from any goroutine.
type Bus[E any] struct {
	// mu guards subscribers and closed. It is held while values are sent, so no channel is closed under a send and
	// all subscribers see the same order; a send never blocks, so it is never held for long.
	mu sync.Mutex
	// subscribers maps each subscriber's channel to what cancels the watch over its context.
	subscribers map[chan E]func() bool
	closed      bool

	lost atomic.Uint64
}

// Publish hands e to every subscriber whose buffer has room; for every other subscriber e is lost and counted.
// It never blocks. On a closed Bus it does nothing.
func (b *Bus[E]) Publish(e E) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for events := range b.subscribers {
		select {
		case events <- e:
		default:
			b.lost.Add(1)
		}
	}
}

// Subscribe returns a channel of what is published from now on. It is closed when ctx ends or the Bus closes, whichever
// is first; what lies in its buffer can still be read then. A buffer below 1 counts as 1, since without one a
// subscriber would lose whatever is published while it handles the value before.
//
// A subscription owns no goroutine: a context that ends closes the channel by way of context.AfterFunc.
func (b *Bus[E]) Subscribe(ctx context.Context, buffer int) <-chan E {
	events := make(chan E, max(buffer, 1))
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || ctx.Err() != nil {
		close(events)
		return events
	}
	if b.subscribers == nil {
		b.subscribers = make(map[chan E]func() bool)
	}
	b.subscribers[events] = context.AfterFunc(ctx, func() { b.drop(events) })
	return events
}

// drop ends one subscription whose context has ended, unless Close was first.
func (b *Bus[E]) drop(events chan E) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, there := b.subscribers[events]; there {
		delete(b.subscribers, events)
		close(events)
	}
}

// Lost counts the values that subscribers did not get because their buffer was full: one for each value and subscriber.
func (b *Bus[E]) Lost() uint64 { return b.lost.Load() }

// Close ends every subscription, present and future. It is idempotent.
func (b *Bus[E]) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for events, unwatch := range b.subscribers {
		unwatch()
		close(events)
	}
	clear(b.subscribers)
}
