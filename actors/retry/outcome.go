package retry

import (
	"time"

	"github.com/rs/zerolog"

	"github.com/seed-4ff2b7b9/supervised/messages"
)

// conclude tells the outcome of a flight that has landed. What a waiter needs comes first: a connection is handed over
// before the end of the outage is told, and a failure is known before its order ends, so that nothing is ordered anew
// in between. A crash anywhere in here is made good by Stop and the next life.
func (l *life) conclude(f *flight) {
	if f.conn != nil {
		l.orders.Opened(f.order, f.conn)
		f.conn = nil
		l.orders.Announce(f.order)
		f.settled = true
		l.loggedIn()
		return
	}
	l.fail(f, time.Now())
	l.orders.Failed(f.order, f.err)
	f.settled = true
}

// loggedIn ends the outage, if there is one: somebody has logged in. Flights that began before tell nothing new.
func (l *life) loggedIn() {
	l.newsFrom = l.lastSeq
	if !l.down() {
		return
	}
	l.publish(over(l.outage))
}

// fail takes a failure into account.
func (l *life) fail(f *flight, now time.Time) {
	before := l.outage
	next, counted := l.schedule.after(before, ending{
		err: f.err, scout: f.order.Scout, news: f.seq > l.newsFrom,
	}, now)
	if counted {
		l.newsFrom = l.lastSeq
	}
	if next != before {
		next.NotBefore = later(next.NotBefore, l.dialer.budget.allowedAt(now, scoutBudget))
		l.publish(next)
	}
	l.logFailure(f, before, next, counted, now)
}

// noticeSilence opens an outage when a scheduled dial is silent for longer than a good one takes, so that scouts are
// sent: the time-out of that dial may be far away, and what swallowed it may have been a proxy whose server is back.
func (l *life) noticeSilence(now time.Time) {
	if l.down() {
		return
	}
	patience := l.dialer.book.patience()
	for _, f := range l.flights {
		if !f.order.Scout && f.seq > l.newsFrom && f.hanging(now, patience) {
			l.publish(l.schedule.overdue(l.outage, patience, now))
			l.dialer.line(zerolog.WarnLevel, "dial_silent").Dur("took", patience).
				Msg("a log-in to PostgreSQL takes too long: looking whether others do better")
			return
		}
	}
}

func (l *life) publish(o messages.Outage) {
	l.orders.SetOutage(o)
	l.outage = o
}

// logFailure writes one line for each scheduled attempt and for each turn of events; the rest is for DEBUG.
func (l *life) logFailure(f *flight, before, after messages.Outage, counted bool, now time.Time) {
	turn := after.Refused != before.Refused || before.Since.IsZero() && !after.Since.IsZero()
	level := zerolog.DebugLevel
	if counted || turn {
		level = zerolog.WarnLevel
	}
	line := l.dialer.line(level, "dial_failed").Str("class", f.err.class.String()).Str("cause", f.err.text).Bool("scout", f.order.Scout)
	if !after.Since.IsZero() {
		line = line.Int("attempt", after.Attempts).Int("callers_give_up_after", 1+l.dialer.cfg.MaxRetries).
			Dur("wait", max(after.NotBefore.Sub(now), 0))
	}
	line.Msg(headline(f.err.class))
}

func headline(class Class) string {
	switch class {
	case Refused:
		return "PostgreSQL refuses to let us log in"
	case Wait:
		return "PostgreSQL asks for patience"
	default:
		return "cannot log in to PostgreSQL"
	}
}
