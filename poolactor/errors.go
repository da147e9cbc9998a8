package poolactor

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/seed-4ff2b7b9/supervised/actors"
	"github.com/seed-4ff2b7b9/supervised/messages"
)

// The errors that a caller can match with errors.Is.
var (
	// ErrClosed: the pool was closed, by Shutdown or Close.
	ErrClosed = errors.New("poolactor: the pool is closed")
	// ErrReleased: the lease was released before.
	ErrReleased = errors.New("poolactor: the lease was released")
	// ErrRevoked: the pool took the lease away and closed its connection, because it was held for longer than
	// Config.LeaseMaxAge or because the pool ended.
	ErrRevoked = errors.New("poolactor: the lease was revoked and its connection closed")
	// ErrBusy: another statement, or unread rows, are using the lease. A lease serves one statement at a time; close
	// the rows or the batch first, or acquire a second lease.
	ErrBusy = errors.New("poolactor: the lease is busy with another statement or with rows that were not closed")
	// ErrStopped: the pool's actors gave up; the wrapped cause says which and why.
	ErrStopped = errors.New("poolactor: the pool has stopped")
	// ErrTooManyWaiters: the call did not wait, because Config.MaxWaiters others do already. It comes with an
	// *ExhaustedError, or, in an outage, with an *UnavailableError.
	ErrTooManyWaiters = errors.New("poolactor: too many calls wait for a connection already")
	// ErrShed: the call did not wait, because its deadline would pass before a connection becomes free, as things are;
	// see Config.ShedByDeadline. It comes with an *ExhaustedError.
	ErrShed = errors.New("poolactor: the deadline would pass before a connection becomes free")
	// ErrOutcomeUnknown: the connection was lost after a COMMIT was sent and before its answer came, so it is not known
	// whether the transaction is in the database; or a shared statement was sent and its answer did not come, so the same
	// holds for the transaction that it was by itself.
	ErrOutcomeUnknown = errors.New("poolactor: the outcome of the commit is unknown")
)

// Target names the server that a pool connects to, without secrets.
type Target = messages.Target

// ExhaustedError says that a call got no connection because every one was in use, or, if nobody holds any, because none
// was ready: Pending says what the pool was doing.
type ExhaustedError struct {
	Waited  time.Duration // how long this call waited
	Waiting int           // how many other calls wait
	Holders []Holder      // who holds what, longest first
	Pending Pending       // where the connections are that nobody holds
	// Self is true if the call was made with the context that With or WithTx handed to a function: the caller holds a
	// lease itself, and waits for its own.
	Self bool
	// Forecast is how long the call would have waited, and Left what its deadline left it, if it was shed; else zero.
	Forecast, Left time.Duration
	Err            error // the context's error, ErrTooManyWaiters or ErrShed
}

// Error says how long the call waited, how many others wait, who holds connections, and what else the pool waits for.
func (e *ExhaustedError) Error() string {
	var b strings.Builder
	end := ""
	switch {
	case errors.Is(e.Err, ErrTooManyWaiters):
		b.WriteString(ErrTooManyWaiters.Error())
		end = "try again later, hold leases for a shorter time, or raise MaxWaiters or the pool's size"
	case errors.Is(e.Err, ErrShed):
		fmt.Fprintf(&b, "%v: in about %v, and %v are left", ErrShed, rounded(e.Forecast), rounded(e.Left))
		end = "try again later, give the call more time, hold leases for a shorter time, or raise the pool's size"
	default:
		fmt.Fprintf(&b, "poolactor: no connection became free within %v", rounded(e.Waited))
		end = fmt.Sprint(e.Err)
	}
	fmt.Fprintf(&b, " (%d leased, ", len(e.Holders))
	if pending := e.Pending.String(); pending != "" {
		b.WriteString(pending + ", ")
	}
	fmt.Fprintf(&b, "%d waiting)", e.Waiting)
	if e.Pending.Suspended {
		b.WriteString("; the pool is suspended")
	}
	if silent := rounded(e.Pending.Silent); silent > 0 {
		fmt.Fprintf(&b, "; the server has owed an answer for %v", silent)
	}
	if e.Self {
		b.WriteString("; the caller holds a lease itself: use the one that With or WithTx handed to the function, or raise the pool's size")
	}
	for i, h := range e.Holders {
		if i == 3 {
			fmt.Fprintf(&b, "; and %d more", len(e.Holders)-i)
			break
		}
		b.WriteString("; ")
		b.WriteString(h.String())
	}
	b.WriteString(": " + end)
	return b.String()
}

func rounded(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// Unwrap gives the context's error, ErrTooManyWaiters or ErrShed.
func (e *ExhaustedError) Unwrap() error { return e.Err }

// UnavailableError says that the wait for a connection ended while the server let nobody in.
type UnavailableError struct {
	Target   Target        // which server
	Attempts int           // scheduled attempts that failed since the outage began
	Since    time.Time     // when the first of them failed
	NextIn   time.Duration // until the next scheduled attempt
	Refused  bool          // the server refused for good: waiting does not help
	// Silent: nothing has failed yet, but the server owes answers to checks or dials since Since, and nobody holds a
	// connection.
	Silent bool
	Err    error // the last cause; also matches the context's error if that ended the wait
}

// Error says which server, since when, how often it was tried, when the next attempt is due, and the last cause.
func (e *UnavailableError) Error() string {
	since := fmt.Sprintf("since %s (%v ago)", e.Since.Format(time.RFC3339), time.Since(e.Since).Round(100*time.Millisecond))
	if e.Silent {
		return fmt.Sprintf("poolactor: %s owes an answer %s: %v", address(e.Target), since, e.Err)
	}
	what := "is unavailable"
	if e.Refused {
		what = "refuses the connection"
	}
	attempts := "attempts"
	if e.Attempts == 1 {
		attempts = "attempt"
	}
	return fmt.Sprintf("poolactor: %s %s %s: %d %s failed, next in %v: %v",
		address(e.Target), what, since, e.Attempts, attempts, e.NextIn.Round(10*time.Millisecond), e.Err)
}

// Unwrap gives the last cause.
func (e *UnavailableError) Unwrap() error { return e.Err }

// SuspendError says what was still out when the context of a Suspend ended. The pool stays suspended.
type SuspendError struct {
	Holders  []Holder // who holds a lease, longest first
	Cleaning int      // sessions that came back and are being made fit
	Err      error    // the context's error
}

// Error counts what is out, and names the holders.
func (e *SuspendError) Error() string {
	var b strings.Builder
	b.WriteString("poolactor: suspend: not everything has come back")
	fmt.Fprintf(&b, " (%d leased, %d being cleaned); nothing is handed out before Resume: %v", len(e.Holders), e.Cleaning, e.Err)
	for _, h := range e.Holders {
		b.WriteString("; ")
		b.WriteString(h.String())
	}
	return b.String()
}

// Unwrap gives the context's error.
func (e *SuspendError) Unwrap() error { return e.Err }

// ShutdownError says what was still out when a shutdown ran out of time. Those leases were revoked.
type ShutdownError struct {
	Holders []Holder // whose leases they were, the longest held first
	Err     error    // the context's error, or what else went wrong
}

// Error names the holders.
func (e *ShutdownError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "poolactor: shutdown: %v", e.Err)
	for _, h := range e.Holders {
		b.WriteString("; revoked: ")
		b.WriteString(h.String())
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *ShutdownError) Unwrap() error { return e.Err }

// panicked is the error of a recovered panic, with its stack.
func panicked(v any) error { return &actors.PanicError{Value: v, Stack: debug.Stack()} }
