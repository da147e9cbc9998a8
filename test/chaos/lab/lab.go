// Package lab is a fault laboratory: it drives one workload through this project's pool and through those that users would
// otherwise pick, does to the server what production does to servers, and says for each fault what became of every call, every
// row and every socket. Nothing that a pool says about itself counts; see internal/judge for the failure rule.
//
// No row sets the wall clock, since that is everybody's on the machine. Instead internal/archtest asserts of the pool's source
// that nothing in it is decided by that clock: all durations are taken by the monotonic one.
package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"time"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/test/chaos/container"
)

// Lab runs rows. Whoever makes it closes it.
type Lab struct {
	// Only limits which rows run; nil: all.
	Only *regexp.Regexp
	// Repeat is how often timed rows run with our pool; 0: five times. Others run once. Bounds in time are not judged by
	// fewer than five measurements.
	Repeat int
	// Short leaves out the peers and every row that takes long, and runs each once.
	Short bool
	// Alone leaves out the peers.
	Alone bool
	// Progress is told what runs; nil is silent.
	Progress io.Writer

	template *postgres.Template
}

// timedRounds is how many measurements a bound in time needs.
const timedRounds = 5

// Close removes what the servers were copied from.
func (l *Lab) Close() error {
	if l.template == nil {
		return nil
	}
	return l.template.Close()
}

// server starts a server of the experiment's own. Whoever asks closes it.
func (l *Lab) server(ctx context.Context, o postgres.Options) (*postgres.Server, error) {
	if l.template == nil {
		t, err := postgres.NewTemplate(ctx, postgres.MemoryDir())
		if err != nil {
			return nil, err
		}
		l.template = t
	}
	o.Dir, o.Template = postgres.MemoryDir(), l.template
	return postgres.Start(ctx, o)
}

// on makes an experiment on a server of its own; do is the fault.
func (l *Lab) on(ctx context.Context, k Kind, o postgres.Options, s Setup, do func(*Experiment, *postgres.Server) error) (Result, error) {
	server, err := l.server(ctx, o)
	if err != nil {
		return Result{}, err
	}
	defer server.Close()
	s.DSN, s.Log = server.DSN(), server.Log
	x, err := Begin(ctx, k, s)
	if err != nil {
		return Result{}, err
	}
	err = do(x, server)
	return x.Finish(ctx), err
}

// container starts a server in a container of the experiment's own. Whoever asks removes it.
func (l *Lab) container(ctx context.Context) (*container.Server, error) {
	return container.Start(ctx, container.Options{})
}

// Outcome is a row with what was measured of it.
type Outcome struct {
	Row     Row
	LeftOut string // why the row did not run
	Ours    []Result
	Peers   []Result
	Judged  bool     // our pool was held against all bounds
	Wrong   []string // what it did not show
	Err     error    // what went wrong with the laboratory: something is missing
}

// Run makes the experiments of each row. An error is about the laboratory: the outcome of the row says so, too, and the other
// rows run all the same, unless the context has ended.
func (l *Lab) Run(ctx context.Context, all []Row) ([]Outcome, error) {
	var done []Outcome
	var failed []error
	for _, row := range all {
		if l.Only != nil && !l.Only.MatchString(row.ID) || l.Short && !row.Short {
			continue
		}
		o, err := l.row(ctx, row)
		if err != nil {
			o.Err = err
			failed = append(failed, fmt.Errorf("row %s: %w", row.ID, err))
			l.tell("%s: broken off: %v\n", row.ID, err)
		}
		done = append(done, o)
		if ctx.Err() != nil {
			break
		}
	}
	if len(done) == 0 {
		return nil, errors.New("no row has such a number")
	}
	return done, errors.Join(failed...)
}

func (l *Lab) row(ctx context.Context, row Row) (Outcome, error) {
	o := Outcome{Row: row}
	if err := needs(ctx, row); err != nil {
		if os.Getenv(container.RequireVariable) == "1" {
			return o, err
		}
		o.LeftOut = err.Error()
		l.tell("%s: left out: %v\n", row.ID, err)
		return o, nil
	}
	for round := range l.rounds(row) {
		r, err := l.once(ctx, row, Ours, round+1)
		if err != nil {
			return o, err
		}
		o.Ours = append(o.Ours, r)
	}
	o.Judged, o.Wrong = true, row.wrong(o.Ours)
	l.tell("%s: %s\n", row.ID, verdict(o.Wrong))
	if row.Alone || l.Alone || l.Short {
		return o, nil
	}
	for _, k := range Kinds[1:] {
		r, err := l.once(ctx, row, k, 1)
		if err != nil {
			return o, fmt.Errorf("%s: %w", k, err)
		}
		o.Peers = append(o.Peers, r)
	}
	return o, nil
}

// needs says what a row needs and this machine lacks.
func needs(ctx context.Context, row Row) error {
	if !row.Container {
		return nil
	}
	if err := container.Engine(ctx); err != nil {
		return fmt.Errorf("no Docker engine: %w", err)
	}
	return nil
}

func (l *Lab) rounds(row Row) int {
	switch {
	case l.Short || !row.Timed:
		return 1
	case l.Repeat > 0:
		return l.Repeat
	default:
		return timedRounds
	}
}

func (l *Lab) once(ctx context.Context, row Row, k Kind, round int) (Result, error) {
	began := time.Now()
	r, err := row.Run(ctx, l, k)
	r.Row, r.Pool, r.Round, r.Place = row.ID, k, round, "process"
	if row.Container {
		r.Place = "container"
	}
	l.tell("%-6s %-13s round %d, %4.1f s: %d calls, %d failed holding, %d waiting, %d forbidden\n",
		row.ID, k, round, time.Since(began).Seconds(), r.Calls, r.FailedHolding, r.FailedWaiting, r.Forbidden)
	return r, err
}

func (l *Lab) tell(format string, args ...any) {
	if l.Progress != nil {
		fmt.Fprintf(l.Progress, format, args...)
	}
}

func verdict(wrong []string) string {
	if len(wrong) == 0 {
		return "inside its bounds"
	}
	return fmt.Sprintf("OUTSIDE: %v", wrong)
}
