package poolactor

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

// EventKind says what happened.
type EventKind string

// The kinds of events, as they stand in the log's field "event".
const (
	EventOpened      EventKind = "opened"       // a connection was opened
	EventClosed      EventKind = "closed"       // a connection was closed
	EventCheckFailed EventKind = "check_failed" // a connection was found dead or silent; the next one is tried
	EventDistrusted  EventKind = "distrusted"   // everything must be verified anew before it is handed out
	EventOutage      EventKind = "outage"       // the server lets nobody in
	EventRefused     EventKind = "refused"      // it does so for good: wrong password, no such database ...
	EventRecovered   EventKind = "recovered"    // the outage is over
	EventRolledBack  EventKind = "rolled_back"  // a lease was released inside a transaction
	EventUnclean     EventKind = "unclean"      // a session could not be made fit for its next lease
	EventForgotten   EventKind = "forgotten"    // a lease was dropped without Release
	EventOverdue     EventKind = "overdue"      // a lease has been held for Config.LeaseWarnAfter; told once
	EventRevoked     EventKind = "revoked"      // a lease was taken away: Config.LeaseMaxAge, or the end of the pool
	EventPanicked    EventKind = "panicked"     // something of the user's panicked in a goroutine of the pool: see What
	EventActor       EventKind = "actor"        // something about one of the pool's actors: see Actor and What
)

// Event is one thing that happened to the pool. Fields that do not apply are zero.
type Event struct {
	At       time.Time     // when it happened
	Kind     EventKind     // what happened
	Slot     int           // which of the pool's places it is about
	PID      uint32        // the server process of its connection
	Label    string        // from WithLabel, of the lease that it is about
	Stack    string        // of a panic: where; of a forgotten, overdue or revoked lease: where it was acquired, if that was recorded
	Held     time.Duration // how long it had been held
	Took     time.Duration // how long an outage lasted
	Attempts int           // scheduled attempts that failed in it
	Actor    string        // the actor's path in the tree
	What     string        // what the actor did, or where it panicked: the hook, or connecting
	Err      error         // why
}

// Events returns what happens from now on, until ctx or the pool ends. A reader that is slow loses events, which Stat
// counts; it never slows the pool.
func (p *Pool) Events(ctx context.Context) <-chan Event { return p.bus.Subscribe(ctx, eventBuffer) }

const eventBuffer = 256

func (p *Pool) publish(e Event) {
	e.At = time.Now()
	p.bus.Publish(e)
}

// relay passes on what the tree tells about the pool's actors, until the tree has ended. The tree logs these itself.
func (p *Pool) relay(events <-chan supervisor.Event) {
	for e := range events {
		p.bus.Publish(Event{At: e.At, Kind: EventActor, Actor: e.Path, What: e.Kind.String(), Err: e.Err})
	}
}

// logGrace is how long the end of a pool waits for a log that is slow to write its last lines.
const logGrace = time.Second

// logEvents writes what the pool has to log, and its events, in goroutines of their own. What it returns ends that when
// the bus was closed; a writer that does not return within the grace is left behind.
func (p *Pool) logEvents() (end func()) {
	if p.log == nil {
		return func() {}
	}
	events := p.bus.Subscribe(context.Background(), 4*eventBuffer)
	told := make(chan struct{})
	go p.log.Run()
	go func() {
		defer close(told)
		logAll(events, p.cfg.Logger)
	}()
	return func() {
		<-told
		p.log.Close(logGrace)
	}
}

func (k EventKind) level() zerolog.Level {
	switch k {
	case EventForgotten, EventRefused, EventRevoked, EventPanicked:
		return zerolog.ErrorLevel
	case EventCheckFailed, EventDistrusted, EventOutage, EventRolledBack, EventUnclean, EventOverdue:
		return zerolog.WarnLevel
	case EventRecovered:
		return zerolog.InfoLevel
	default:
		return zerolog.DebugLevel
	}
}

// log writes the line of an event.
func (e Event) log(to *zerolog.Logger) {
	l := e.line(to)
	if e.PID != 0 {
		l = l.Int("slot", e.Slot).Uint32("pid", e.PID)
	}
	if e.Label != "" {
		l = l.Str("label", e.Label)
	}
	if e.Stack != "" {
		l = l.Str("stack", e.Stack)
	}
	if e.What != "" {
		l = l.Str("what", e.What)
	}
	if e.Held != 0 {
		l = l.Dur("held", e.Held.Round(time.Millisecond))
	}
	if e.Took != 0 {
		l = l.Dur("took", e.Took).Int("attempts", e.Attempts)
	}
	if e.Err != nil {
		l = l.AnErr("cause", e.Err)
	}
	l.Msg(e.Kind.sentence())
}

// line begins a line about an event of this kind.
func (e Event) line(to *zerolog.Logger) *zerolog.Event {
	return to.WithLevel(e.Kind.level()).Time("at", e.At).Str("event", string(e.Kind)).Str("actor", "pool")
}

func (k EventKind) sentence() string {
	switch k {
	case EventOpened:
		return "connection opened"
	case EventClosed:
		return "connection closed"
	case EventCheckFailed:
		return "connection failed its check: the next one is tried"
	case EventDistrusted:
		return "the server may be gone: every connection is verified before it is handed out"
	case EventOutage:
		return "the server lets nobody in: callers wait"
	case EventRefused:
		return "the server refuses the pool: look at user, password, database and pg_hba.conf"
	case EventRecovered:
		return "the server lets us in again"
	case EventRolledBack:
		return "a lease was released inside a transaction: rolled back"
	case EventUnclean:
		return "a session could not be made fit for its next lease: its connection is closed"
	case EventForgotten:
		return "a lease was dropped without Release: its connection is closed"
	case EventOverdue:
		return "a lease has been held for long"
	case EventRevoked:
		return "a lease was taken away: its connection is closed"
	case EventPanicked:
		return "a hook or a tracer has panicked"
	default:
		return string(k)
	}
}
