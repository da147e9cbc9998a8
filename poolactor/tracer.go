package poolactor

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Tracer is told of every lease of a pool, those of its own methods and of Ref included, by the goroutines that take and
// release them: it must be quick, and safe for concurrent use. A panic of it fails the call that was acquiring, or is an
// event.
type Tracer interface {
	// AcquireStart is called when somebody asks for a lease, with their context. What it returns goes to AcquireEnd only.
	AcquireStart(ctx context.Context) context.Context
	// AcquireEnd is called when they have the lease, or have not got one.
	AcquireEnd(ctx context.Context, end AcquireEnd)
	// Released is called when a lease is given back, by Release, Discard or Hijack. Of those that are not, EventForgotten and
	// EventRevoked tell.
	Released(Released)
}

// AcquireEnd is how a request for a lease ended.
type AcquireEnd struct {
	Waited time.Duration // from the question to the answer
	PID    uint32        // the server process; 0 without a lease
	Err    error         // why there is no lease; nil: there is one
}

// Released is a lease that is over.
type Released struct {
	PID       uint32        // the server process
	Label     string        // from WithLabel; empty if there was none
	Held      time.Duration // how long
	Discarded bool          // its connection is closed, or was hijacked
}

// traced lets the tracer watch how a lease is acquired.
func (p *Pool) traced(asked context.Context, acquire acquirer) (*Lease, error) {
	ctx, began := asked, p.now()
	if err := guarded(func() error { ctx = p.cfg.Tracer.AcquireStart(asked); return nil }); err != nil {
		return nil, fmt.Errorf("poolactor: the tracer: %w", err)
	}
	l, err := acquire(asked)
	end := AcquireEnd{Waited: time.Duration(p.now() - began), Err: err}
	if l != nil {
		end.PID = l.conn.PID()
	}
	if broken := guarded(func() error { p.cfg.Tracer.AcquireEnd(ctx, end); return nil }); broken != nil {
		if l != nil {
			l.Release()
		}
		return nil, errors.Join(err, fmt.Errorf("poolactor: the tracer: %w", broken))
	}
	return l, err
}

// traceEnd tells the tracer about a lease that ends, while its slot is still its own.
func (l *Lease) traceEnd(s *slot, discarded bool) {
	p := s.pool
	if p.cfg.Tracer == nil {
		return
	}
	over := Released{
		PID: l.conn.PID(), Label: s.labelled(), Held: time.Duration(p.now() - s.acquired.Load()), Discarded: discarded,
	}
	if s.isOf(l.gen) { // else it was taken away, and what stood in the slot may have been another's
		p.contained("Tracer.Released", func() { p.cfg.Tracer.Released(over) })
	}
}

// contained runs a hook whose panic is nobody's error: it is told about.
func (p *Pool) contained(what string, hook func()) {
	if err := guarded(func() error { hook(); return nil }); err != nil {
		p.publish(Event{Kind: EventPanicked, What: what, Err: err})
	}
}
