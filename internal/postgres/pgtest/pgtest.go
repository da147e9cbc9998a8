// Package pgtest gives tests a private PostgreSQL server.
//
// The package under test calls [Main] from its TestMain. Tests that only talk to a server share one ([Server]); a test
// that kills, stops or configures its server has its own ([Own]). Where no PostgreSQL is installed, these tests are
// skipped, or fail if SUPERVISED_REQUIRE_POSTGRES=1.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
)

// RequireVariable is the environment variable that turns skips for want of PostgreSQL into failures, by the value 1.
const RequireVariable = "SUPERVISED_REQUIRE_POSTGRES"

// startPatience bounds the start of a server on a machine that is busy with other tests.
const startPatience = 60 * time.Second

// logShown is how many entries of its server's log a failed test prints at most.
const logShown = 60

// binary is what the tests of this test binary share.
var binary fixture

type fixture struct {
	mu       sync.Mutex
	open     bool // Main runs
	template *postgres.Template
	server   *postgres.Server
	failed   error // why there is no template; tried once, since it fails the same way for every test
}

// Main runs the tests, removes the servers that they shared, looks for leaked goroutines and exits.
func Main(m *testing.M, options ...goleak.Option) {
	goleak.VerifyTestMain(tests{m}, options...)
}

// tests is a testing.M that closes what the tests shared before goleak looks.
type tests struct{ m *testing.M }

func (t tests) Run() int {
	binary.begin()
	code := t.m.Run()
	if err := binary.end(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		code = max(code, 1)
	}
	return code
}

// Server returns the server that all tests of this binary share. Nobody may kill, stop or close it.
func Server(t testing.TB) *postgres.Server {
	t.Helper()
	server, err := binary.shared()
	if err != nil {
		refuse(t, err)
	}
	return server
}

// Own returns a running server for this test alone, which may do with it what it likes; it is closed when the test ends.
// Without a Dir its data lie in memory, if there is plenty of it. The tail of its log is printed if the test failed.
func Own(t testing.TB, o postgres.Options) *postgres.Server {
	t.Helper()
	template, err := binary.prototype()
	if err != nil {
		refuse(t, err)
	}
	if o.Template == nil {
		o.Template = template
	}
	if o.Dir == "" {
		o.Dir = postgres.MemoryDir()
	}
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	server, err := postgres.Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			show(t, server)
		}
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}

// Require skips the test if no PostgreSQL is installed, or fails it where there must be one. Server and Own do so, too.
func Require(t testing.TB) {
	t.Helper()
	if _, err := postgres.Find(); err != nil {
		refuse(t, err)
	}
}

func (f *fixture) begin() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open = true
}

func (f *fixture) end() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open = false
	var errs []error
	if f.server != nil {
		errs = append(errs, f.server.Close())
	}
	if f.template != nil {
		errs = append(errs, f.template.Close())
	}
	return errors.Join(errs...)
}

func (f *fixture) shared() (*postgres.Server, error) {
	template, err := f.prototype()
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.server != nil {
		return f.server, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), startPatience)
	defer cancel()
	f.server, err = postgres.Start(ctx, postgres.Options{Dir: postgres.MemoryDir(), Template: template})
	return f.server, err
}

func (f *fixture) prototype() (*postgres.Template, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.open {
		return nil, errors.New("pgtest: TestMain does not call pgtest.Main")
	}
	if f.template == nil && f.failed == nil {
		ctx, cancel := context.WithTimeout(context.Background(), startPatience)
		defer cancel()
		f.template, f.failed = postgres.NewTemplate(ctx, postgres.MemoryDir())
	}
	return f.template, f.failed
}

// refuse ends a test that cannot have its server.
func refuse(t testing.TB, err error) {
	t.Helper()
	var none *postgres.NotFoundError
	if errors.As(err, &none) && os.Getenv(RequireVariable) != "1" {
		t.Skip(err)
	}
	t.Fatal(err)
}

func show(t testing.TB, server *postgres.Server) {
	t.Helper()
	lines, err := server.Log()
	if err != nil {
		t.Log(err)
		return
	}
	for _, line := range lines[max(0, len(lines)-logShown):] {
		if line.Severity != "STATEMENT" { // may hold a password
			t.Logf("%s [%d] %s %s: %s", line.At.Format("15:04:05.000"), line.PID, line.Code, line.Severity, line.Text)
		}
	}
}
