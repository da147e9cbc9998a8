package pgxpool

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-4ff2b7b9/supervised/internal/door"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// This file is the way from a lease to a caller and back: what the tracers are told, and what the hooks decide.

// Acquire returns a connection. It waits as long as ctx allows, for others to release theirs and for a server that is
// down.
//
// Errors: ctx's, in an *poolactor.ExhaustedError or *poolactor.UnavailableError that says what stood in the way; what
// PrepareConn returned; "closed pool", which matches poolactor.ErrClosed.
func (p *Pool) Acquire(ctx context.Context) (*Conn, error) {
	l, err := p.lease(ctx)
	if err != nil {
		return nil, err
	}
	return &Conn{p: p, lease: l}, nil
}

// AcquireFunc calls f with a connection, and releases that however f ends. ctx is for the wait only. The error is that of
// the wait or that of f.
func (p *Pool) AcquireFunc(ctx context.Context, f func(*Conn) error) error {
	c, err := p.Acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	return f(c)
}

// AcquireAllIdle acquires every connection that nobody uses now. It waits for none that others hold, opens none, and does
// not count in [Stat]. Those that PrepareConn objects to are closed.
func (p *Pool) AcquireAllIdle(ctx context.Context) []*Conn {
	conns := []*Conn{}
	rest := door.AllIdle(ctx, p.pool).([]*poolactor.Lease)
	defer func() { // by a hook that ends this goroutine
		for _, l := range rest {
			l.Discard()
		}
	}()
	for ; len(rest) > 0; rest = rest[1:] {
		l := rest[0]
		if fit, err := p.prepared(ctx, l); !fit || err != nil {
			l.Discard()
			continue
		}
		conns = append(conns, &Conn{p: p, lease: l})
	}
	return conns
}

// lease is what every acquire is.
func (p *Pool) lease(ctx context.Context) (*poolactor.Lease, error) {
	if p.trace.acquire == nil {
		return p.leaseFit(ctx)
	}
	asked := ctx
	err := guarded("TraceAcquireStart", func() { ctx = p.trace.acquire.TraceAcquireStart(asked, p, TraceAcquireStartData{}) })
	if err != nil {
		return nil, err
	}
	l, err := p.leaseFit(ctx)
	kept := l == nil
	defer func() { // also if the tracer ends this goroutine
		if !kept {
			l.Discard()
		}
	}()
	end := TraceAcquireEndData{Err: err}
	if l != nil {
		end.Conn = door.Raw(l)
	}
	if broken := guarded("TraceAcquireEnd", func() { p.trace.acquire.TraceAcquireEnd(ctx, p, end) }); broken != nil {
		return nil, errors.Join(err, broken)
	}
	kept = true
	return l, err
}

// errNoneFit is what is left to say when hooks have refused one connection after the other.
var errNoneFit = errors.New("pgxpool: too many failed attempts acquiring connection; likely bug in PrepareConn, BeforeAcquire, or ShouldPing hook")

// leaseFit leases a connection that the hooks let pass: one more than there are is tried, so that one of them is new.
func (p *Pool) leaseFit(ctx context.Context) (*poolactor.Lease, error) {
	for range int(p.config.MaxConns) + 1 {
		l, err := p.leaseAny(ctx)
		if err != nil {
			return nil, err
		}
		fit, err := p.admit(ctx, l)
		if err != nil {
			return nil, err
		}
		if fit {
			return l, nil
		}
	}
	return nil, errNoneFit
}

// leaseAny leases a connection, and counts.
func (p *Pool) leaseAny(ctx context.Context) (*poolactor.Lease, error) {
	began := time.Now()
	l, err := p.pool.Acquire(ctx)
	switch {
	case err == nil:
		p.acquired.Add(1)
		p.acquireTime.Add(int64(time.Since(began)))
		return l, nil
	case errors.Is(err, poolactor.ErrClosed):
		return nil, &closedError{err}
	case ctx.Err() != nil:
		p.canceled.Add(1)
	}
	return nil, err
}

// closedError says what pgxpool's users know, and what it means here.
type closedError struct{ error }

func (e *closedError) Error() string { return "closed pool: " + e.error.Error() }
func (e *closedError) Unwrap() error { return e.error }

// admit asks the hooks about a lease. One that does not pass is given back; with an error the call is over.
func (p *Pool) admit(ctx context.Context, l *poolactor.Lease) (fit bool, err error) {
	settled := false
	defer func() { // by a hook that ends this goroutine
		if !settled {
			l.Discard()
		}
	}()
	fit, err = p.vetted(ctx, l, &settled)
	if settled {
		return fit, err
	}
	settled = true
	switch {
	case !fit:
		l.Discard()
	case err != nil:
		p.giveBack(l)
	}
	return fit && err == nil, err
}

// vetted is what the hooks say: whether the connection stays, and whether the call is over. A lease that settled is true of
// is in other hands.
func (p *Pool) vetted(ctx context.Context, l *poolactor.Lease, settled *bool) (fit bool, err error) {
	if door.Outlived(l) {
		return false, nil
	}
	if hook := p.config.ShouldPing; hook != nil {
		due := false
		conn := door.Raw(l)
		params := ShouldPingParams{Conn: conn, IdleDuration: p.rested(l, conn)}
		if err := guarded("ShouldPing", func() { due = hook(ctx, params) }); err != nil {
			return false, err
		}
		if due {
			switch answered, err := p.ping(ctx, l); {
			case !answered:
				*settled = true
				return false, err
			case err != nil:
				return false, nil
			}
		}
	}
	return p.prepared(ctx, l)
}

// prepared is what PrepareConn says. One that ends by a panic has left the connection in a state that nobody knows.
func (p *Pool) prepared(ctx context.Context, l *poolactor.Lease) (fit bool, err error) {
	if p.prepare == nil {
		return true, nil
	}
	conn := door.Raw(l)
	if broken := guarded("PrepareConn", func() { fit, err = p.prepare(ctx, conn) }); broken != nil {
		return false, broken
	}
	return fit, err
}

// abandonedPing is how long a ping may take whose caller has left.
const abandonedPing = time.Minute

// ping asks the server for an answer on the leased connection. Without one when ctx ends, the ping goes on beside, and gives
// the lease back: its caller has it no more, and answered is false. So no caller's haste costs a connection.
func (p *Pool) ping(ctx context.Context, l *poolactor.Lease) (answered bool, err error) {
	bound, cancel := context.WithCancel(context.WithoutCancel(ctx))
	if limit := p.config.PingTimeout; limit > 0 {
		bound, cancel = context.WithTimeout(bound, limit)
	}
	var left atomic.Bool // swapped to true by whoever is first: the answer, or the caller who leaves
	answer := make(chan error, 1)
	started := p.workers.run(func() {
		defer cancel()
		var err error
		if broken := guarded("Ping", func() { err = l.Ping(bound) }); broken != nil { // of a notice's handler, say
			err = broken
		}
		switch {
		case left.CompareAndSwap(false, true):
			answer <- err
		case err != nil:
			l.Discard()
		default:
			p.giveBack(l)
		}
	})
	if !started {
		cancel()
		return true, poolactor.ErrClosed
	}
	select {
	case err := <-answer:
		return true, err
	case <-ctx.Done():
	}
	if !left.CompareAndSwap(false, true) {
		return true, <-answer
	}
	limit := time.AfterFunc(abandonedPing, cancel)
	context.AfterFunc(bound, func() { limit.Stop() })
	return false, ctx.Err()
}

// rested is how long nobody has used a connection.
func (p *Pool) rested(l *poolactor.Lease, conn *pgx.Conn) time.Duration {
	if since, ok := p.rest.LoadAndDelete(conn); ok {
		return time.Since(since.(time.Time))
	}
	return door.Rested(l) // nobody has used it yet
}

// release is what every release is.
func (p *Pool) release(l *poolactor.Lease) {
	conn := door.Raw(l)
	if conn == nil {
		return // it is over already
	}
	if p.trace.release != nil && !p.traceRelease(l, conn) {
		return
	}
	hook := p.config.AfterRelease
	switch pg := conn.PgConn(); {
	case pg.IsClosed() || pg.IsBusy() || pg.TxStatus() != 'I' || door.Outlived(l):
		l.Discard()
	case hook == nil:
		p.giveBack(l)
	case !p.workers.run(func() { p.afterRelease(hook, l, conn) }):
		l.Discard()
	}
}

// traceRelease tells the tracer of a release; false: it did not come to its end, and the connection that it was shown is
// closed.
func (p *Pool) traceRelease(l *poolactor.Lease, conn *pgx.Conn) (told bool) {
	defer func() { // also if the tracer ends this goroutine
		if !told {
			l.Discard()
		}
	}()
	p.contained("TraceRelease", func() {
		p.trace.release.TraceRelease(p, TraceReleaseData{Conn: conn})
		told = true
	})
	return told
}

// afterRelease lets the hook decide what becomes of a connection.
func (p *Pool) afterRelease(hook func(*pgx.Conn) bool, l *poolactor.Lease, conn *pgx.Conn) {
	stays := false
	defer func() {
		if stays {
			p.giveBack(l)
		} else {
			l.Discard()
		}
	}()
	p.contained("AfterRelease", func() { stays = hook(conn) })
}

// giveBack gives a fit connection back to the pool below.
func (p *Pool) giveBack(l *poolactor.Lease) {
	if p.config.ShouldPing != nil {
		if conn := door.Raw(l); conn != nil {
			p.rest.Store(conn, time.Now())
		}
	}
	l.Release()
}

// beforeClose is the hook of the pool below.
func (p *Pool) beforeClose(conn *pgx.Conn) {
	p.rest.Delete(conn)
	if hook := p.config.BeforeClose; hook != nil {
		hook(conn)
	}
}
