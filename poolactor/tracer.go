package poolactor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-4ff2b7b9/supervised/actors"
	"github.com/seed-4ff2b7b9/supervised/actors/retry"
)

// Tracer is told of every lease of a pool, those of its own methods and of Ref included, by the goroutines that take and
// release them: it must be quick, and safe for concurrent use. A panic of it fails the call that was acquiring, whose
// lease is given back, or is an event.
type Tracer interface {
	// AcquireStart is called when somebody asks for a lease, with their context. What it returns goes to AcquireEnd only.
	AcquireStart(ctx context.Context) context.Context
	// AcquireEnd is called when they have the lease, or have not got one.
	AcquireEnd(ctx context.Context, end AcquireEnd)
	// Released is called once a lease was given back, by Release, Discard or Hijack. Its connection may be in other hands by
	// then, and the AcquireEnd of those have come first. Of leases that are not given back, EventForgotten and EventRevoked
	// tell; each lease has one end.
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
	Discarded bool          // its connection leaves the pool: not fit any more, discarded, retired or hijacked
}

// PoolTracer may be what a Tracer is as well: it is shown the pool that it is for before anything happens there. New fails
// with its error: of a tracer, say, that is another pool's already.
type PoolTracer interface {
	// TracePool is called once, by New.
	TracePool(*Pool) error
}

// DialTracer may be what a Tracer is as well: it is told of every attempt to open a connection, by the goroutine that all
// dials wait for.
type DialTracer interface {
	// DialEnd is called when an attempt has ended, before anybody gets the connection.
	DialEnd(DialEnd)
}

// DialEnd is how an attempt to open a connection ended.
type DialEnd struct {
	Took    time.Duration // from the order to its end; with several hosts and ways, all that were tried
	PID     uint32        // the server process; 0 without a connection
	Outcome DialOutcome   // what it means for the next one
	Err     error         // why there is no connection; nil: there is one
}

// DialOutcome says how an attempt to open a connection ended, and what that means for the next one.
type DialOutcome string

// The outcomes.
const (
	DialOpened      DialOutcome = "opened"      // there is a connection
	DialUnreachable DialOutcome = "unreachable" // nobody answered, or nothing that will hold: it may heal by itself
	DialDeferred    DialOutcome = "deferred"    // the server asks for patience: it starts, or has too many clients
	DialRefused     DialOutcome = "refused"     // the server will say the same again: a wrong password, say
)

// dialOutcome is what an attempt that failed in this way means.
func dialOutcome(err error) DialOutcome {
	switch retry.Classify(err) {
	case retry.Wait:
		return DialDeferred
	case retry.Refused, retry.Unsupported:
		return DialRefused
	default:
		return DialUnreachable
	}
}

// traceDial tells the tracer how the order of a slot ended, while the slot is still the dialler's.
func (p *Pool) traceDial(s *slot, end DialEnd) {
	tracer, ok := p.cfg.Tracer.(DialTracer)
	if !ok {
		return
	}
	end.Took = time.Duration(p.now() - s.tended.Load())
	p.contained("Tracer.DialEnd", func() { tracer.DialEnd(end) })
}

// traced lets the tracer watch how a lease is acquired. A lease whose acquirer the tracer does away with is given back.
func (p *Pool) traced(asked context.Context, acquire acquirer) (*Lease, error) {
	ctx, began := asked, p.now()
	if err := guarded(func() error { ctx = p.cfg.Tracer.AcquireStart(asked); return nil }); err != nil {
		return nil, fmt.Errorf("poolactor: the tracer: %w", err)
	}
	l, err := acquire(asked)
	kept := l == nil
	defer func() {
		if !kept {
			l.Release()
		}
	}()
	end := AcquireEnd{Waited: time.Duration(p.now() - began), Err: err}
	if l != nil {
		end.PID = l.conn.PID()
	}
	if broken := guarded(func() error { p.cfg.Tracer.AcquireEnd(ctx, end); return nil }); broken != nil {
		return nil, errors.Join(err, fmt.Errorf("poolactor: the tracer: %w", broken))
	}
	kept = true
	return l, err
}

// ending is what a tracer is told of a lease that is about to end; nil: there is no tracer. If the lease turns out to be
// over, what stood in the slot may have been another's.
func (l *Lease) ending(s *slot) *Released {
	p := s.pool
	if p.cfg.Tracer == nil {
		return nil
	}
	return &Released{PID: l.conn.PID(), Label: s.labelled(), Held: time.Duration(p.now() - s.acquired.Load())}
}

// tellReleased tells the tracer about a lease when its end is done: whatever the tracer does, nothing is left behind.
func (p *Pool) tellReleased(over *Released, to state, ended bool) {
	if over == nil || !ended {
		return
	}
	over.Discarded = to == broken || to == gone
	p.contained("Tracer.Released", func() { p.cfg.Tracer.Released(*over) })
}

// contained runs a hook whose panic, or runtime.Goexit, is nobody's error: it is told about.
func (p *Pool) contained(what string, hook func()) {
	err := errWorkerEnded
	defer func() {
		if err != nil {
			p.tellPanic(what, err, stackOf(err))
		}
	}()
	err = guarded(func() error { hook(); return nil })
}

func (p *Pool) tellPanic(what string, err error, stack string) {
	p.publish(Event{Kind: EventPanicked, What: what, Err: err, Stack: stack})
}

// stackOf is where a panic happened; empty if the error is none.
func stackOf(err error) string {
	var panicked *actors.PanicError
	if !errors.As(err, &panicked) {
		return ""
	}
	return string(panicked.Stack)
}
