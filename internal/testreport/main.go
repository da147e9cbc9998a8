// Command testreport runs go test several times and says at the end what a reader of it wants to know: which tests
// failed, and which were skipped and why. Each package's verdict is shown in go test's own words as it comes, with the
// output of the tests that failed; everything that was printed, also by tests that passed, is kept in a file.
//
//	go run ./internal/testreport -output FILE -- PASS [-- PASS ...]
//
// A pass is what follows `go test`; it may begin with -C and a folder. The exit code is 1 if a test failed, if a pass ran
// no test at all (it would prove nothing), or if a test was skipped without a reason.
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
	"syscall"
)

func main() {
	output := flag.String("output", "", "`file` that keeps all output; required")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, *output, split(flag.Args()))
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
}

// run does all passes, also after one has failed, unless it is interrupted.
func run(ctx context.Context, shown io.Writer, output string, passes []pass) error {
	if output == "" || len(passes) == 0 {
		return errors.New("usage: testreport -output FILE -- PASS [-- PASS ...]")
	}
	if err := os.MkdirAll(filepath.Dir(output), 0o755); err != nil {
		return err
	}
	kept, err := os.Create(output)
	if err != nil {
		return err
	}
	r := newReport(shown, kept)
	for _, p := range passes {
		if ctx.Err() == nil {
			r.run(ctx, p)
		}
	}
	if ctx.Err() != nil {
		r.problem("interrupted: what follows was not run")
	}
	if err := kept.Close(); err != nil {
		r.problem(err.Error())
	}
	return r.conclude()
}
