package retry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/seed-4ff2b7b9/supervised/actors"
	"github.com/seed-4ff2b7b9/supervised/messages"
)

// life is one life of the actor. All but the landing of flights happens in its one goroutine; what a crash must not
// lose is in the Orders and in the dialer.
type life struct {
	dialer   *dialer
	orders   Orders
	schedule schedule

	self   actors.Ref[messages.ToRetry]
	ctx    context.Context // of every dial
	cancel context.CancelFunc

	outage   messages.Outage
	flights  []*flight       // oldest first
	waiting  *messages.Order // taken, and not yet dialled
	lastSeq  uint64
	newsFrom uint64 // flights up to this number began before the last counted failure or log-in

	mu     sync.Mutex
	landed []*flight // guarded by mu: ended, their outcome not yet told
}

// Start takes up what an earlier life left.
func (l *life) Start(ctx context.Context, self actors.Ref[messages.ToRetry]) error {
	if l.dialer == nil {
		return errors.New("retry: Config.ConnConfig is missing")
	}
	l.self = self
	l.ctx, l.cancel = context.WithCancel(ctx)
	l.orders.Reclaim()
	l.outage = l.orders.Outage()
	l.settle()
	return nil
}

// Handle looks at everything: what a message says is only that there may be something to do.
func (l *life) Handle(_ context.Context, m messages.ToRetry) error {
	l.settle()
	if _, ok := m.(messages.PlaceWanted); ok && l.down() && l.situation(time.Now()).spare {
		l.yield()
	}
	return nil
}

// yield cancels the oldest flight but one, which hangs, to make room for a scout.
func (l *life) yield() {
	victim := l.flights[1]
	victim.yielding = true
	victim.cancel(errYielded)
}

// Stop ends every dial, joins them, and ends the orders that this life took. It may find any state that a crash left.
func (l *life) Stop(context.Context) error {
	if l.cancel == nil {
		return nil // it never began
	}
	l.cancel()
	for _, f := range l.flights {
		<-f.done
	}
	for f := l.nextLanded(); f != nil; f = l.nextLanded() {
		l.abandon(f)
		l.remove(f)
	}
	if l.waiting != nil {
		l.returnOrder(*l.waiting)
	}
	return nil
}

// settle ends what has landed, notices what hangs, and takes new orders.
func (l *life) settle() {
	for f := l.nextLanded(); f != nil; f = l.nextLanded() {
		l.conclude(f)
		l.remove(f)
	}
	l.noticeSilence(time.Now())
	if l.waiting != nil && !l.making() {
		l.place(*l.waiting, time.Now())
	}
	for l.waiting == nil && (len(l.flights) < l.dialer.cfg.MaxDials || l.down()) {
		order, ok := l.orders.Next()
		if !ok {
			return
		}
		l.waiting = &order
		l.place(order, time.Now())
	}
}

func (l *life) down() bool { return !l.outage.Since.IsZero() }

// making tells whether a flight that is to make room has not ended yet.
func (l *life) making() bool {
	return slices.ContainsFunc(l.flights, func(f *flight) bool { return f.yielding })
}

// place finds out what becomes of the order that waits.
func (l *life) place(order messages.Order, now time.Time) {
	switch l.situation(now).admit(order.Scout) {
	case giveBack:
		l.orders.Failed(order, nil)
		l.waiting = nil
	case begin:
		l.launch(order, now)
	case replace:
		l.yield()
	case hold:
	}
}

func (l *life) situation(now time.Time) situation {
	patience := l.dialer.book.patience()
	return situation{
		now: now, outage: l.outage, maxDials: l.dialer.cfg.MaxDials, dials: len(l.flights),
		fresh: slices.ContainsFunc(l.flights, func(f *flight) bool { return f.fresh(now, patience) }),
		spare: len(l.flights) > 1 && l.flights[1].hanging(now, patience),
		muted: l.dialer.hookRests(now),
		spent: l.dialer.budget.most(now),
	}
}

// launch dials an order.
func (l *life) launch(order messages.Order, now time.Time) {
	patience := l.dialer.book.patience()
	given := circumstances{
		outage:  l.down(),
		hanging: slices.ContainsFunc(l.flights, func(f *flight) bool { return f.leg.Load().preferred && f.hanging(now, patience) }),
	}
	l.lastSeq++
	ctx, cancel := context.WithCancelCause(l.ctx)
	f := &flight{order: order, seq: l.lastSeq, given: given, cancel: cancel, done: make(chan struct{})}
	f.leg.Store(&leg{began: now, preferred: true, preparing: l.dialer.cfg.BeforeConnect != nil})
	l.flights = append(l.flights, f)
	l.waiting = nil
	go f.fly(ctx, l.dialer, l.wake, l.land)
}

// wake makes the actor look at everything once more. A full mailbox means that it is going to; a stopped actor means
// that Stop looks.
func (l *life) wake() { _ = l.self.TryTell(messages.DialsWanted{}) }

// land takes a flight that has ended, in its own goroutine.
func (l *life) land(f *flight) {
	l.mu.Lock()
	l.landed = append(l.landed, f)
	l.mu.Unlock()
	l.wake()
}

func (l *life) nextLanded() *flight {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.landed) == 0 {
		return nil
	}
	return l.landed[0]
}

// remove forgets a flight whose outcome was told.
func (l *life) remove(f *flight) {
	f.cancel(nil)
	is := func(other *flight) bool { return other == f }
	l.flights = slices.DeleteFunc(l.flights, is)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.landed = slices.DeleteFunc(l.landed, is)
}

// goodbye bounds the end of a connection that came too late.
const goodbye = time.Second

// abandon ends a flight whose life is over: a connection that was not handed over is closed, the order given back.
func (l *life) abandon(f *flight) {
	if f.conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), goodbye)
		defer cancel()
		_ = f.conn.Close(ctx) // there is nobody to tell
	}
	if !f.settled {
		l.returnOrder(f.order)
	}
}

// returnOrder gives an order back at the end of a life. The pool may be what crashed; then the next life reclaims it.
func (l *life) returnOrder(order messages.Order) {
	defer func() {
		if v := recover(); v != nil {
			l.dialer.line(zerolog.ErrorLevel, "order_lost").
				Str("cause", l.dialer.usual.redact.clean(fmt.Sprintf("panic: %v", v))).
				Msg("an order could not be given back: the next life takes it up")
		}
	}()
	l.orders.Failed(order, nil)
}
