package retry

import (
	"math/rand/v2"

	"github.com/seed-4ff2b7b9/supervised/actors"
	"github.com/seed-4ff2b7b9/supervised/internal/backend"
	"github.com/seed-4ff2b7b9/supervised/messages"
)

// Orders is the pool's side of dialling. All methods are safe from any goroutine and never block. An order that Next
// handed out ends by one call of Opened or Failed; after a crash a Failed for an order that has ended may follow, which
// must do no more than tell about its slot.
type Orders interface {
	// Reclaim makes all orders that were taken and have not ended wanted again. It is called at the start of each life,
	// when no dial of an earlier one runs any more.
	Reclaim()
	// Next takes one order that is wanted; false if there is none.
	Next() (messages.Order, bool)
	// Opened ends an order and hands the connection over. If it panics, the connection is still the caller's, who
	// closes it; when it returns, the connection is the pool's.
	Opened(messages.Order, *backend.Conn)
	// Announce tells about a connection that was handed over. It is a step of its own, so that a panic on the way leaves
	// no doubt about whose the connection is.
	Announce(messages.Order)
	// Failed ends an order without a connection, for the reason given, which is free of secrets. A nil error gives it
	// back: nothing was learned, and the pool may order anew when it needs to.
	Failed(messages.Order, error)
	// Outage is what was published last.
	Outage() messages.Outage
	// SetOutage publishes what is known about the server and wakes the pool.
	SetOutage(messages.Outage)
}

// New makes the retry actor of one pool. Without a ConnConfig each of its lives ends with an error. What it learned
// about the server (the address that works, how long a log-in takes, parameters that are not taken) outlives its lives.
func New(cfg Config, orders Orders) *actors.Actor[messages.ToRetry] {
	cfg = cfg.withDefaults()
	var d *dialer
	if cfg.ConnConfig != nil {
		d = newDialer(cfg)
	}
	schedule := schedule{initial: cfg.Initial, max: cfg.Max, jitter: cfg.Jitter, chance: rand.Float64}
	// Without a logger: who restarts an actor tells of its crashes.
	return actors.New(actors.Options{Name: "retry"}, func() actors.Behavior[messages.ToRetry] {
		return &life{dialer: d, orders: orders, schedule: schedule}
	})
}
