package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/seed-4ff2b7b9/supervised/internal/gotest"
)

// report shows passes while they run and remembers what the conclusion needs.
type report struct {
	shown io.Writer // what a person follows
	kept  io.Writer // everything
	began time.Time

	passed   int
	packages int
	skips    []gotest.Skip
	failures []string // "package Test", or a package that failed without one
	problems []string // what is wrong with a pass as a whole
}

func newReport(shown, kept io.Writer) *report {
	return &report{shown: shown, kept: kept, began: time.Now()}
}

// run does one pass.
func (r *report) run(ctx context.Context, p pass) {
	r.both(fmt.Sprintf("=> %s\n", p))
	tests := 0
	command := gotest.Command{Dir: p.dir, Args: p.args, Stderr: io.MultiWriter(r.shown, r.kept)}
	failed := len(r.failures)
	err := command.Run(ctx, gotest.Handler{
		Text: r.both,
		Package: func(pkg *gotest.Package) {
			tests += pkg.Tests(gotest.Passed) + pkg.Tests(gotest.Failed) + pkg.Tests(gotest.Skipped)
			r.take(pkg)
		},
	})
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		// The one who interrupted says so.
	case err != nil && !errors.As(err, &exit):
		r.problem(fmt.Sprintf("%s: %v", p, err))
	case err != nil && len(r.failures) == failed:
		r.problem(fmt.Sprintf("%s: go test failed: %v", p, err))
	case err == nil && tests == 0:
		r.problem(fmt.Sprintf("%s: ran no test", p))
	}
}

// take adds what one package said.
func (r *report) take(p *gotest.Package) {
	r.packages++
	r.passed += p.Tests(gotest.Passed)
	fmt.Fprint(r.shown, p.Report())
	fmt.Fprint(r.kept, p.Output())
	for _, s := range p.Skips() {
		r.skips = append(r.skips, s)
		if s.Reason == "" {
			r.problem(fmt.Sprintf("%s %s was skipped without a reason", s.Package, s.Test))
		}
	}
	if p.Verdict != gotest.Failed {
		return
	}
	named := p.Failures()
	for _, test := range named {
		r.failures = append(r.failures, p.Path+" "+test)
	}
	if len(named) == 0 {
		r.failures = append(r.failures, p.Path)
	}
}

func (r *report) both(text string) {
	fmt.Fprint(r.shown, text)
	fmt.Fprint(r.kept, text)
}

func (r *report) problem(text string) {
	r.problems = append(r.problems, text)
}

// conclude prints the summary; the error is nil if everything is as it should be.
func (r *report) conclude() error {
	r.list("skipped", skipLines(r.skips))
	r.list("failed", r.failures)
	r.list("wrong", r.problems)
	fmt.Fprintf(r.shown, "tests: %d passed, %d failed, %d skipped; %d packages, %v\n",
		r.passed, len(r.failures), len(r.skips), r.packages, time.Since(r.began).Round(time.Second))
	if len(r.failures) > 0 || len(r.problems) > 0 {
		return errors.New("not everything passed")
	}
	return nil
}

func (r *report) list(title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(r.shown, "%s:\n  %s\n", title, strings.Join(lines, "\n  "))
}

func skipLines(skips []gotest.Skip) []string {
	var lines []string
	for _, s := range skips {
		reason := s.Reason
		if reason == "" {
			reason = "(no reason)"
		}
		lines = append(lines, fmt.Sprintf("%s %s: %s", s.Package, s.Test, reason))
	}
	return lines
}
