// Command supervised is a daemon around a pool of PostgreSQL connections that survives outages of the server, crashes of
// its own parts included. It also checks a configuration, and demonstrates what the pool does.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/seed-4ff2b7b9/supervised/internal/config"
	"github.com/seed-4ff2b7b9/supervised/internal/daemon"
)

// The exit codes, beside 0.
const (
	exitFailure     = 1
	exitUsage       = 2 // the configuration or the command line
	exitRefused     = 3
	exitUnreachable = 4
)

func main() {
	if err := root().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "supervised:", err)
		os.Exit(exitCode(err))
	}
}

// usageError is something wrong with the command line.
type usageError struct {
	cmd *cobra.Command
	err error
}

func (e *usageError) Error() string {
	return fmt.Sprintf("%v\nsee: %s --help", e.err, e.cmd.CommandPath())
}

func (e *usageError) Unwrap() error { return e.err }

// exitCode tells a script what kind of failure it was.
func exitCode(err error) int {
	var usage *usageError
	var configuration *config.Error
	var connect *daemon.ConnectError
	switch {
	case errors.As(err, &usage), errors.As(err, &configuration):
		return exitUsage
	case errors.As(err, &connect) && connect.Refused:
		return exitRefused
	case errors.As(err, &connect):
		return exitUnreachable
	default:
		return exitFailure
	}
}
