// Command run lets the pool and the actors run beside their peers, in turns, and prints what each bound says about it as
// a Markdown table.
//
//	go run ./run [-only REGEXP] [-who REGEXP] [-rounds N] [-quick] [-against FILE] [-o FILE] [-stat FILE]
//	            [-whole FOLDER] [-cpuprofile FILE] [-mutexprofile FILE] [-trace FILE]
//
// The exit code is 1 if a bound was not kept or a row was broken off: what is known is told all the same. A quick run
// only warns.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/seed-4ff2b7b9/supervised/test/bench/figures"
	"github.com/seed-4ff2b7b9/supervised/test/bench/track"
)

// tolerance is by which part a ratio may be worse than the one that was published, before a run warns of it.
const tolerance = 0.15

// options are what the command was told.
type options struct {
	only, who      string
	rounds         int
	quick          bool
	against, whole string
	output, stat   string
	profiles       profiles
}

func main() {
	if track.Sleeper() {
		return
	}
	var o options
	flag.StringVar(&o.only, "only", "", "run the rows whose name matches this `regexp`")
	flag.StringVar(&o.who, "who", "", "let only those run whose name matches this `regexp`")
	flag.IntVar(&o.rounds, "rounds", 0, "how often each has its turn; 0 is 5 times, 3 times if -quick")
	flag.BoolVar(&o.quick, "quick", false, "only some rows, and short turns")
	flag.StringVar(&o.against, "against", "", "warn of ratios that are worse than those in this `file`, which -whole has written")
	flag.StringVar(&o.output, "o", "", "write what was measured as JSON to this `file`")
	flag.StringVar(&o.stat, "stat", "", "write every round to this `file`, as benchstat reads it")
	flag.StringVar(&o.whole, "whole", "", "the `folder` whose BENCHMARKS.md and docs/bench are written if nothing limits the run")
	flag.StringVar(&o.profiles.cpu, "cpuprofile", "", "write a CPU profile to this `file`")
	flag.StringVar(&o.profiles.mutex, "mutexprofile", "", "write a profile of contended mutexes to this `file`")
	flag.StringVar(&o.profiles.trace, "trace", "", "write an execution trace to this `file`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, o, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// limited tells whether a run is a part only.
func (o options) limited() bool { return o.only != "" || o.who != "" || o.quick || o.rounds != 0 }

func run(ctx context.Context, o options, out, progress io.Writer) error {
	report, err := measure(ctx, o, progress)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, report.Table())
	fmt.Fprintln(out, report.Summary())
	if err := keep(o, report); err != nil {
		return err
	}
	if err := warn(o, report, out); err != nil {
		return err
	}
	return judge(ctx, o, report)
}

// measure runs the rows.
func measure(ctx context.Context, o options, progress io.Writer) (_ *figures.Report, err error) {
	only, err := regexp.Compile(o.only)
	if err != nil {
		return nil, fmt.Errorf("-only: %w", err)
	}
	who, err := regexp.Compile(o.who)
	if err != nil {
		return nil, fmt.Errorf("-who: %w", err)
	}
	t, err := track.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, t.Close()) }()
	t.Only, t.Who, t.Quick, t.Progress = only, who, o.quick, progress
	switch {
	case o.rounds > 0:
		t.Rounds = o.rounds
	case o.quick:
		t.Rounds = 3
	}
	endProfiles, err := o.profiles.begin()
	if err != nil {
		return nil, err
	}
	began := time.Now()
	outcomes := t.Run(ctx)
	if err := endProfiles(); err != nil {
		return nil, err
	}
	if len(outcomes) == 0 {
		return nil, errors.Join(errors.New("no row ran: does -only match a name?"), ctx.Err())
	}
	r := &figures.Report{
		Command: command(o), Took: time.Since(began).Round(time.Second).String(), Settings: track.Settings, Outcomes: outcomes,
	}
	describe(context.WithoutCancel(ctx), r)
	return r, nil
}

// command is how make is told to do the same.
func command(o options) string {
	switch {
	case o.quick:
		return "make bench-quick"
	case o.limited():
		return fmt.Sprintf("make bench ARGS='-only %q -who %q -rounds %d'", o.only, o.who, o.rounds)
	default:
		return "make bench"
	}
}

// keep writes what is to be kept.
func keep(o options, r *figures.Report) error {
	if o.output != "" {
		if err := writeJSON(o.output, r); err != nil {
			return err
		}
	}
	if o.stat != "" {
		if err := os.WriteFile(o.stat, []byte(r.Rounds()), 0o644); err != nil {
			return err
		}
	}
	if o.whole != "" && !o.limited() {
		return publish(o.whole, r)
	}
	return nil
}

func writeJSON(file string, r *figures.Report) error {
	text, err := r.JSON()
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}

// warn compares with an earlier run. Where there is none yet, there is nothing to say.
func warn(o options, r *figures.Report, out io.Writer) error {
	if o.against == "" {
		return nil
	}
	earlier, err := figures.Read(o.against)
	if errors.Is(err, os.ErrNotExist) {
		fmt.Fprintf(out, "nothing to compare with: there is no %s yet, make bench writes it\n", filepath.Base(o.against))
		return nil
	}
	if err != nil {
		return err
	}
	warnings := figures.Worse(earlier, r, tolerance)
	for _, w := range warnings {
		fmt.Fprintln(out, "WARNING:", w)
	}
	fmt.Fprintf(out, "%d ratios are worse by more than %.0f %% than those of %s\n", len(warnings), tolerance*100, earlier.Commit)
	return nil
}

// judge is the error of a run that did not go as it should.
func judge(ctx context.Context, o options, r *figures.Report) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("broken off: %w", err)
	}
	if n := r.Broken(); n > 0 {
		return fmt.Errorf("%d rows were broken off", n)
	}
	if n, judged := r.Outside(); n > 0 && !o.quick {
		return fmt.Errorf("%d of %d bounds were not kept", n, judged)
	}
	return nil
}
