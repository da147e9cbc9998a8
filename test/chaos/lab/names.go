package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-4ff2b7b9/supervised/internal/faultproxy"
)

// Row 8: names that lead nowhere, or elsewhere, or take their time.

// nameOfServer is what callers' connection strings name; it is resolved by names alone.
const nameOfServer = "db.test"

// slowLookup is how long a lookup takes where names are slow, whatever becomes of them meanwhile.
const slowLookup = 5 * time.Second

func misnomers() []Row {
	bounds := []Bound{HitsSomebody, DialsWithin(80), FirstWithin(recovery)}
	return []Row{{
		ID: "8-dns-fails", Fault: "all connections reset, and the name leads nowhere for 3 s", Timed: true, Bounds: bounds,
		Run: named(patience, nowhere),
	}, {
		ID: "8-dns-slow", Fault: fmt.Sprintf("all connections reset, and a lookup takes %v, for 4 s; deadlines of 2 s", slowLookup),
		Timed: true, Bounds: append(bounds, TookWithin(returning, 50*time.Millisecond)), Run: named(2*time.Second, slowly),
	}, {
		ID: "8-dns-moves", Fault: "the server goes away, and its name leads to another address 2 s later", Timed: true, Bounds: bounds,
		Run: named(patience, elsewhere),
	}}
}

// names is a LookupFunc whose answers change, and counts what it is asked.
type names struct {
	mu     sync.Mutex
	answer func(ctx context.Context) ([]string, error)
	asked  []time.Time
	now    int
	peak   int
}

func (n *names) lookup(ctx context.Context, _ string) ([]string, error) {
	n.mu.Lock()
	n.asked = append(n.asked, time.Now())
	n.now++
	n.peak = max(n.peak, n.now)
	answer := n.answer
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		n.now--
		n.mu.Unlock()
	}()
	return answer(ctx)
}

func (n *names) set(answer func(ctx context.Context) ([]string, error)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answer = answer
}

// leadTo lets the name lead to one address with a port.
func (n *names) leadTo(address string) {
	n.set(func(context.Context) ([]string, error) { return []string{address}, nil })
}

// busiest is how many lookups there were in the busiest five seconds since a moment, and how many at once at any time.
func (n *names) busiest(since time.Time) (most, peak int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	asked := slices.DeleteFunc(slices.Clone(n.asked), func(at time.Time) bool { return at.Before(since) })
	first := 0
	for last, at := range asked {
		for at.Sub(asked[first]) >= 5*time.Second {
			first++
		}
		most = max(most, last-first+1)
	}
	return most, n.peak
}

// named makes an experiment with a server that is found by its name. A lookup is a part of a dial, so the bounds of dials
// hold for it, too: no more at a time than connections, no more than 80 in five seconds.
func named(patience time.Duration, do func(context.Context, *Experiment, *proxied, *names) error) func(context.Context, *Lab, Kind) (Result, error) {
	return func(ctx context.Context, l *Lab, k Kind) (Result, error) {
		n := &names{}
		tune := func(s *Setup) {
			s.Patience = patience
			u := parsed(s.DSN)
			n.leadTo(u.Host)
			s.DSN = leadTo(s.DSN, net.JoinHostPort(nameOfServer, u.Port()))
			s.Tuning.Connect = func(c *pgx.ConnConfig) { c.LookupFunc = n.lookup }
		}
		return through(tune, func(ctx context.Context, x *Experiment, p *proxied) error {
			from := time.Now()
			if err := do(ctx, x, p, n); err != nil {
				return err
			}
			busiest, peak := n.busiest(from)
			if busiest > 80 || peak > x.setup.Tuning.Size {
				x.Fail("%d lookups in five seconds, %d at once: 80 and %d are allowed", busiest, peak, x.setup.Tuning.Size)
			}
			return nil
		})(ctx, l, k)
	}
}

// nowhere: every lookup fails at once.
func nowhere(ctx context.Context, x *Experiment, p *proxied, n *names) error {
	n.set(func(context.Context) ([]string, error) { return nil, errors.New("no such host") })
	return x.lose(ctx, p, 3*time.Second, func() { n.leadTo(p.proxy.Address()) })
}

// slowly: a lookup that has begun takes its time, also when names have become fast again.
func slowly(ctx context.Context, x *Experiment, p *proxied, n *names) error {
	n.set(func(ctx context.Context) ([]string, error) {
		select {
		case <-time.After(slowLookup):
			return []string{p.proxy.Address()}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	return x.lose(ctx, p, slowLookup-time.Second, func() { n.leadTo(p.proxy.Address()) })
}

// elsewhere: the old address refuses, and the name leads to the same server at another address.
func elsewhere(ctx context.Context, x *Experiment, p *proxied, n *names) error {
	other, err := faultproxy.New(p.server.Address())
	if err != nil {
		return err
	}
	p.also = append(p.also, other)
	p.proxy.Refuse()
	return x.lose(ctx, p, 2*time.Second, func() { n.leadTo(other.Address()) })
}

// lose resets all connections, lets time pass, and measures how soon somebody succeeds after the cure. Who waits meanwhile
// may fail at the deadline.
func (x *Experiment) lose(ctx context.Context, p *proxied, length time.Duration, cure func()) error {
	f := x.Strike(ctx)
	p.proxy.ResetAll()
	Pass(ctx, length)
	cure()
	cured := time.Now()
	x.Accepted(ctx, f, cured, 0)
	Pass(ctx, 500*time.Millisecond)
	x.Excuse(func(c Call) bool { return c.Granted.IsZero() && x.atDeadlineIn(c, f.At, cured) })
	return nil
}
