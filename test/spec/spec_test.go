// Package spec holds the pool against its requirements, each with the function that shows it, on a real server.
package spec

import (
	"testing"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// requirements is what the pool owes its users, in the words of its specification.
var requirements = []string{
	"the pool initialises with the configured parameters and sizes",
	"acquire gives a working connection",
	"a connection returns to the pool and is reused",
	"close closes all connections",
	"a connection error is retried",
	"the backoff grows exponentially to its cap",
	"exhausted retries give the error with its context",
	"the health check passes for a live connection",
	"the health check fails for a closed connection: WARN, and the next one is tried",
	"on_acquire always runs SELECT 1 before each hand-off",
	"the overhead of that is below 5 ms",
	"p99 of acquire is below 100 ms with 32 callers on 20 connections",
	"the configured time-outs and sizes are used",
	"the password comes from the Secret and appears nowhere",
	"a lease is released on an error and on a panic",
	"statement_timeout is enforced",
	"errors carry target and attempt but no secret",
}

// shownBy is the function that shows each of them.
var shownBy = map[string]func(*testing.T){
	"the pool initialises with the configured parameters and sizes":                   initialises,
	"acquire gives a working connection":                                              acquireWorks,
	"a connection returns to the pool and is reused":                                  reuses,
	"close closes all connections":                                                    closesAll,
	"a connection error is retried":                                                   retries,
	"the backoff grows exponentially to its cap":                                      backsOff,
	"exhausted retries give the error with its context":                               givesUpWithContext,
	"the health check passes for a live connection":                                   passesTheLiving,
	"the health check fails for a closed connection: WARN, and the next one is tried": failsTheDead,
	"on_acquire always runs SELECT 1 before each hand-off":                            checksAlways,
	"the overhead of that is below 5 ms":                                              checksCheaply,
	"p99 of acquire is below 100 ms with 32 callers on 20 connections":                acquiresSoon,
	"the configured time-outs and sizes are used":                                     usesTimeoutsAndSizes,
	"the password comes from the Secret and appears nowhere":                          keepsTheSecret,
	"a lease is released on an error and on a panic":                                  releasesOnErrorAndPanic,
	"statement_timeout is enforced":                                                   enforcesStatementTimeout,
	"errors carry target and attempt but no secret":                                   saysTargetAndAttempt,
}

// TestSpec fails if any requirement is not shown, or if the test that is to show it was skipped.
func TestSpec(t *testing.T) {
	if _, err := postgres.Find(); err != nil {
		t.Fatal(err) // a skip would show nothing
	}
	for _, requirement := range requirements {
		show := shownBy[requirement]
		if show == nil {
			t.Errorf("nothing shows that %s", requirement)
			continue
		}
		skipped := false
		t.Run(requirement, func(t *testing.T) {
			defer func() { skipped = t.Skipped() }()
			show(t)
		})
		if skipped {
			t.Errorf("skipped: %s", requirement)
		}
	}
	if len(shownBy) != len(requirements) {
		t.Errorf("%d functions show %d requirements", len(shownBy), len(requirements))
	}
}
