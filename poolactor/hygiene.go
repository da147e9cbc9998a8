package poolactor

import (
	"context"
	"errors"
	"strings"

	"github.com/seed-4ff2b7b9/supervised/internal/backend"
)

// This file makes a session that came back fit for its next lease. What a lease has changed was seen on the wire while
// it used the connection (backend.Changes); a session that was not seen to have changed is handed on as it is.

// due tells whether a session with these changes has to be cleaned before its next lease. pgx's own books are kept in
// order whatever the policy is: a statement that the server was made to forget would fail for the next holder.
func (r ResetPolicy) due(seen backend.Changes) bool {
	switch r {
	case ResetSmart:
		return seen != 0
	case ResetNone:
		return seen&(backend.Unfenced|backend.Deallocated) != 0
	default:
		return true
	}
}

// remedy is what undoes some changes.
type remedy struct {
	undoes backend.Changes
	sql    string
}

// remedies are those of ResetSmart, in the order in which they are to run: what comes first must not keep what follows
// from working.
var remedies = []remedy{
	{backend.ChangedSettings, "set session authorization default; reset role; reset all"}, // RESET ALL does not reset a role
	{backend.ChangedCursors, "close all"},
	{backend.ChangedListening, "unlisten *"},
	{backend.ChangedLocks, "select pg_catalog.pg_advisory_unlock_all()"},
	// With another search_path, a table can have become temporary that nobody called so.
	{backend.ChangedTemporary | backend.ChangedSettings, "discard temp"},
	{backend.ChangedPrepared | backend.Deallocated, "deallocate all"},
}

// treatment is what is to be done about a session.
type treatment struct {
	texts  []string        // each is one round trip
	undoes backend.Changes // of this lease or of whoever set the session up
}

// treat says what is to be done about a session that came back with these changes.
func (r ResetPolicy) treat(seen backend.Changes, inTx bool) (todo treatment) {
	var steps []string
	if inTx {
		steps = append(steps, "rollback")
	}
	switch r {
	case ResetFull: // DISCARD ALL refuses to run beside other statements
		return treatment{append(steps, "discard all"), backend.ChangedAnything}
	case ResetNone:
		seen &= backend.Deallocated
	}
	for _, remedy := range remedies {
		if seen&remedy.undoes != 0 {
			steps = append(steps, remedy.sql)
			todo.undoes |= remedy.undoes
		}
	}
	if len(steps) > 0 {
		todo.texts = []string{strings.Join(steps, "; ")}
	}
	return todo
}

// Reasons to close a connection instead of cleaning its session.
var (
	errLibrary = errors.New("poolactor: the session has loaded a library with LOAD, which nothing undoes")
	errSetUp   = errors.New("poolactor: cleaning the session would undo what a hook of ConnConfig set up when it was opened")
)

// clean has a connection made fit for its next lease by a worker, and tells what became of it. False: the lease is not of
// this generation any more.
func (p *Pool) clean(t *token, gen uint64) (state, bool) {
	s := t.slot
	for {
		w := s.word.Load()
		if w.state() != leased || w.gen() != gen {
			return w.state(), false
		}
		if w.has(flagRetire) {
			return p.handBackTo(t, gen, broken, 0)
		}
		s.tended.Store(p.now()) // before the swap: whoever sees the state reads it
		if s.word.swap(w, w.to(cleaning)) {
			break
		}
	}
	if !p.crew.Go(func() { p.restore(s) }) {
		p.endTending(s, cleaning, false)
	}
	return cleaning, true
}

// restore is the cleaner: within the bound of a check it makes the session fit, or gives the connection up.
func (p *Pool) restore(s *slot) {
	ctx, cancel := context.WithTimeout(p.life, p.checkBound())
	defer cancel()
	c := s.conn.Load()
	p.cleanings.Add(1)
	err := errWorkerEnded
	defer func() { // also if a hook ends this goroutine
		if err != nil && p.life.Err() == nil {
			p.publish(Event{Kind: EventUnclean, Slot: s.index, PID: c.PID(), Label: s.labelled(), Err: err})
		}
		p.endTending(s, cleaning, err == nil && c.Fit())
	}()
	err = guarded(func() error { return p.restoreSession(ctx, s, c) })
}

// restoreSession waits until a late cancel request can no longer hit, ends an open transaction, and cleans.
func (p *Pool) restoreSession(ctx context.Context, s *slot, c *backend.Conn) error {
	if err := c.WaitCancel(ctx); err != nil {
		return err
	}
	policy, seen := p.cfg.Reset, c.Changes()
	if seen&backend.Unfenced != 0 {
		policy = ResetSmart
	}
	if policy != ResetNone && seen&backend.ChangedLibraries != 0 {
		return errLibrary
	}
	inTx := c.InTx()
	todo := policy.treat(seen, inTx)
	if todo.undoes&c.SetUp() != 0 {
		return errSetUp
	}
	if inTx {
		p.publish(Event{Kind: EventRolledBack, Slot: s.index, PID: c.PID(), Label: s.labelled()})
	}
	for _, sql := range todo.texts {
		if _, err := c.PGX().PgConn().Exec(ctx, sql).ReadAll(); err != nil {
			return backend.Explain(ctx, err)
		}
	}
	if todo.undoes&backend.ChangedListening != 0 {
		c.DropNotifications()
	}
	if todo.undoes&backend.ChangedPrepared != 0 {
		c.ForgetStatements()
	}
	c.ClearChanges()
	return nil
}
