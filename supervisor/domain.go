package supervisor

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/thejerf/suture/v4"
)

// errAgain is what suture is told of a life that failed and is to be followed by another one. It does not carry the
// cause: that could match one of suture's own sentinels.
var errAgain = errors.New("failed, to be restarted")

// domain is the failure domain of one child: a service in its group's suture supervisor, which calls Serve, and again at
// once when that has failed. What suture's services share, the threshold and the pause of all, is set out of play there;
// the delay is the first thing that a new life does, so it is this child's alone.
//
// A domain is opened once, from the child's start until it is stopped or its group has to act. Its fields belong to the
// goroutine of the life, except where another owner is named; one life ends before the next begins.
type domain struct {
	place   *place
	member  *member       // whose course this domain's lives go on with
	reports chan<- report // to the group
	// alone says that a failed child restarts here without its group. Otherwise a failure ends the domain.
	alone bool
	// nextLife is when the next life may begin; zero is at once.
	nextLife time.Time
	// over says that no life follows. Suture may call once more all the same, since a runtime.Goexit takes the return
	// value with it and suture sees nil.
	over bool
	// parting is how the life ended that was told to stop, if it did not end well, and remains says that its Ready still
	// runs; the group may look at them when ended is closed.
	parting error
	remains bool

	// ctx ends when the group stops the child. It keeps the values of the group's and not its end: a group stops its
	// children one by one.
	ctx    context.Context
	cancel context.CancelFunc
	// ended is closed when the last life has ended.
	ended chan struct{}
}

// open starts the domain among the services of its group.
func (d *domain) open(ctx context.Context, services *suture.Supervisor) {
	d.ctx, d.cancel = context.WithCancel(context.WithoutCancel(ctx))
	d.ended = make(chan struct{})
	services.Add(d)
}

// patience is how long the child may take to stop. A group ends by itself, within the sum of its children's time-outs;
// the second more only keeps the two clocks from racing.
func (d *domain) patience() time.Duration {
	if d.place.isGroup() {
		return d.place.child.StopTimeout + time.Second
	}
	return d.place.child.StopTimeout
}

// close ends the domain, whatever it does, and joins it. It returns false if the child still runs after its time-out.
func (d *domain) close() bool {
	d.cancel()
	timer := time.NewTimer(d.patience())
	defer timer.Stop()
	select {
	case <-d.ended:
		return !d.remains
	case <-timer.C:
		return false
	}
}

// String keeps suture from printing the domain, and with it the service's fields.
func (d *domain) String() string { return d.place.path }

// Serve is one life of the child, preceded by the delay that its last failure has cost. Suture calls it again as long as
// it returns errAgain. It heeds the domain's own context: suture's ends when the group has no use for any member.
func (d *domain) Serve(context.Context) (err error) {
	if d.over {
		return suture.ErrDoNotRestart
	}
	if !sleep(d.ctx, time.Until(d.nextLife)) {
		d.dismiss()
		return d.end()
	}
	l := newLife(d.ctx, d)
	returned := false
	defer func() { err = d.settle(l, outcome(returned, recover(), err)) }()
	l.serve(&err)
	returned = true
	return err
}

// end is the final word to suture, and to the group.
func (d *domain) end() error {
	d.over = true
	close(d.ended)
	return suture.ErrDoNotRestart
}

// dismiss tells a service whose last life failed that there will not be another one. An actor keeps its mailbox open
// between its lives, with those who wait for answers; being served with a context that has ended, it begins no life and
// lets them go. What is no actor has nothing to tell and is left alone.
func (d *domain) dismiss() {
	f := d.place.board.read()
	if !f.failed {
		return
	}
	d.place.board.update(func(f *facts) { f.failed = false })
	if _, isActor := f.service.(inspector); !isActor {
		return
	}
	if err := contained(func() error { return f.service.Serve(d.ctx) }); !endedWell(err) {
		d.parting = err
	}
}

// settle draws the consequences of a life's end, and tells suture what to do.
func (d *domain) settle(l *life, err error) error {
	cause := l.end(err)
	switch {
	case d.ctx.Err() != nil:
		d.over = true
		if !endedWell(err) {
			d.parting = err
		}
	case l.abandoned:
		d.over = true // the group knows
	case l.refusal == nil && finished(cause):
		d.over = true
		d.place.board.enter(StateFinished)
		d.place.tell(EventFinished, nil, 0)
		d.report(d.ctx, nowReady{d.member})
	case l.hung:
		d.remains = true
		d.giveUp(cause)
	case d.place.child.Restart.Never || endsTree(cause):
		d.giveUp(cause)
	default:
		d.restart(cause)
	}
	if !d.over {
		return errAgain
	}
	return d.end()
}

// restart schedules the next life, here or by the group.
func (d *domain) restart(cause error) {
	d.place.failed(cause)
	d.place.tell(EventCrashed, cause, 0)
	policy := d.place.child.Restart
	delay, escalate := d.member.course.failed(policy, time.Now(), rand.Float64())
	if escalate {
		d.over = true
		d.report(d.ctx, escalates{member: d.member, began: d.member.course.began(), cause: cause})
		return
	}
	d.nextLife = time.Now().Add(delay)
	d.place.backoff(delay, d.nextLife)
	if !d.alone {
		d.over = true
		d.report(d.ctx, fails{member: d.member, nextLife: d.nextLife})
	}
}

// giveUp ends the group, and with it, as a rule, the tree.
func (d *domain) giveUp(cause error) {
	d.over = true
	d.report(d.ctx, d.beyondRepair(cause))
}

// beyondRepair notes the failure after which the child cannot be kept running, and makes the report of it.
func (d *domain) beyondRepair(cause error) givesUp {
	d.place.failed(cause)
	if !d.place.isGroup() { // of a group it is a member that crashed, and that was told
		d.place.tell(EventCrashed, cause, 0)
	}
	d.place.board.enter(StateGaveUp)
	return givesUp{member: d.member, err: d.place.gaveUp(cause)}
}

// ready notes that the life, which ctx belongs to, is ready and lets the group go on.
func (d *domain) ready(ctx context.Context) {
	if !d.place.isGroup() { // a group says so itself, each time it is whole
		d.place.running()
	}
	d.report(ctx, nowReady{d.member})
}

// healthy notes that the life has lasted long enough.
func (d *domain) healthy() {
	if d.member.course.healthy() {
		d.place.tell(EventHealthy, nil, 0)
	}
}

// report tells the group, unless ctx ends first: then the life has ended, or the group is stopping this domain, and knows.
func (d *domain) report(ctx context.Context, r report) {
	select {
	case d.reports <- r:
	case <-ctx.Done():
	}
}

// endedWell tells whether a service that was told to stop returned as it should.
func endedWell(err error) bool {
	return err == nil || errors.Is(err, context.Canceled) || errors.Is(err, suture.ErrDoNotRestart)
}

// finished tells whether a service says that it is done for good. An error of a mounted tree is never that.
func finished(cause error) bool {
	return errors.Is(cause, suture.ErrDoNotRestart) && !isGaveUp(cause)
}

// endsTree tells whether a service asks for the end of the tree. A mounted tree that gave up matches suture's sentinel
// for the sake of suture; here the child's policy decides.
func endsTree(cause error) bool {
	return errors.Is(cause, suture.ErrTerminateSupervisorTree) && !isGaveUp(cause)
}

func isGaveUp(err error) bool {
	var gaveUp *GaveUpError
	return errors.As(err, &gaveUp)
}

// sleep waits for d; false: ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
