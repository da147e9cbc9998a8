package supervisor

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/thejerf/suture/v4"
)

var (
	// ErrReturned is the failure of a service whose Serve returned nil although nobody had told it to stop. A service
	// whose work is done for good returns suture.ErrDoNotRestart instead.
	ErrReturned = errors.New("supervisor: Serve returned nil although the service was not stopped")
	// ErrNoService is the failure of a child whose New returned nil.
	ErrNoService = errors.New("supervisor: New returned no service")
	// ErrStuck is the failure of a child that was to be restarted, and could not be, since its last life did not end
	// within its StopTimeout.
	ErrStuck = errors.New("supervisor: cannot be restarted, its last life does not end")
	// ErrServed is returned by Start and Serve of a Tree that was started, served or stopped before: a Tree serves once.
	ErrServed = errors.New("supervisor: a tree serves once; build a new one")
	// ErrStopped is returned to whoever waits for something of a Tree that was stopped in the meantime.
	ErrStopped = errors.New("supervisor: the tree has stopped")
	// ErrNotRunning is returned by Restart of a Tree that was not started yet.
	ErrNotRunning = errors.New("supervisor: the tree does not run yet")
	// ErrUnknownPath is returned by Restart for a path that leads to no group and no child.
	ErrUnknownPath = errors.New("supervisor: nothing at this path")
)

// GaveUpError is why a tree ended by itself: a child failed although its group had been restarted as a whole, or had a
// policy that allows no restart, or could not be restarted because it did not stop.
//
// It matches suture.ErrTerminateSupervisorTree, so that a Tree mounted in a plain suture.Supervisor ends that
// supervisor instead of being served again and again. Mounted in another Tree it is a failure like any other, and
// that child's own Restart decides.
type GaveUpError struct {
	// Who is the path of the child that could not be kept running, like "root/data/pool".
	Who string
	// Restarts counts the lives that the child has begun after its first one.
	Restarts int
	// Cause is its last failure: what Serve or Ready returned, an *actors.PanicError, or ErrStuck.
	Cause error
}

// Error tells who, after how many restarts, and the cause.
func (e *GaveUpError) Error() string {
	return fmt.Sprintf("supervisor: gave up on %s after %s: %v", e.Who, times(e.Restarts, "restart"), e.Cause)
}

// Unwrap returns the cause.
func (e *GaveUpError) Unwrap() error { return e.Cause }

// Is makes a plain suture.Supervisor end with the tree.
func (e *GaveUpError) Is(target error) bool { return target == suture.ErrTerminateSupervisorTree }

// StopError lists what was told to stop and did not within its StopTimeout. Its goroutines still run: Go has no means
// to end them.
type StopError struct {
	// Paths are the services that still ran, in the order of the tree.
	Paths []string
	// Err is the end of the caller's patience, if that came before the StopTimeouts ran out; else nil.
	Err error
}

// Error lists the services that still ran.
func (e *StopError) Error() string {
	text := "supervisor: did not stop in time: " + strings.Join(e.Paths, ", ")
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns Err.
func (e *StopError) Unwrap() error { return e.Err }

// stuckError is the failure of a child whose last life was to end, because of cause if there is one, and did not.
func stuckError(patience time.Duration, cause error) error {
	err := fmt.Errorf("%w (it had %v to stop)", ErrStuck, patience)
	if cause != nil {
		err = fmt.Errorf("%w, after: %w", err, cause)
	}
	return err
}

func times(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
