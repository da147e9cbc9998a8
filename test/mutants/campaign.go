package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// campaign tries all mutants of a module.
type campaign struct {
	root     string
	mutants  []mutant
	parallel int
	out      io.Writer
}

// run prints what becomes of each mutant; the error is nil if all were killed. Before them the same tests run on the
// code as it is: a test that is red anyway kills nothing.
func (c campaign) run(ctx context.Context) error {
	if err := c.control(ctx); err != nil {
		return err
	}
	counts := map[outcome]int{}
	for r := range c.results(ctx) {
		if r.err != nil {
			return r.err
		}
		counts[r.outcome]++
		c.print(r)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "mutants: %d killed, %d survived, %d did not compile, %d no longer match, %d met no test\n",
		counts[killed], counts[survived], counts[notBuilt], counts[notFitting], counts[notTested])
	if counts[killed] != len(c.mutants) {
		return fmt.Errorf("%d of %d mutants were not killed", len(c.mutants)-counts[killed], len(c.mutants))
	}
	return nil
}

// control runs all tests of the mutants once without one: those with the same flags together, since most of the time goes
// into building them.
func (c campaign) control(ctx context.Context) error {
	for _, all := range c.together() {
		began := time.Now()
		r, err := all.test(ctx, c.root)
		if err != nil {
			return err
		}
		if r.outcome != survived {
			return fmt.Errorf("without a mutant, go test %s is not green: %s", strings.Join(all.flags(), " "), r.note)
		}
		fmt.Fprintf(c.out, "green without a mutant, %.1f s: go test %s\n", time.Since(began).Seconds(), strings.Join(all.flags(), " "))
	}
	return nil
}

// together joins the conditions that differ by what they run, and by how long that may take.
func (c campaign) together() []conditions {
	var groups []conditions
	seen := map[conditions]bool{}
	place := map[conditions]int{}
	for _, m := range c.mutants {
		if seen[m.conditions] {
			continue
		}
		seen[m.conditions] = true
		key := m.conditions
		key.Run, key.Timeout = "", 0
		if key.Count > 1 || m.Run == "" {
			key = m.conditions // repeated tests, and whole packages, take long enough by themselves
		}
		i, known := place[key]
		if !known {
			place[key] = len(groups)
			groups = append(groups, m.conditions)
			continue
		}
		groups[i].Run += "|" + m.Run
		groups[i].Timeout += m.Timeout
	}
	return groups
}

// tried is the result of one mutant.
type tried struct {
	mutant
	result
	err error
}

// results tries the mutants, some at a time. The loop over it may end early: what runs then is ended and joined.
func (c campaign) results(ctx context.Context) func(yield func(tried) bool) {
	return func(yield func(tried) bool) {
		ctx, cancel := context.WithCancel(ctx)
		var workers sync.WaitGroup
		defer workers.Wait()
		defer cancel()
		todo := make(chan mutant)
		done := make(chan tried)
		workers.Go(func() {
			defer close(todo)
			for _, m := range c.mutants {
				select {
				case todo <- m:
				case <-ctx.Done():
					return
				}
			}
		})
		var tries sync.WaitGroup
		for range max(1, c.parallel) {
			tries.Go(func() {
				for m := range todo {
					r, err := m.try(ctx, c.root)
					select {
					case done <- tried{m, r, err}:
					case <-ctx.Done():
						return
					}
				}
			})
		}
		workers.Go(func() { tries.Wait(); close(done) })
		for r := range done {
			if !yield(r) {
				return
			}
		}
	}
}

// print writes a row; what needs somebody's eye gets more lines.
func (c campaign) print(r tried) {
	note := r.note
	if r.outcome == killed {
		note = "by " + note
	}
	first, rest, _ := strings.Cut(strings.TrimSpace(note), "\n")
	row := tabwriter.NewWriter(c.out, 17, 0, 2, ' ', 0)
	fmt.Fprintf(row, "%s\t%5.1f s\t%s  %s\n", r.outcome, r.took.Seconds(), r.Name, first)
	row.Flush()
	if r.outcome != killed {
		fmt.Fprintf(c.out, "    breaks: %s\n    in %s: %s\n", r.Rule, r.File, firstLine(r.Old))
		for line := range strings.Lines(rest) {
			fmt.Fprintf(c.out, "    %s", line)
		}
		fmt.Fprintln(c.out)
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}
