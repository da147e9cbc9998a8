package poolactor

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/seed-4ff2b7b9/supervised/actors/health"
	"github.com/seed-4ff2b7b9/supervised/internal/backend"
)

// This file decides when something is sent a second time without its caller: only if not a byte of it was written. What
// pgx says (pgconn.SafeToRetry) is no proof: for the simple protocol it also says yes when the statement has run.

// maxRepeats is how often the pool takes another connection for a statement. Each was found alive a millisecond before,
// so a third dead one is no accident.
const maxRepeats = 2

// begun leases a connection and begins with f what it is leased for. If the connection turns out to be dead before a
// byte of that was written, f runs again on another. Without a lease, the error is that of acquire; with one, it is f's,
// and the lease is the caller's to release. A panic of f releases it.
func (c *calls) begun(ctx context.Context, f func(*Lease) error) (*Lease, error) {
	acquire := c.acquire
	for repeats := 0; ; repeats++ {
		l, err := acquire(ctx)
		if err != nil {
			return nil, err
		}
		acquire = c.reacquire
		err = c.first(l, f)
		if err == nil || repeats == maxRepeats || ctx.Err() != nil || !l.unsent(err) {
			return l, err
		}
		c.release(l)
	}
}

// reacquire leases a connection in the middle of a call that has had one: it is not turned away.
func (p *Pool) reacquire(ctx context.Context) (*Lease, error) {
	if p.cfg.Tracer != nil {
		return p.traced(ctx, p.leaseAgain)
	}
	return p.leaseAgain(ctx)
}

// leaseAgain is lease for a call that was let in.
func (p *Pool) leaseAgain(asked context.Context) (*Lease, error) {
	ctx, cancel := p.bounded(asked)
	defer cancel()
	return p.wait(ctx, asked, p.now(), putBack)
}

// first runs f as the first thing that is done with the lease.
func (c *calls) first(l *Lease, f func(*Lease) error) error {
	returned := false
	defer func() {
		if !returned { // a panic or a runtime.Goexit
			c.release(l)
		}
	}()
	l.conn.ClearSent()
	err := f(l)
	returned = true
	return err
}

// unsent tells whether err came of a connection that was lost before a byte was written to it on this lease.
func (l *Lease) unsent(err error) bool { return !l.conn.Sent() && l.lost(err) }

// spent makes what was begun on this lease something that cannot be repeated.
func (l *Lease) spent() { l.conn.MarkSent() }

// lost tells whether err came of the loss of the lease's connection. It asks both: the same kind of error may have come
// from elsewhere, and pgx also closes connections for reasons of its caller's. A revoked lease is not lost.
func (l *Lease) lost(err error) bool {
	s, busy := l.begin()
	if busy != nil {
		return false
	}
	closed := l.conn.Closed()
	s.end(l.gen)
	if !closed {
		return false
	}
	sign := health.Grade(err)
	return sign == health.Death || sign == health.Timeout || errors.Is(err, backend.ErrCancelUnsettled)
}

// copyBatch copies a batch that may have to be sent twice: pgx notes in it what the connection knows of its statements.
func copyBatch(b *pgx.Batch) *pgx.Batch {
	once := *b
	once.QueuedQueries = make([]*pgx.QueuedQuery, len(b.QueuedQueries))
	all := make([]pgx.QueuedQuery, len(b.QueuedQueries))
	for i, q := range b.QueuedQueries {
		all[i] = *q
		once.QueuedQueries[i] = &all[i]
	}
	return &once
}

// source is a source of rows that knows whether it was read from.
type source struct {
	pgx.CopyFromSource
	read bool
}

func (s *source) Next() bool {
	s.read = true
	return s.CopyFromSource.Next()
}
