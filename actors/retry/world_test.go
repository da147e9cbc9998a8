package retry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/actors"
	"github.com/seed-4ff2b7b9/supervised/internal/backend"
	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
	"github.com/seed-4ff2b7b9/supervised/messages"
)

// failingDial is a DialFunc that never connects.
func failingDial(err error) pgconn.DialFunc {
	return func(context.Context, string, string) (net.Conn, error) { return nil, err }
}

// slotState is what a slot of the double is in.
type slotState int

const (
	empty slotState = iota
	wanted
	dialing
	opened
)

// ending of an order, as the double was told.
type told struct {
	order messages.Order
	err   error
	at    time.Time
	known messages.Outage // at that time
}

// pool is a double of the pool's side: slots, of which some are wanted, and what was told about them. Like the pool's
// own, its changes are compare-and-swap: what is told twice changes nothing.
type pool struct {
	mu      sync.Mutex
	slots   []slotState
	scouts  []bool
	conns   []*backend.Conn
	outage  messages.Outage
	outages []messages.Outage // all that were published
	failed  []told
	changed chan struct{} // a hint that something was told

	// crash is called before and after the effect of each method. It may panic.
	crash func(place string)
}

func newPool(size int) *pool {
	return &pool{
		slots: make([]slotState, size), scouts: make([]bool, size), conns: make([]*backend.Conn, size),
		changed: make(chan struct{}, 1), crash: func(string) {},
	}
}

// step runs one method's effect between two chances to crash. No chance is taken while the lock is held.
func (p *pool) step(name string, effect func()) {
	p.crash("before " + name)
	p.mu.Lock()
	effect()
	p.mu.Unlock()
	p.crash("after " + name)
}

func (p *pool) Reclaim() {
	p.step("Reclaim", func() {
		for i, s := range p.slots {
			if s == dialing {
				p.slots[i] = wanted
			}
		}
	})
}

func (p *pool) Next() (order messages.Order, ok bool) {
	p.step("Next", func() {
		i := slices.Index(p.slots, wanted)
		if i < 0 {
			return
		}
		p.slots[i] = dialing
		order, ok = messages.Order{Slot: i, Scout: p.scouts[i]}, true
	})
	return order, ok
}

// Opened has no chance to crash after its effect: by its contract it keeps the connection if, and only if, it returns.
func (p *pool) Opened(o messages.Order, c *backend.Conn) {
	p.crash("before Opened")
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.slots[o.Slot] != dialing {
		panic("a connection for a slot that is not being dialled")
	}
	p.slots[o.Slot], p.conns[o.Slot] = opened, c
}

func (p *pool) Announce(messages.Order) { p.step("Announce", p.hint) }

func (p *pool) Failed(o messages.Order, err error) {
	p.step("Failed", func() {
		p.failed = append(p.failed, told{o, err, time.Now(), p.outage})
		if p.slots[o.Slot] == dialing {
			p.slots[o.Slot] = empty
		}
		p.hint()
	})
}

func (p *pool) Outage() (o messages.Outage) {
	p.step("Outage", func() { o = p.outage })
	return o
}

func (p *pool) SetOutage(o messages.Outage) {
	p.step("SetOutage", func() {
		p.outage = o
		p.outages = append(p.outages, o)
		p.hint()
	})
}

func (p *pool) hint() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// want makes n empty slots wanted, as far as there are any, and returns how many.
func (p *pool) want(n int, scout bool) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	placed := 0
	for i := range p.slots {
		if placed < n && p.slots[i] == empty {
			p.slots[i], p.scouts[i] = wanted, scout
			placed++
		}
	}
	return placed
}

func (p *pool) count(states ...slotState) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, s := range p.slots {
		if slices.Contains(states, s) {
			n++
		}
	}
	return n
}

// scheduled is how many orders of the schedule are out.
func (p *pool) scheduled() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for i, s := range p.slots {
		if (s == wanted || s == dialing) && !p.scouts[i] {
			n++
		}
	}
	return n
}

func (p *pool) known() messages.Outage {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.outage
}

func (p *pool) ended() []told {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.failed)
}

func (p *pool) published() []messages.Outage {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.outages)
}

// closeAll ends every connection that was handed over, and empties the slots.
func (p *pool) closeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, c := range p.conns {
		if c != nil {
			_ = c.Close(context.Background())
			p.slots[i], p.conns[i] = empty, nil
		}
	}
}

// world is a server, a pool and the actor between them, in fake time.
type world struct {
	t      *testing.T
	server *fakepg.Server
	pool   *pool
	actor  *actors.Actor[messages.ToRetry]
	cfg    Config
	log    *journal
	calls  *calls

	cancel  context.CancelFunc
	serving sync.WaitGroup
}

// inWorld runs f in a bubble of fake time, with an actor that is restarted 10 ms after each crash. change may alter the
// configuration, which leads to the server, without jitter. f is given the bubble's own t.
func inWorld(t *testing.T, size int, change func(*world), f func(*testing.T, *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, server: fakepg.New(), pool: newPool(size), log: new(journal), calls: new(calls)}
		logger := zerolog.New(w.log).Level(zerolog.DebugLevel)
		w.cfg = Config{
			ConnConfig: w.server.Config(), Dial: w.server.Dial, CancelDial: w.server.CancelDial,
			Lookup: w.server.Lookup, Jitter: -1, Logger: &logger,
		}
		if change != nil {
			change(w)
		}
		w.cfg.Dial = w.calls.counted(w.cfg.Dial)
		w.actor = New(w.cfg, w.pool)
		w.start()
		defer func() { // also when f gave up
			w.stop()
			w.pool.closeAll()
			w.server.Close()
		}()
		f(t, w)
	})
}

// start serves the actor until stop.
func (w *world) start() {
	ctx, cancel := context.WithCancel(w.t.Context())
	w.cancel = cancel
	w.serving.Go(func() {
		for {
			if err := w.actor.Serve(ctx); ctx.Err() != nil {
				return
			} else if err == nil {
				panic("the actor ended without a reason")
			}
			time.Sleep(10 * time.Millisecond) // as its supervisor would, in fake time
		}
	})
}

func (w *world) stop() {
	w.cancel()
	w.serving.Wait()
}

// order makes slots wanted, says so, and waits until all that can happen without time has happened.
func (w *world) order(n int, scout bool) {
	w.t.Helper()
	require.Equal(w.t, n, w.pool.want(n, scout), "the double has too few slots")
	w.hint()
}

func (w *world) hint() {
	_ = w.actor.Ref().TryTell(messages.DialsWanted{}) // full: it looks anyway
	synctest.Wait()
}

func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// demand plays the pool and the health actor until it is called off: it wants need connections, orders as the schedule
// says while the server is down, and sends a scout every 75 ms then.
func (w *world) demand(need int, scouts bool) (callOff func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(75 * time.Millisecond)
		defer tick.Stop()
		for {
			o, now := w.pool.known(), time.Now()
			lacking := need - w.pool.count(wanted, dialing, opened)
			placed := 0
			var due <-chan time.Time
			switch {
			case lacking <= 0:
			case o.Since.IsZero():
				placed = w.pool.want(lacking, false)
			case now.Before(o.NotBefore):
				timer := time.NewTimer(o.NotBefore.Sub(now))
				defer timer.Stop()
				due = timer.C
			case w.pool.scheduled() == 0:
				placed = w.pool.want(1, false)
			}
			if placed > 0 {
				_ = w.actor.Ref().TryTell(messages.DialsWanted{})
			}
			select {
			case <-ctx.Done():
				return
			case <-w.pool.changed:
			case <-due:
			case <-tick.C:
				if scouts && !w.pool.known().Since.IsZero() {
					w.pool.want(1, true)
					_ = w.actor.Ref().TryTell(messages.DialsWanted{})
				}
			}
		}
	})
	return func() {
		cancel()
		done.Wait()
	}
}

// errInjected is what crashes are made of.
var errInjected = errors.New("injected")

func crashOn(place string, hit int) func(string) {
	var mu sync.Mutex
	return func(here string) {
		mu.Lock()
		defer mu.Unlock()
		if here != place {
			return
		}
		if hit--; hit == 0 {
			panic(fmt.Errorf("%w at %s", errInjected, place))
		}
	}
}

// closedAtOnce is a DialFunc to something that accepts and hangs up.
func closedAtOnce(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	_ = far.Close()
	return near, nil
}
