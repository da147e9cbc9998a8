package poolactor

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed-4ff2b7b9/supervised/internal/backend"
	"github.com/seed-4ff2b7b9/supervised/messages"
)

// This file is about servers that change their kind under open connections: after a failover the old primary may serve on
// and take no more writes. target_session_attrs asks for a kind of server, or a ConnConfig.ValidateConnect of the user's
// own does; pgx looks at it when it opens a connection, and the pool looks again when there is reason to doubt it.

// errOtherKind says that a connection works and is not what the configuration asks for.
var errOtherKind = errors.New("the server is no longer of the kind that target_session_attrs asks for")

// doubtKind draws the conclusion from a write that was refused because the transaction, or the server, is read-only. Where
// the configuration asks for a kind of server, the connection has to show before it is handed out again that it still leads to one.
// Where any server will do, it is closed after use if that one is a standby: another may have been promoted. A transaction
// that a user made read-only gets the same error; then the connection passes and stays.
func (p *Pool) doubtKind(s *slot, c *backend.Conn) {
	if p.cfg.ConnConfig.ValidateConnect != nil {
		s.ok.Store(doubted)
		return
	}
	if c != nil && c.PGX().PgConn().ParameterStatus("in_hot_standby") == "on" {
		s.word.flag(flagRetire, leased)
	}
}

// ask is what a check asks the server: for an answer, and over a connection that is not verified in this epoch, whether
// it is still of the kind that the configuration asks for.
func (p *Pool) ask(ctx context.Context, s *slot, g gate) error {
	c, began := s.conn.Load(), p.now()
	if err := c.Check(ctx); err != nil {
		return err
	}
	p.roundTrip.Store(p.now() - began)
	validate := p.cfg.ConnConfig.ValidateConnect
	if validate == nil || s.ok.Load() == uint64(g.epoch()) {
		return nil
	}
	seen := c.Changes()
	err := validate(ctx, c.PGX().PgConn())
	if seen == 0 {
		c.ClearChanges() // what it sets up, it has set up before
	}
	var unloved *pgconn.NotPreferredError
	switch {
	case err == nil, errors.As(err, &unloved): // it was taken for want of a better one
		return nil
	case c.Closed(), ctx.Err() != nil:
		return backend.Explain(ctx, err)
	default:
		return fmt.Errorf("%w: %w", errOtherKind, err)
	}
}

// learnOtherKind makes every other connection show the same, if it was a refused write that led to the discovery: else a
// new epoch has begun already.
func (p *Pool) learnOtherKind(s *slot, err error) {
	if s.ok.Load() == doubted {
		p.distrust(p.gate.Load().epoch(), s, err)
	}
}

// distrust begins a new epoch, if the given one is still the current one, and has everything verified that rests.
func (p *Pool) distrust(epoch gate, s *slot, err error) {
	if p.gate.distrust(epoch) {
		p.publish(Event{Kind: EventDistrusted, Slot: s.index, PID: s.pid(), Err: err})
	}
	p.tellHealth(messages.VerifyNow{})
}
