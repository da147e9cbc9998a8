// Command mutants breaks the code on purpose, one rule at a time, and fails unless a test turns red each time: a rule
// whose loss no test notices is not tested.
//
//	go run ./test/mutants [-only REGEXP] [-parallel N] [LIST ...]
//
// Lists are the YAML files beside this one; README.md tells how to write one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
)

func main() {
	only := flag.String("only", "", "try the mutants whose name matches this `regexp`")
	parallel := flag.Int("parallel", 1, "try `N` at a time; tests that measure time may fail for want of it")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := start(ctx, flag.Args(), *only, *parallel)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func start(ctx context.Context, lists []string, only string, parallel int) error {
	if len(lists) == 0 {
		var err error
		if lists, err = filepath.Glob("test/mutants/*.yml"); err != nil {
			return err
		}
	}
	mutants, err := loadLists(lists)
	if err != nil {
		return err
	}
	wanted, err := regexp.Compile(only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	mutants = slices.DeleteFunc(mutants, func(m mutant) bool { return !wanted.MatchString(m.Name) })
	if len(mutants) == 0 {
		return errors.New("no mutant has such a name")
	}
	return campaign{root: ".", mutants: mutants, parallel: parallel, out: os.Stdout}.run(ctx)
}
