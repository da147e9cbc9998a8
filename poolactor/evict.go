package poolactor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-4ff2b7b9/supervised/internal/backend"
	"github.com/seed-4ff2b7b9/supervised/internal/failpoint"
)

// This file is how connections that work leave the pool: because they are old, or because an Evict wants them replaced.
// Either wish is a time in the slot, so it outlives every actor. It is carried out by compare-and-swap, by whoever looks
// first: the janitor in its rounds, or an Evict that waits. The pool actor only has to close what was retired.

// notice is the wish that one connection leaves the pool.
type notice struct {
	conn *backend.Conn
	due  int64
}

// giveNotice makes a connection leave at the given time, unless it is to leave earlier.
func (s *slot) giveNotice(c *backend.Conn, due int64) {
	for {
		old := s.notice.Load()
		if old != nil && old.conn == c && old.due <= due || s.notice.CompareAndSwap(old, &notice{conn: c, due: due}) {
			return
		}
	}
}

// outlived tells whether the slot's connection has reached MaxLifetime.
func (s *slot) outlived(now int64) bool {
	at := s.expires.Load()
	return at != 0 && now >= at
}

// due tells whether the slot's connection is to be replaced now.
func (s *slot) due(now int64) bool {
	if s.outlived(now) {
		return true
	}
	n := s.notice.Load()
	return n != nil && n.conn == s.conn.Load() && now >= n.due
}

// retireDue retires every connection whose time has come. A lease that was told so already needs no reminder.
func (p *Pool) retireDue(now int64) {
	for _, s := range p.all() {
		w := s.word.Load()
		if !w.state().hasConnection() || w.state() == leased && w.has(flagRetire) || !s.due(now) {
			continue
		}
		if p.holdsOn(now) {
			return
		}
		p.retire(s)
	}
}

// retire has a connection closed: at once where it rests or is on offer, else when it comes back. False: it is elsewhere by
// now.
func (p *Pool) retire(s *slot) bool {
	retired := s.word.flag(flagRetire, leased, checking, cleaning, opened, resting)
	if !retired {
		_, retired = s.word.move(broken, free)
	}
	failpoint.Hit("janitor.retired")
	if retired {
		p.tell(hint{slot: s})
	}
	return retired
}

// holdsOn tells whether connections must serve on although they are due: in an outage nothing could take their place. It
// asks for a scout, once a second: while the server refuses everybody and connections are open, nobody else looks whether
// that is over. Where they leave no room for that dial, one of them has to make it.
func (p *Pool) holdsOn(now int64) bool {
	if p.outage.Load().Since.IsZero() || !p.gate.Load().open() {
		return false
	}
	staying := 0
	for _, s := range p.all() {
		if w := s.word.Load(); w.state().hasConnection() && !w.has(flagRetire) {
			staying++
		}
	}
	if staying >= int(p.maxSize.Load()) {
		return false
	}
	p.probe(now)
	return true
}

// EvictError says what an Evict still waited for when its context ended. The eviction goes on.
type EvictError struct {
	Open    int      // connections that are not closed yet
	Holders []Holder // who holds those of them that are leased, longest first
	Err     error    // the context's error
}

// Error says how many connections are still open, and names the holders.
func (e *EvictError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "poolactor: evict: %d of the connections are still open, and leave when they can: %v", e.Open, e.Err)
	for _, h := range e.Holders {
		b.WriteString("; ")
		b.WriteString(h.String())
	}
	return b.String()
}

// Unwrap gives the context's error.
func (e *EvictError) Unwrap() error { return e.Err }

// Evict replaces every connection that is open now or being opened, evenly spread over the given time; 0 and less: all
// at once. A resting connection is closed, a leased one when it comes back; others are opened where callers or the minimum
// need them. What is opened after the call is left alone.
//
// It returns when all of these connections are closed, and those that were being closed already. ctx ends only the wait,
// with an *EvictError; the eviction goes on, through crashes of the pool's actors, too. With a context that has ended
// already Evict waits for nothing. Several may run at once: a connection leaves when the first of them wants it.
//
// In an outage, connections that work serve on, since nothing could take their place, and leave when it is over, but for
// one of them if the pool has no other room for a dial that finds out; so an eviction that is spread over some time stops
// when the server turns out to let nobody in. In a suspended pool that counts for nothing: after Suspend and Evict the
// pool has no connection, and opens none before Resume. A server that was told to stop when its last client has gone can
// do so then. Errors: ErrClosed, *EvictError.
func (p *Pool) Evict(ctx context.Context, over time.Duration) error {
	if p.gate.Load().closed() {
		return ErrClosed
	}
	over = max(over, 0)
	leaving := p.giveAllNotice(over)
	look := time.NewTicker(min(max(over/100, drainLook), time.Second))
	defer look.Stop()
	for {
		p.retireDue(p.now())
		leaving = slices.DeleteFunc(leaving, evictee.gone)
		if len(leaving) == 0 {
			return nil
		}
		select {
		case <-look.C:
		case <-p.done:
			return nil // with all of its connections
		case <-ctx.Done():
			return p.evictError(leaving, ctx.Err())
		}
	}
}

// evictee is a connection that has been given notice, or a dial (then conn is nil) whose connection will not be used.
type evictee struct {
	slot *slot
	conn *backend.Conn
}

// gone tells whether the connection is closed, whatever closed it.
func (e evictee) gone() bool {
	w := e.slot.word.Load()
	if w.state().in([]state{empty, failed, gone}) {
		return true
	}
	if e.conn == nil {
		return !w.has(flagRetire)
	}
	return e.slot.conn.Load() != e.conn
}

// giveAllNotice lets every connection know when it has to leave. A dial under way is marked as a connection to be closed
// when it is there. What is on its way out already need not be told, only waited for.
func (p *Pool) giveAllNotice(over time.Duration) (leaving []evictee) {
	var others []evictee
	for _, s := range p.all() {
		if s.word.flag(flagRetire, dialing) {
			others = append(others, evictee{slot: s})
			continue
		}
		c := s.conn.Load()
		switch st := s.word.Load().state(); {
		case c == nil:
		case st.hasConnection():
			leaving = append(leaving, evictee{slot: s, conn: c})
		case st.in([]state{broken, doomed, closing}):
			others = append(others, evictee{slot: s, conn: c})
		}
	}
	now := p.now()
	for i, e := range leaving {
		e.slot.giveNotice(e.conn, now+int64(over)/int64(len(leaving))*int64(i+1))
	}
	return append(leaving, others...)
}

// evictError names what is left of an eviction.
func (p *Pool) evictError(leaving []evictee, err error) error {
	e := &EvictError{Open: len(leaving), Err: err}
	for _, h := range p.Holders() {
		if slices.ContainsFunc(leaving, func(l evictee) bool { return l.slot.index == h.Slot }) {
			e.Holders = append(e.Holders, h)
		}
	}
	return e
}
