package supervisor

import (
	"time"

	"github.com/rs/zerolog"

	"github.com/seed-4ff2b7b9/supervised/internal/broadcast"
)

// EventKind says what happened.
type EventKind int

const (
	// EventStarted: a life begins; New and Serve are called now.
	EventStarted EventKind = iota
	// EventReady: Ready returned nil; of a group: every child is ready.
	EventReady
	// EventCrashed: a life ended in Err, with Stack if it was a panic.
	EventCrashed
	// EventRestartScheduled: the next life begins after Delay.
	EventRestartScheduled
	// EventHealthy: a child that had failed was ready for its HealthyAfter; its delays begin anew.
	EventHealthy
	// EventEscalated: Path is the child that used up its intensity; its group is stopped and started once more.
	EventEscalated
	// EventFinished: the service returned suture.ErrDoNotRestart; it runs again when its group is restarted.
	EventFinished
	// EventStopped: stopped as it was told to; Err and Stack tell if it failed in doing so.
	EventStopped
	// EventStopTimedOut: told to stop, and still running after its StopTimeout.
	EventStopTimedOut
	// EventGaveUp: the tree ends; Path is the child that could not be kept running, Err its last failure.
	EventGaveUp
)

// eventWords gives each kind its name in the log's field "event", its words, and the level at which it is logged. A panic is
// an ERROR whatever its kind.
var eventWords = [...]struct {
	event, words string
	level        zerolog.Level
}{
	EventStarted:          {"started", "started", zerolog.DebugLevel},
	EventReady:            {"ready", "ready", zerolog.InfoLevel},
	EventCrashed:          {"crashed", "crashed", zerolog.WarnLevel},
	EventRestartScheduled: {"restart_scheduled", "restart scheduled", zerolog.InfoLevel},
	EventHealthy:          {"healthy", "healthy again", zerolog.InfoLevel},
	EventEscalated:        {"escalated", "escalated", zerolog.ErrorLevel},
	EventFinished:         {"finished", "finished", zerolog.InfoLevel},
	EventStopped:          {"stopped", "stopped", zerolog.InfoLevel},
	EventStopTimedOut:     {"stop_timed_out", "did not stop in time", zerolog.ErrorLevel},
	EventGaveUp:           {"gave_up", "gave up", zerolog.ErrorLevel},
}

// String gives the words under which the event is logged.
func (k EventKind) String() string {
	if k < 0 || int(k) >= len(eventWords) {
		return "unknown event"
	}
	return eventWords[k].words
}

// MarshalText writes the words.
func (k EventKind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// Event is one thing that happened in a tree.
type Event struct {
	// At is when.
	At time.Time
	// Kind says what.
	Kind EventKind
	// Path says to whom, like "root/data/pool".
	Path string
	// Err is why; nil where there is nothing to explain.
	Err error
	// Stack is where it panicked; empty if it did not.
	Stack string
	// Delay is how long until the next life; only of EventRestartScheduled.
	Delay time.Duration
	// Restarts counts the lives begun after the first.
	Restarts int
}

// level is WARN for a stop that failed, and ERROR for every panic.
func (e Event) level() zerolog.Level {
	level := eventWords[e.Kind].level
	switch {
	case e.Stack != "":
		return zerolog.ErrorLevel
	case e.Kind == EventStopped && e.Err != nil:
		return zerolog.WarnLevel
	default:
		return level
	}
}

// journal tells the log and the subscribers what happens in one tree.
type journal struct {
	log *zerolog.Logger // nil is silent
	bus broadcast.Bus[Event]
}

func (j *journal) tell(e Event) {
	j.write(e)
	j.bus.Publish(e)
}

// write logs the event. A log whose writer or hook panics loses the line: it must not change what it reports on.
func (j *journal) write(e Event) {
	if j.log == nil {
		return
	}
	defer func() { _ = recover() }()
	line := j.log.WithLevel(e.level()).Str("event", eventWords[e.Kind].event).Str("actor", e.Path).Int("restarts", e.Restarts)
	if e.Kind == EventRestartScheduled {
		line = line.Dur("wait", e.Delay)
	}
	if e.Err != nil {
		line = line.AnErr("cause", e.Err)
	}
	if e.Stack != "" {
		line = line.Str("stack", e.Stack)
	}
	line.Msg(e.Kind.String())
}
