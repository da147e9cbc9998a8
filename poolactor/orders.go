package poolactor

import (
	"context"
	"math"
	"math/rand/v2"
	"time"

	"github.com/seed-4ff2b7b9/supervised/actors/retry"
	"github.com/seed-4ff2b7b9/supervised/internal/backend"
	"github.com/seed-4ff2b7b9/supervised/internal/failpoint"
	"github.com/seed-4ff2b7b9/supervised/messages"
)

// orders is the pool's side of the retry actor (retry.Orders): an order is a slot in state wanted, and taking it is a
// compare-and-swap to dialing.
type orders struct{ p *Pool }

var _ retry.Orders = orders{}

// Reclaim makes orders that an earlier life of the retry actor took, and did not end, wanted again.
func (o orders) Reclaim() {
	for _, s := range o.p.all() {
		s.word.move(wanted, dialing)
	}
}

// Next takes an order. What is opened under it counts as verified in the epoch that is read here, before the dial.
func (o orders) Next() (messages.Order, bool) {
	for _, s := range o.p.all() {
		w := s.word.Load()
		if w.state() != wanted {
			continue
		}
		epoch := uint64(o.p.gate.Load().epoch())
		s.tended.Store(o.p.now())
		if s.word.swap(w, w.to(dialing)) {
			s.ok.Store(epoch)
			if !o.p.gate.Load().open() {
				// Read after the claim: whoever shut the gate either sees the dial or prevents it.
				s.word.move(failed, dialing)
				o.p.tell(hint{slot: s})
				continue
			}
			failpoint.Hit("dialer.taken")
			return messages.Order{Slot: s.index, Scout: w.has(flagScout)}, true
		}
	}
	return messages.Order{}, false
}

// Opened stores the connection in the slot. Nothing comes after the word has changed: from then on the connection is the
// pool's.
func (o orders) Opened(order messages.Order, c *backend.Conn) {
	p, s := o.p, o.p.all()[order.Slot]
	now := p.now()
	s.conn.Store(c)
	s.proved.Store(now)
	s.acquired.Store(now)
	s.created.Store(now)
	s.expires.Store(p.expiry(now))
	s.label.Store(nil)
	s.stack.Store(nil)
	p.traceDial(s, DialEnd{Outcome: DialOpened, PID: c.PID()})
	failpoint.Hit("dialer.stored")
	s.word.move(opened, dialing)
}

// Announce tells about a connection that was stored.
func (o orders) Announce(order messages.Order) {
	p, s := o.p, o.p.all()[order.Slot]
	failpoint.Hit("dialer.opened")
	p.dials.Add(1)
	p.publish(Event{Kind: EventOpened, Slot: s.index, PID: s.pid()})
	p.tell(hint{slot: s})
}

// expiry draws when a connection opened now is to be replaced.
func (p *Pool) expiry(now int64) int64 {
	lifetime, jitter := int64(p.cfg.MaxLifetime), int64(p.cfg.MaxLifetimeJitter)
	if lifetime == 0 {
		return 0
	}
	if jitter > 0 {
		lifetime -= rand.Int64N(min(jitter, lifetime))
	}
	if lifetime > math.MaxInt64-now {
		return 0 // later than can be said
	}
	return now + lifetime
}

// Failed ends an order without a connection; a nil error gives it back undialled.
func (o orders) Failed(order messages.Order, err error) {
	p, s := o.p, o.p.all()[order.Slot]
	if err != nil {
		p.countFailure(s, err)
		p.renewRefusal(err)
	}
	s.word.move(failed, dialing)
	failpoint.Hit("dialer.failed")
	p.tell(hint{slot: s})
}

// countFailure counts an order that ended without a connection, and tells the tracer.
func (p *Pool) countFailure(s *slot, err error) {
	outcome := dialOutcome(err)
	p.dialsFailed.Add(1)
	switch outcome {
	case DialRefused:
		p.dialsRefused.Add(1)
	case DialDeferred:
		p.dialsDeferred.Add(1)
	}
	p.traceDial(s, DialEnd{Outcome: outcome, Err: err})
}

// renewRefusal makes a refusal that was heard again news, for the calls that were let through to hear it.
func (p *Pool) renewRefusal(err error) {
	known := p.outage.Load()
	if known.Refused && retry.Classify(err) == retry.Refused {
		again := *known
		again.Cause = err
		p.outage.CompareAndSwap(known, &again)
	}
}

func (o orders) Outage() messages.Outage { return *o.p.outage.Load() }

// SetOutage publishes what is known about the server and wakes whoever acts on it.
func (o orders) SetOutage(now messages.Outage) {
	p := o.p
	before := p.outage.Swap(&now)
	failpoint.Hit("dialer.published")
	p.wake()
	switch {
	case before.Since.IsZero() && !now.Since.IsZero():
		p.outages.Add(1)
		p.publish(Event{Kind: EventOutage, Err: now.Cause})
		p.tellHealth(messages.OutageBegan{})
	case !before.Since.IsZero() && now.Since.IsZero():
		took := time.Since(before.Since)
		p.outageTime.Add(int64(took))
		p.publish(Event{Kind: EventRecovered, Took: took, Attempts: before.Attempts})
	}
	if now.Refused && !before.Refused {
		p.publish(Event{Kind: EventRefused, Err: now.Cause})
	}
}

// tellRetry hints that orders are waiting. A full mailbox means that it has been told already.
func (p *Pool) tellRetry() { _ = p.retry.Ref().TryTell(messages.DialsWanted{}) }

// wantPlace asks the retry actor to give up a dial that hangs, for the next scout.
func (p *Pool) wantPlace() { _ = p.retry.Ref().TryTell(messages.PlaceWanted{}) }

func (p *Pool) tellHealth(m messages.ToHealth) { _ = p.health.Ref().TryTell(m) }

// noticeOutage lets the health actor know of an outage, if there is one: it began, or somebody begins to wait, so that
// scouts are sent more often.
func (p *Pool) noticeOutage() {
	if !p.outage.Load().Since.IsZero() {
		p.tellHealth(messages.OutageBegan{})
	}
}

// startCloser has a doomed connection closed by a worker. Starting two closers is
// harmless: the second finds nothing to do.
func (p *Pool) startCloser(s *slot) {
	if !p.crew.Go(func() { p.closeSlot(s) }) {
		p.closeSlot(s)
	}
}

// closeTimeout bounds a polite goodbye to the server.
const closeTimeout = time.Second

// beforeClose lets the user's hook see a connection that is about to be closed. In a goroutine of its own: one that ends
// that by runtime.Goexit must not keep the connection from being closed.
func (p *Pool) beforeClose(c *backend.Conn) {
	hook := p.cfg.BeforeClose
	if hook == nil {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.contained("BeforeClose", func() { hook(c.PGX()) })
	}()
	<-done
}

// closeSlot is the closer.
func (p *Pool) closeSlot(s *slot) {
	w, ok := s.word.move(closing, doomed)
	if !ok {
		return
	}
	failpoint.Hit("worker.closing")
	c := s.conn.Load()
	if s.outlived(p.now()) {
		p.expired.Add(1)
	}
	if !w.has(flagRevoked) && !w.has(flagSevere) {
		p.beforeClose(c)
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	switch {
	case w.has(flagRevoked):
		p.reportRevoked(s, w)
		c.Sever()
		_ = c.Cancel(ctx) // nothing is left to do if the server cannot be reached
		c.Abandon()
	case w.has(flagSevere):
		c.Sever()
	default:
		if err := guarded(func() error { return c.Close(ctx) }); err != nil {
			c.Sever()
		}
	}
	p.closed.Add(1)
	p.publish(Event{Kind: EventClosed, Slot: s.index, PID: c.PID()})
	s.word.move(gone, closing)
	failpoint.Hit("worker.gone")
	p.tell(hint{slot: s})
}

// longSilence is how many times the bound of a check a connection must have been silent before it makes room for a dial
// beside one that is under way already: the server may only be slow.
const longSilence = 3

// cutSuspect closes the connection that was used longest ago among those that are silent under a check, to make room
// for a dial: its check fails at once, and it leaves as any broken connection does.
func (p *Pool) cutSuspect(dialling bool) {
	now, bound := p.now(), int64(p.checkBound())
	if dialling {
		bound *= longSilence
	}
	var coldest *slot
	for _, s := range p.all() {
		if w := s.word.Load(); w.state() == checking && w.has(flagRetire) {
			return // one is leaving already
		}
		if s.suspect(now, bound) && (coldest == nil || s.acquired.Load() < coldest.acquired.Load()) {
			coldest = s
		}
	}
	if coldest != nil && coldest.word.flag(flagRetire, checking) {
		coldest.conn.Load().Sever()
	}
}
