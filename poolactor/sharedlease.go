package poolactor

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/seed-4ff2b7b9/supervised/actors/health"
	"github.com/seed-4ff2b7b9/supervised/internal/multiplex"
)

// This file lends connections to shared statements: each is a lease like any other, which one goroutine of the pool holds.

// sharedLabel is the label of the leases of shared statements. They are known by the pointer.
var sharedLabel = func() *string {
	label := "shared statements"
	return &label
}()

// isShared tells whether the slot's lease is that of shared statements: its length says nothing about anybody.
func (s *slot) isShared() bool { return s.label.Load() == sharedLabel }

// newGroup makes what shared statements need; it does nothing before somebody calls.
func (p *Pool) newGroup() *multiplex.Group {
	return multiplex.New(multiplex.Config{
		Open:     p.lend,
		Go:       p.crew.Go,
		Most:     p.mostShared,
		Crowded:  func() bool { return p.waiting.Load() > 0 },
		Panicked: func(err error) { p.tellPanic("shared statements", err, stackOf(err)) },
	})
}

// sharing tells whether statements of this configuration can share at all: they are prepared by name, past pgx, which tells
// its tracer nothing of them, and no session is cleaned between two of them.
func (c Config) sharing() bool {
	return c.Shared.Connections > 0 && c.ConnConfig.Tracer == nil && c.Reset != ResetFull &&
		c.ConnConfig.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement && c.ConnConfig.StatementCacheCapacity > 0
}

// mostShared is how many connections may be shared now: one is left for leases.
func (p *Pool) mostShared() int {
	if !p.canShare {
		return 0
	}
	return min(p.cfg.Shared.Connections, int(p.maxSize.Load())-1)
}

// lend leases a connection for shared statements.
func (p *Pool) lend() (multiplex.Connection, error) {
	l, err := p.Acquire(context.WithValue(p.life, labelKey{}, sharedLabel))
	if err != nil {
		return nil, err
	}
	s, err := l.begin()
	if err != nil {
		l.Release()
		return nil, err
	}
	stream, err := l.conn.Stream()
	if err != nil {
		s.end(l.gen)
		l.Discard()
		return nil, err
	}
	return &lent{lease: l, slot: s, stream: stream}, nil
}

// lent is a connection that shared statements use. The lease is busy until it is returned.
type lent struct {
	lease  *Lease
	slot   *slot
	stream io.ReadWriter
	// doubted: the pool is to have a look at the connection before it serves on.
	doubted atomic.Bool
}

func (c *lent) Stream() io.ReadWriter { return c.stream }
func (c *lent) Types() *pgtype.Map    { return c.lease.conn.PGX().TypeMap() }
func (c *lent) Sever()                { c.lease.conn.Sever() }

// Wanted tells whether the connection is to leave the pool, to come back, to be verified, or to be cleaned.
func (c *lent) Wanted() bool {
	s := c.slot
	w, g := s.word.Load(), s.pool.gate.Load()
	switch {
	case !s.isOf(c.lease.gen), w.has(flagRetire), !g.open():
		return true
	default:
		return c.doubted.Load() || s.ok.Load() != uint64(g.epoch()) || c.lease.conn.Changes() != 0
	}
}

func (c *lent) Notice(n *pgconn.Notice) {
	hook := c.slot.pool.cfg.ConnConfig.OnNotice
	if hook == nil {
		return
	}
	if err := guarded(func() error { hook(c.lease.conn.PGX().PgConn(), n); return nil }); err != nil {
		c.slot.pool.tellPanic("OnNotice", err, stackOf(err))
	}
}

// Refused passes on what says something about the server.
func (c *lent) Refused(e *pgconn.PgError) {
	sign := health.Grade(e)
	if sign == health.ReadOnly { // a server that takes no writes any more has to be left, as after a lease
		c.doubted.Store(true)
	}
	if sign != health.None {
		c.slot.pool.learn(c.slot, c.lease.conn, e)
	}
}

// Return gives the lease back: closed, if something is wrong with it.
func (c *lent) Return(err error) {
	if err == nil {
		_ = c.lease.end(context.Background(), c.slot, nil)
		c.lease.Release()
		return
	}
	_ = c.lease.end(context.Background(), c.slot, fmt.Errorf("poolactor: shared statements: %w", err))
	c.lease.Discard()
}
