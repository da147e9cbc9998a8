package ops

import (
	"time"

	"github.com/seed-4ff2b7b9/supervised/actors/health"
	"github.com/seed-4ff2b7b9/supervised/internal/remedy"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

// A pool actor that was restarted so often in so short a time is flapping, until as long a time was clean.
const (
	flapRestarts = 5
	flapWindow   = 10 * time.Second
)

// Verdict is the answer of /readyz.
type Verdict struct {
	Ready  bool   `json:"ready"`
	Reason string `json:"reason"`
	// Since is when it became so; where nothing but a look can tell, when it was first seen.
	Since time.Time `json:"since"`
	// Cause is the error behind it. It may be there when the daemon is ready: new connections fail, say.
	Cause string `json:"cause,omitempty"`
	// Attempts counts the scheduled attempts to connect that failed in this outage, NextAttempt is when the next one is
	// due; a server that comes back is mostly found earlier.
	Attempts    int       `json:"attempts"`
	NextAttempt time.Time `json:"next_attempt,omitzero"`
	// Remedy is what a person can do.
	Remedy string `json:"what_to_do,omitempty"`
}

// facts are all that a verdict depends on.
type facts struct {
	now      time.Time
	started  time.Time // the daemon
	tree     supervisor.Node
	poolPath string
	stat     poolactor.Stat
	contact  poolactor.Contact
	greeted  time.Time // when the pool had its first connection; zero: never yet
	doubt    doubt     // why no connection is trusted; the zero doubt if that was settled since
	// patience is how old the last sign of life of a healthy server can be, and how long it takes to verify one.
	patience time.Duration
	// readyWhileDown leaves the database out of it.
	readyWhileDown bool
}

// doubt is the last sign that the server may be gone.
type doubt struct {
	at    time.Time
	cause error
}

// judge decides. A zero Since is for its caller to fill in. What concerns the daemon itself goes before what concerns the database.
func (f facts) judge() Verdict {
	for _, look := range []func() (Verdict, bool){f.stopping, f.escalating, f.flapping, f.gate} {
		if v, found := look(); found {
			return v
		}
	}
	v := f.database()
	if !v.Ready && f.readyWhileDown {
		v.Ready, v.Reason = true, "ready, as ops.ready_while_down says, although "+v.Reason
	}
	return v
}

func (f facts) stopping() (Verdict, bool) {
	switch f.tree.State {
	case supervisor.StateStopping, supervisor.StateStopped, supervisor.StateFailed, supervisor.StateGaveUp:
		return Verdict{Reason: "the daemon is stopping", Since: f.tree.Since}, true
	default:
		return Verdict{}, false
	}
}

func (f facts) escalating() (Verdict, bool) {
	for n := range f.tree.All() {
		if n.State == supervisor.StateEscalating {
			v := Verdict{Reason: "the group " + n.Path + " is being restarted as a whole", Since: n.Since, Remedy: readLog}
			for below := range n.All() {
				if below.LastErrorAt.After(n.Since.Add(-flapWindow)) && v.Cause == "" {
					v.Cause = below.Path + ": " + below.LastError
				}
			}
			return v, true
		}
	}
	return Verdict{}, false
}

const readLog = "Nothing, if it passes. If it comes again, look for \"crashed\" in the log: the daemon ends when this restart does not help."

func (f facts) flapping() (Verdict, bool) {
	for n := range f.tree.All() {
		if n.Path == f.poolPath+"/data/pool" && n.Flapping(flapRestarts, flapWindow, f.now) {
			return Verdict{
				Reason: "the pool actor crashes again and again", Since: n.RestartedAt[len(n.RestartedAt)-1],
				Cause: n.LastError, Remedy: "Look for \"crashed\" in the log: the stack there says where. This is a defect worth reporting.",
			}, true
		}
	}
	return Verdict{}, false
}

func (f facts) gate() (Verdict, bool) {
	switch {
	case f.stat.Closes:
		return Verdict{Reason: "the pool is closed"}, true
	case f.stat.Suspends:
		return Verdict{Reason: "the pool is suspended", Remedy: "Calls wait until it is resumed."}, true
	default:
		return Verdict{}, false
	}
}

// database is the verdict about the database alone. See the package's description.
func (f facts) database() Verdict {
	o := f.stat.Outage
	switch {
	case !o.Since.IsZero():
		v := Verdict{
			Since: o.Since, Cause: errorText(o.Cause), Attempts: o.Attempts, NextAttempt: o.NotBefore,
			Remedy: remedy.For(o.Cause),
		}
		switch {
		case f.contact.Verified > 0 && f.now.Sub(f.contact.Alive) <= f.patience:
			v.Ready, v.Reason = true, "ready, but no new connection can be opened: calls share those that are open"
		case o.Refused:
			v.Reason = "the database refuses the connection"
		default:
			v.Reason = "the database cannot be reached"
		}
		return v
	case f.greeted.IsZero():
		return Verdict{Reason: "no connection to the database yet", Since: f.started, Remedy: "Wait a moment."}
	case f.silent():
		return Verdict{
			Reason: "the database does not answer", Since: f.doubt.at, Cause: errorText(f.doubt.cause),
			Remedy: remedy.For(f.doubt.cause),
		}
	default:
		return Verdict{Ready: true, Reason: "ready"}
	}
}

// silent tells whether every connection is in doubt and none has been cleared in time. A check that got no answer has
// used its time up already; after deaths, verification has only begun, and a server that lives is through with it in a
// moment.
func (f facts) silent() bool {
	if f.contact.Verified > 0 || f.doubt.at.IsZero() {
		return false
	}
	return health.Grade(f.doubt.cause) != health.Death || f.now.Sub(f.doubt.at) > f.patience
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
