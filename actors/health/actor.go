package health

import (
	"context"
	"math"
	"time"

	"github.com/seed-4ff2b7b9/supervised/actors"
	"github.com/seed-4ff2b7b9/supervised/messages"
)

// New makes the health actor of this pool. It lives while its Serve runs.
//
// Handlers never wait: checks run in goroutines of their own, which are cancelled and joined at the end of each life.
// A new life trusts nothing: it looks at every socket and verifies all that rest, since the hint that the last one had
// in hand is lost. A panic in a Check ends the life like one in a handler.
func New(config Config, pool Pool) *actors.Actor[messages.ToHealth] {
	config = config.withDefaults()
	// Without a logger: who restarts an actor tells of its crashes.
	return actors.New(actors.Options{Name: "health"}, func() actors.Behavior[messages.ToHealth] {
		return newLife(config, pool)
	})
}

// wake is what a life tells itself when something is due. It may be lost like every hint: TryTell fails only for a full
// mailbox, and whatever message is handled next does what is due. The embedded hint makes it one of the sealed set.
type wake struct{ messages.OutageBegan }

// life is one life of the actor. Its own goroutine owns all fields.
type life struct {
	config Config
	pool   Pool
	checks *checks

	lastRound time.Time
	lastScout time.Time
	alarm     *time.Timer // rings when the next round or scout is due
}

func newLife(config Config, pool Pool) *life {
	return &life{config: config, pool: pool, checks: newChecks(config, pool)}
}

// Start begins a life.
func (l *life) Start(ctx context.Context, self actors.Ref[messages.ToHealth]) error {
	ring := func() { _ = self.TryTell(wake{}) }
	l.checks.onCrash = ring
	l.alarm = time.AfterFunc(math.MaxInt64, ring)
	l.lastRound = time.Now()
	l.pool.Look()
	l.checks.begin(ctx, l.pool.Unproved(time.Time{}))
	return l.settle(ctx)
}

// Handle does what a hint asks, and then what is due.
func (l *life) Handle(ctx context.Context, m messages.ToHealth) error {
	switch m.(type) {
	case messages.LookNow:
		l.pool.Look()
	case messages.VerifyNow:
		l.checks.begin(ctx, l.pool.Unproved(time.Time{}))
	}
	return l.settle(ctx)
}

// Stop joins what the life began. The life's context has ended by then. An alarm that rings at this moment reaches the
// next life, and there it is a hint like any other.
func (l *life) Stop(context.Context) error {
	l.alarm.Stop()
	l.checks.running.Wait()
	return nil
}

// settle does what is due, and sets the alarm for what comes next. It ends every message, so that no wake-up depends on
// one certain message.
func (l *life) settle(ctx context.Context) error {
	if err := l.checks.crashed(); err != nil {
		return err
	}
	now := time.Now()
	next := earlier(l.round(ctx, now), l.scout(now))
	if next.IsZero() {
		l.alarm.Stop()
		return nil
	}
	l.alarm.Reset(next.Sub(now))
	return nil
}

// round checks the resting connections if that is due, and returns when it is due again. The look comes first: it finds
// what is closed without waiting, also among those that were proved a moment ago.
func (l *life) round(ctx context.Context, now time.Time) time.Time {
	next := l.config.nextRound(l.lastRound)
	if next.IsZero() || next.After(now) {
		return next
	}
	l.lastRound = now
	l.pool.Look()
	l.checks.begin(ctx, l.pool.Unproved(l.config.unprovedSince(now)))
	return l.config.nextRound(now)
}

// scout asks for a scout if one is due, and returns when the next one is.
func (l *life) scout(now time.Time) time.Time {
	outage := l.pool.Outage()
	if outage.Since.IsZero() {
		return time.Time{}
	}
	waiting := l.pool.Waiting() > 0
	next := l.config.nextScout(now, l.lastScout, outage, waiting)
	if next.IsZero() || next.After(now) {
		return next
	}
	l.lastScout = now
	l.pool.Scout()
	return l.config.nextScout(now, now, outage, waiting)
}
