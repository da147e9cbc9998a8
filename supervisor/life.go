package supervisor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-4ff2b7b9/supervised/actors"
)

// life is one run of a child's service, from New to the return of Serve, with the goroutine that attends it: asks
// whether it is ready, and sees it become healthy.
type life struct {
	domain *domain
	outer  context.Context // the domain's: its end is an ordered stop
	ctx    context.Context // the service's: ends with outer, and with the life
	cancel context.CancelFunc
	// returned is closed when Serve has returned, attended when the attendant has; attended is nil before it began.
	returned chan struct{}
	attended chan struct{}
	// refusal is why Ready ended this life, nil if it did not, and abandoned says that the group was told that Serve did
	// not heed that. The attendant's, until attended is closed.
	refusal   error
	abandoned bool
	// hung says that Ready did not return; set by end.
	hung bool
}

func newLife(outer context.Context, d *domain) *life {
	l := &life{domain: d, outer: outer, returned: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancel(outer)
	return l
}

// serve runs the service on the goroutine that suture gave it. How it ended is written to failure, since a
// runtime.Goexit takes a return value with it: an actor's life has more to tell then.
func (l *life) serve(failure *error) {
	p := l.domain.place
	p.started()
	service, ready, err := p.spawn()
	if err != nil {
		*failure = err
		return
	}
	p.board.update(func(f *facts) { f.service = service })
	l.attended = make(chan struct{})
	go l.attend(ready)
	if actor, ok := service.(hosted); ok {
		actor.ServeHere(l.ctx, failure)
		return
	}
	*failure = service.Serve(l.ctx)
}

// hosted is an actor, which takes a goroutine less here than with Serve.
type hosted interface {
	ServeHere(ctx context.Context, err *error)
}

// attend waits until the service is ready, and after a failure also until it is healthy.
func (l *life) attend(ready func(context.Context) error) {
	defer close(l.attended)
	if ready != nil {
		if err := contained(func() error { return ready(l.ctx) }); err != nil {
			l.refuse(err)
			return
		}
	}
	if l.ctx.Err() != nil {
		return
	}
	l.domain.ready(l.ctx)
	if l.domain.member.course.failures == 0 {
		return // nothing to recover from, so nobody has to wait for that
	}
	if sleep(l.ctx, l.domain.place.child.Restart.HealthyAfter) {
		l.domain.healthy()
	}
}

// How often an actor is asked whether it has started: most have within the first of these.
const (
	firstLook = 20 * time.Microsecond
	lastLook  = 10 * time.Millisecond
)

// awaitStart returns when an actor takes messages. Nobody is told when that is, so it is asked.
func awaitStart(ctx context.Context, actor inspector) error {
	for wait := firstLook; ; wait = min(2*wait, lastLook) {
		switch actor.Inspect().State {
		case actors.Waiting, actors.Handling:
			return nil
		default:
			if !sleep(ctx, wait) {
				return ctx.Err()
			}
		}
	}
}

// refuse ends a life that does not become ready. A service that does not heed that cannot be restarted.
func (l *life) refuse(err error) {
	if l.ctx.Err() != nil {
		return // it is ending anyway, and this is what Ready makes of it
	}
	l.refusal = fmt.Errorf("not ready: %w", err)
	l.cancel()
	d := l.domain
	if !hangs(l.outer, l.returned, d.patience()) {
		return
	}
	select {
	case d.reports <- d.beyondRepair(stuckError(d.patience(), l.refusal)):
		l.abandoned = true
	case <-l.returned: // after all, before the group could take that
	}
}

// end joins the attendant of a service that has returned, and tells why the life ended.
func (l *life) end(err error) error {
	close(l.returned)
	l.cancel()
	if l.attended != nil && hangs(l.outer, l.attended, l.domain.patience()) {
		l.hung = true
		return stuckError(l.domain.patience(), err)
	}
	switch {
	case l.refusal != nil && endedWell(err):
		return l.refusal
	case l.refusal != nil:
		return errors.Join(l.refusal, err)
	case err == nil:
		return ErrReturned
	default:
		return err
	}
}

// hangs waits for done and tells whether that took longer than patience. If outer ends, the time-out of the ordered stop
// is the one that counts, and all that is left to do here is to join.
func hangs(outer context.Context, done <-chan struct{}, patience time.Duration) bool {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-done:
		return false
	case <-timer.C:
		return true
	case <-outer.Done():
		<-done
		return false
	}
}
