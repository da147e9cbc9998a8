// Package track is where the pools and the actors are run side by side: on one machine, against one server, in one
// process, in turns, so that what one meets the others meet, too.
package track

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"runtime"
	"slices"
	"time"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/test/bench/figures"
)

// Ours is what this project's contestant is called.
const Ours = "supervised"

// Track is the machine with its server. Close it.
type Track struct {
	Rounds   int            // of each row that does not say otherwise
	Quick    bool           // shorter turns, and only the rows that are meant for it
	Only     *regexp.Regexp // the rows' names; nil: all
	Who      *regexp.Regexp // the contestants' names; nil: all
	Progress io.Writer      // gets a line for each row

	server *postgres.Server
}

// maxConnections is what the server lets in: the largest pool of the rows twice over would not fit, so they take turns.
const maxConnections = "1300"

// Open starts a server for the track. Errors: those of [postgres.Start].
func Open(ctx context.Context) (*Track, error) {
	server, err := postgres.Start(ctx, serverOptions())
	if err != nil {
		return nil, err
	}
	t := &Track{Rounds: 5, Progress: io.Discard, server: server}
	if err := t.fill(ctx); err != nil {
		return nil, errors.Join(err, server.Close())
	}
	return t, nil
}

func serverOptions() postgres.Options {
	return postgres.Options{Dir: postgres.MemoryDir(), Settings: map[string]string{"max_connections": maxConnections}}
}

// Close stops the server.
func (t *Track) Close() error { return t.server.Close() }

// event is a row and how it is run.
type event struct {
	figures.Row
	quick    bool // it is one of those of a quick run
	fresh    bool // its contestants are opened anew for each turn, and closed after it
	rounds   int  // 0: as many as the track's
	entrants []entrant
}

// entrant takes part in an event.
type entrant struct {
	name string
	open func(context.Context, *Track) (lane, error)
}

// lane is an entrant that is ready. Its close may be nil.
type lane struct {
	turn  func(context.Context) (figures.Figures, error)
	close func() error
}

// errAbsent says that an entrant is not there to be measured.
var errAbsent = errors.New("there is no such thing in this build")

// Run runs the rows one after the other. A row that breaks off does not keep the others from running.
func (t *Track) Run(ctx context.Context) []figures.Outcome {
	var outcomes []figures.Outcome
	for _, e := range events() {
		if ctx.Err() != nil {
			break
		}
		if t.Quick && !e.quick || t.Only != nil && !t.Only.MatchString(e.ID) {
			continue
		}
		began := time.Now()
		o := t.run(ctx, e)
		fmt.Fprintf(t.Progress, "%-20s %5.1f s  %s\n", e.ID, time.Since(began).Seconds(), brief(o))
		outcomes = append(outcomes, o)
	}
	return outcomes
}

// brief is a row for whoever watches.
func brief(o figures.Outcome) string {
	if o.LeftOut != "" {
		return "left out: " + o.LeftOut
	}
	if o.Broken != "" {
		return "broken off: " + o.Broken
	}
	text := ""
	for _, v := range o.Verdicts() {
		text += fmt.Sprintf("%s %.3g (%s) %s; ", v.Measure, v.Median, v.Bound, v.Word())
	}
	return text
}

// run runs one row: everybody is opened, has a turn that does not count, and then takes turns, each time beginning with
// another.
func (t *Track) run(ctx context.Context, e event) (o figures.Outcome) {
	o = figures.Outcome{Row: e.Row}
	var lanes []*lane
	defer func() {
		for _, l := range lanes {
			if err := l.end(); err != nil && o.Broken == "" {
				o.Broken = err.Error()
			}
		}
	}()
	var present []entrant
	for _, n := range e.entrants {
		if t.Who != nil && !t.Who.MatchString(n.name) {
			continue
		}
		l, err := t.enter(ctx, e, n)
		if errors.Is(err, errAbsent) {
			o.LeftOut = n.name + ": " + err.Error()
			return o
		}
		if err != nil {
			o.Broken = fmt.Sprintf("%s: %v", n.name, err)
			return o
		}
		o.Order = append(o.Order, n.name)
		present, lanes = append(present, n), append(lanes, l)
	}
	rounds := e.rounds
	if rounds == 0 || t.Quick {
		rounds = t.Rounds
	}
	for round := range rounds {
		figs, err := t.round(ctx, e, present, lanes, round)
		if err != nil {
			o.Broken = err.Error()
			return o
		}
		o.Rounds = append(o.Rounds, figs)
	}
	return o
}

// enter opens an entrant and lets it warm up; one that is opened anew for each turn is only asked whether it is there.
func (t *Track) enter(ctx context.Context, e event, n entrant) (*lane, error) {
	if e.fresh {
		return &lane{}, nil
	}
	l, err := n.open(ctx, t)
	if err != nil {
		return nil, err
	}
	if _, err := l.turn(ctx); err != nil {
		return nil, errors.Join(err, l.end())
	}
	return &l, nil
}

func (l *lane) end() error {
	if l.close == nil {
		return nil
	}
	return l.close()
}

// round is one turn of each.
func (t *Track) round(ctx context.Context, e event, present []entrant, lanes []*lane, round int) (figures.Round, error) {
	figs := figures.Round{}
	for i := range present {
		at := (i + round) % len(present)
		f, err := t.turn(ctx, e, present[at], lanes[at])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", present[at].name, err)
		}
		figs[present[at].name] = f
	}
	return figs, nil
}

func (t *Track) turn(ctx context.Context, e event, n entrant, l *lane) (_ figures.Figures, err error) {
	if e.fresh {
		opened, err := n.open(ctx, t)
		if err != nil {
			return nil, err
		}
		l = &opened
		defer func() { err = errors.Join(err, l.end()) }()
	}
	runtime.GC() // nobody pays for what another has left
	f, err := l.turn(ctx)
	if err != nil {
		return nil, err
	}
	for m, v := range f {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("%s is not a number: nothing was measured", m)
		}
	}
	return f, ctx.Err()
}

// window is how long a turn lasts that is long seconds in a whole run.
func (t *Track) window(long time.Duration) time.Duration {
	if t.Quick {
		return long * 2 / 5
	}
	return long
}

// events are all rows, in the order of the table.
func events() []event {
	return slices.Concat(acquireEvents(), queryEvents(), waitEvents(), spikeEvents(), outageEvents(), checkEvents(),
		messageEvents(), idleEvents(), sharedEvents(), growthEvents())
}
