package supervisor

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/thejerf/suture/v4"
)

// group runs the children at a group's place, for one life: a suture.Service whose loop owns the start order, the
// strategy and the escalation. Everything here belongs to that loop; the children's domains send it reports.
type group struct {
	place   *place
	members []*member
	// services is the suture supervisor in which the members' domains are served, for as long as Serve runs.
	services *suture.Supervisor
	reports  chan report
	requests []request // waiting until what they asked for is up again
	// ready is closed when the group was whole for the first time.
	ready chan struct{}
	// whole says that every member is up.
	whole bool
	// escalated says that the group was restarted because a member used up its intensity; returned is when it was whole
	// after that, zero until then.
	escalated bool
	returned  time.Time
}

// member is a child as its group sees it.
type member struct {
	place *place
	// course outlives the domain: a strategy's restarts go on with the same delays. It belongs to the domain while
	// there is one.
	course course
	domain *domain // nil while the member is down
	// gone says that the domain has ended by itself: a failure that the group has to act on.
	gone bool
	// up says that it was ready once since it was started.
	up bool
	// notBefore is when it may be started; zero is at once.
	notBefore time.Time
}

// report is what a domain tells its group: a sealed set. A domain waits until its report is taken or it is closed, so a
// report is never about a domain that is no more.
type report interface{ isReport() }

type (
	// nowReady: the member is ready, or has finished.
	nowReady struct{ member *member }
	// fails: the member failed, and the strategy restarts others, too.
	fails struct {
		member   *member
		nextLife time.Time
	}
	// escalates: the member failed after all restarts that its intensity allows, the first of them at began.
	escalates struct {
		member *member
		began  time.Time
		cause  error
	}
	// givesUp: the member cannot be kept running.
	givesUp struct {
		member *member
		err    *GaveUpError
	}
)

func (nowReady) isReport()  {}
func (fails) isReport()     {}
func (escalates) isReport() {}
func (givesUp) isReport()   {}

// request asks a group to restart one member, with those that its strategy adds, or all of them.
type request struct {
	member int        // -1: all
	done   chan error // buffered; nil when they are up again
}

func newGroup(p *place) *group {
	g := &group{place: p, reports: make(chan report), ready: make(chan struct{})}
	for _, b := range p.below {
		g.members = append(g.members, &member{place: b})
	}
	return g
}

// awaitReady returns when the group was whole for the first time.
func (g *group) awaitReady(ctx context.Context) error {
	select {
	case <-g.ready:
		if own := g.place.child.Ready; own != nil {
			return own(ctx)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Serve starts the members in order, keeps them as the strategy says, and stops them in reverse order, whatever it ends
// for: the end of ctx, or a member that cannot be kept running.
func (g *group) Serve(ctx context.Context) error {
	endServices := g.beginServices()
	defer endServices()
	defer g.leave(ctx)
	for ctx.Err() == nil {
		if err := g.catchUp(); err != nil {
			return err
		}
		wake := g.advance(ctx)
		var err error
		select {
		case <-ctx.Done():
		case <-wake:
		case r := <-g.reports:
			err = g.take(r)
		case q := <-g.place.requests:
			err = g.restart(q)
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// beginServices starts the suture supervisor. Its own answer to failures never comes into play: a pause of all services
// after some failures of one of them.
func (g *group) beginServices() (end func()) {
	g.services = suture.New(g.place.path, suture.Spec{
		EventHook:        func(suture.Event) {}, // the domains tell what happens
		FailureThreshold: math.Inf(1),
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := g.services.ServeBackground(ctx)
	return func() {
		cancel()
		if len(g.place.stuck()) == 0 { // else suture would wait for what the group has waited for already
			<-ended
		}
	}
}

// catchUp takes the reports that came while the group was busy stopping members, so that none is started on the strength
// of another that has failed since.
func (g *group) catchUp() error {
	for {
		select {
		case r := <-g.reports:
			if err := g.take(r); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// leave stops what still runs, takes leave of what failed and might believe that it runs again, and answers whoever
// waits.
func (g *group) leave(ctx context.Context) {
	for i, m := range slices.Backward(g.members) {
		if stuck := g.halt(i, i+1); stuck == nil && m.place.board.read().failed {
			g.dismiss(ctx, m)
		}
	}
	for _, q := range g.requests {
		q.done <- ErrStopped
	}
}

// dismiss opens a domain that has to wait longer than anybody lives, and closes it: so the member's service is told that
// its time is over, with the containment and within the time-out of any other stop.
func (g *group) dismiss(ctx context.Context, m *member) {
	m.domain = &domain{place: m.place, member: m, nextLife: time.Now().Add(math.MaxInt64)}
	m.domain.open(ctx, g.services)
	state := m.place.board.read().state
	m.gone = state == StateGaveUp || state == StateStopped // that was told, and stays on show
	m.halt()
	m.domain = nil
}

// advance starts the first member that is down, if those before it are up and its time has come; the channel yields when
// that will be the case.
func (g *group) advance(ctx context.Context) <-chan time.Time {
	defer g.answer()
	for _, m := range g.members {
		if m.up {
			continue
		}
		if m.domain != nil {
			return nil // on its way; it will report
		}
		if wait := time.Until(m.notBefore); wait > 0 {
			return time.After(wait)
		}
		g.start(ctx, m)
		return nil
	}
	if !g.whole {
		g.complete()
	}
	return nil
}

func (g *group) start(ctx context.Context, m *member) {
	m.domain = &domain{place: m.place, member: m, reports: g.reports, alone: g.strategy() == OneForOne}
	m.domain.open(ctx, g.services)
}

func (g *group) strategy() Strategy { return g.place.child.group.Strategy }

// complete notes that every member is up.
func (g *group) complete() {
	g.whole = true
	if g.escalated && g.returned.IsZero() {
		g.returned = time.Now()
	}
	g.place.running()
	select {
	case <-g.ready:
	default:
		close(g.ready)
	}
}

// answer tells those whose request is fulfilled.
func (g *group) answer() {
	g.requests = slices.DeleteFunc(g.requests, func(q request) bool {
		first, last := g.affected(q)
		if slices.ContainsFunc(g.members[first:last], func(m *member) bool { return !m.up }) {
			return false
		}
		q.done <- nil
		return true
	})
}

// affected tells which members a request restarts: those in [first, last).
func (g *group) affected(q request) (first, last int) {
	if q.member < 0 {
		return 0, len(g.members)
	}
	return g.strategy().members(q.member, len(g.members))
}

// take acts on a report. An error ends the group.
func (g *group) take(r report) error {
	switch r := r.(type) {
	case nowReady:
		r.member.up = true
	case fails:
		r.member.gone = true
		return g.follow(r.member.place.index, r.nextLife)
	case escalates:
		r.member.gone = true
		return g.escalate(r)
	case givesUp:
		r.member.gone = true
		return r.err
	}
	return nil
}

// follow restarts, by the strategy, the member at index and those that go with it, not before nextLife.
func (g *group) follow(index int, nextLife time.Time) error {
	first, last := g.strategy().members(index, len(g.members))
	if err := g.down(first, last, StateStarting); err != nil {
		return err
	}
	g.members[first].notBefore = nextLife
	return nil
}

// escalate restarts the whole group, once: a member that uses up its intensity again, by restarts of which the first
// came before the group had done without for as long as the window, is beyond what a restart can mend.
func (g *group) escalate(r escalates) error {
	p := r.member.place
	policy := p.child.Restart
	if g.escalated && (g.returned.IsZero() || r.began.Sub(g.returned) < policy.Within) {
		p.board.enter(StateGaveUp)
		return p.gaveUp(r.cause)
	}
	p.tell(EventEscalated, r.cause, 0)
	g.escalated, g.returned = true, time.Time{}
	return g.renew(0, len(g.members), StateEscalating)
}

// restart does what somebody asked for: as if the member had failed, but at once and with fresh counts.
func (g *group) restart(q request) error {
	first, last := g.affected(q)
	g.requests = append(g.requests, q)
	return g.renew(first, last, StateStarting)
}

// renew is down with the members' past forgotten.
func (g *group) renew(first, last int, meanwhile State) error {
	if err := g.down(first, last, meanwhile); err != nil {
		return err
	}
	for _, m := range g.members[first:last] {
		m.course, m.notBefore = course{}, time.Time{}
	}
	return nil
}

// down stops the members in [first, last) for advance to start them again. One that does not stop cannot be started
// again: the group gives up.
func (g *group) down(first, last int, meanwhile State) error {
	g.whole = false
	g.place.board.update(func(f *facts) {
		if f.state != StateEscalating { // that lasts until the group is whole
			f.enter(meanwhile)
		}
	})
	stuck := g.halt(first, last)
	if stuck == nil {
		return nil
	}
	return stuck.gaveUp(stuckError(stuck.child.StopTimeout, nil))
}

// halt stops the members in [first, last), last first, and joins them. It returns the last one that did not stop.
func (g *group) halt(first, last int) (stuck *place) {
	for _, m := range slices.Backward(g.members[first:last]) {
		if m.domain != nil && !m.halt() {
			stuck = m.place
		}
		m.domain, m.gone, m.up = nil, false, false
	}
	return stuck
}

// halt stops the member; false: it still runs after its time-out.
func (m *member) halt() bool {
	p := m.place
	if !m.gone {
		p.board.enter(StateStopping)
	}
	if !m.domain.close() {
		p.board.enter(StateStuck)
		p.tell(EventStopTimedOut, nil, 0)
		return false
	}
	p.leaveBehind(m.domain.parting)
	if !m.gone { // else what became of it is known already
		p.board.enter(StateStopped)
	}
	if !m.gone || m.domain.parting != nil {
		p.tell(EventStopped, m.domain.parting, 0)
	}
	return true
}
