package ops

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// Watch knows whether the daemon is ready. It is a service of the tree: served, it logs each change, and waits for a
// connection itself while the database is not known to be there. Its methods are safe from any goroutine.
type Watch struct {
	subject  Subject
	patience time.Duration
	log      *zerolog.Logger

	readyWhileDown atomic.Bool

	mu      sync.Mutex
	greeted time.Time // when a trusted connection was seen first
	trusted time.Time // and when last
	reason  string    // of the last verdict
	since   time.Time // when that reason was met first
	told    string    // the reason that was logged last
}

// NewWatch makes the watch over a daemon. patience is how old the last sign of life of a healthy server can be: the
// time between two rounds of checks and the bound of a check. A nil logger is silent.
func NewWatch(s Subject, patience time.Duration, readyWhileDown bool, log *zerolog.Logger) *Watch {
	if log == nil {
		silent := zerolog.Nop()
		log = &silent
	}
	w := &Watch{subject: s, patience: patience, log: log}
	w.SetReadyWhileDown(readyWhileDown)
	return w
}

// SetReadyWhileDown says whether the daemon counts as ready while only the database is missing.
func (w *Watch) SetReadyWhileDown(yes bool) { w.readyWhileDown.Store(yes) }

// String names the service.
func (w *Watch) String() string { return "watch" }

// Verdict says whether the daemon is ready, now.
func (w *Watch) Verdict() Verdict {
	f := w.observe()
	w.mu.Lock()
	defer w.mu.Unlock()
	v := f.judge()
	if v.Reason != w.reason {
		w.reason, w.since = v.Reason, f.now
	}
	if v.Since.IsZero() {
		v.Since = w.since
	}
	return v
}

// observe gathers the facts.
func (w *Watch) observe() facts {
	f := facts{
		now: time.Now(), started: w.subject.Started, poolPath: w.subject.PoolPath, tree: w.subject.Tree(),
		stat: w.subject.Pool.Stat(), contact: w.subject.Pool.Contact(), doubt: w.subject.Journal.lastDoubt(),
		patience: w.patience, readyWhileDown: w.readyWhileDown.Load(),
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if f.contact.Verified > 0 {
		if w.greeted.IsZero() {
			w.greeted = f.now
		}
		w.trusted = f.now
	}
	if w.trusted.After(f.doubt.at) {
		f.doubt = doubt{}
	}
	f.greeted = w.greeted
	return f
}

// How often the watch looks, and how long it waits after the pool has refused to wait with it.
const (
	lookEvery  = 100 * time.Millisecond
	pauseAfter = time.Second
)

// Serve watches until ctx ends.
func (w *Watch) Serve(ctx context.Context) error {
	look := time.NewTimer(0)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
		}
		pause := lookEvery
		w.tell(w.Verdict())
		switch f := w.observe(); {
		case f.unsure():
			// One caller more, like any other: so somebody waits for the end of the outage, and it is found.
			if err := w.subject.Pool.WaitReady(ctx); err != nil {
				pause = pauseAfter
			}
			w.tell(w.Verdict())
		case f.unheard():
			ask, cancel := context.WithTimeout(ctx, w.patience)
			_ = w.subject.Pool.Ping(ask) // what it finds out, the pool tells
			cancel()
		}
		look.Reset(pause)
	}
}

// unsure tells whether there is no trusted connection. A pool without a minimum may be empty in peace, but then nobody
// would learn that the server is gone.
func (f facts) unsure() bool { return f.contact.Verified == 0 }

// unheard tells whether connections rest, and none of all has answered for longer than the rounds of checks take.
func (f facts) unheard() bool {
	return f.stat.Idle > 0 && !f.stat.Suspends && f.now.Sub(f.contact.Alive) > f.patience
}

// tell logs a verdict that differs from the one before.
func (w *Watch) tell(v Verdict) {
	w.mu.Lock()
	news := w.told != v.Reason
	w.told = v.Reason
	w.mu.Unlock()
	if !news {
		return
	}
	level := zerolog.InfoLevel
	if !v.Ready && v.Cause != "" { // without one it is a beginning or an end
		level = zerolog.WarnLevel
	}
	line := w.log.WithLevel(level).Str("event", "readiness").Str("actor", "watch").Bool("ready", v.Ready).Time("since", v.Since)
	if v.Cause != "" {
		line = line.Str("cause", v.Cause)
	}
	if v.Remedy != "" {
		line = line.Str("what_to_do", v.Remedy)
	}
	if v.Ready {
		line.Msg(v.Reason)
		return
	}
	line.Msg("not ready: " + v.Reason)
}
