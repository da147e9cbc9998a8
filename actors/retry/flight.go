package retry

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/seed-4ff2b7b9/supervised/internal/backend"
	"github.com/seed-4ff2b7b9/supervised/messages"
)

// flight is one order being dialled in a goroutine of its own.
type flight struct {
	order messages.Order
	seq   uint64 // orders are numbered as their dials begin
	given circumstances

	cancel   context.CancelCauseFunc
	yielding bool                // cancelled to make room; written by the actor
	leg      atomic.Pointer[leg] // the attempt under way
	done     chan struct{}       // closed when the goroutine has ended

	// How it ended. Written by its goroutine before it lands, then the actor's.
	conn    *backend.Conn // nil once it was handed over
	err     *failure
	settled bool // the order's outcome was told
}

// leg is one attempt of a flight.
type leg struct {
	began     time.Time
	preferred bool
	preparing bool // BeforeConnect is at work: the server has not been asked anything yet
}

// fresh tells whether the flight may log in any moment by the way that worked last.
func (f *flight) fresh(now time.Time, patience time.Duration) bool {
	l := f.leg.Load()
	return l.preferred && now.Sub(l.began) < patience
}

// hanging tells whether the flight's attempt takes longer than it should.
func (f *flight) hanging(now time.Time, patience time.Duration) bool {
	l := f.leg.Load()
	return !l.preparing && now.Sub(l.began) >= patience
}

var errGoexit = errors.New("the dialling goroutine was ended by runtime.Goexit")

// fly dials and lands, also if foreign code panics where nobody expects it or ends the goroutine. alarm is called when an attempt of a scheduled order has
// been silent for its patience.
func (f *flight) fly(ctx context.Context, d *dialer, alarm func(), land func(*flight)) {
	defer close(f.done)
	defer land(f)
	f.err = d.usual.redact.failure(errGoexit)
	defer func() {
		if v := recover(); v != nil {
			f.err = d.usual.redact.failure(fmt.Errorf("panic while connecting: %v", v))
		}
	}()
	quiet := func() {}
	defer func() { quiet() }()
	f.conn, f.err = d.dial(ctx, f.given, func(preferred bool) {
		quiet()
		f.leg.Store(&leg{began: time.Now(), preferred: preferred})
		if !f.order.Scout {
			quiet = after(d.book.patience(), alarm)
		}
	})
}

// after calls f once, later, unless stop is called before. stop returns when f is not running and never will.
func after(d time.Duration, f func()) (stop func()) {
	done := make(chan struct{})
	timer := time.AfterFunc(d, func() {
		defer close(done)
		f()
	})
	return func() {
		if !timer.Stop() {
			<-done
		}
	}
}
