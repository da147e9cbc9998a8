package health

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// Sign is what an error on one connection says about the server behind all of them.
type Sign int

const (
	// None says nothing: the statement was wrong, the caller's context ended, or there was no error.
	None Sign = iota
	// Own says nothing either: the connection was ended on purpose, by us or by a time-out that was asked for.
	Own
	// Death is a connection whose other end is gone: others may have died with it.
	Death
	// Timeout is a silence: the server may be a black hole to all connections.
	Timeout
	// ReadOnly is a write that was refused because the transaction, or the server, is read-only.
	ReadOnly
)

// String names the sign for logs.
func (s Sign) String() string {
	switch s {
	case None:
		return "none"
	case Own:
		return "own"
	case Death:
		return "death"
	case Timeout:
		return "timeout"
	case ReadOnly:
		return "read-only"
	default:
		return "unknown"
	}
}

// ErrOwn marks an error whose cause is our own doing, as a revoked lease or a connection that was too old. Whoever cuts a
// socket wraps it into the error that comes of it, so that Grade answers Own.
var ErrOwn = errors.New("health: the connection was ended on purpose")

// deadErrnos are what the system says of a connection whose other end is gone.
var deadErrnos = []error{
	syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE,
	syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ENETDOWN,
}

// deadSockets are what the libraries say of it. pgconn.ErrConnClosed is among them because it is all that is left of an
// EOF inside a statement of the simple protocol.
var deadSockets = []error{
	io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, net.ErrClosed, pgconn.ErrConnClosed,
}

// Grade says what an error on a connection means for the others. It is pure and safe from any goroutine.
//
//	the error, or what it wraps                                    its sign
//	nil, a context's error                                         None
//	ErrOwn                                                         Own
//	57P05 (idle session), 25P03 (idle in transaction)              Own
//	57P01, 57P02 (shut down, crashed), 57P04 (database dropped)    Death
//	25006                                                          ReadOnly
//	any other answer of the server                                 None
//	an expired deadline of the socket, ETIMEDOUT                   Timeout
//	EOF, reset, broken pipe, closed socket, host unreachable       Death
//	anything else                                                  None
//
// Where several apply, the one higher in the table wins, but an answer of the server counts before a context's error.
// A context's error is its caller's own deadline and says nothing about the server; a check that ran out of the pool's
// own bound is a Timeout, which only the pool can know. A look that found a socket closed or readable is a Death.
//
// A connection dies once: only the error that ended it should be graded, not what later uses of it return.
func Grade(err error) Sign {
	var answer *pgconn.PgError
	switch {
	case err == nil:
		return None
	case errors.Is(err, ErrOwn):
		return Own
	case errors.As(err, &answer):
		return gradeCode(answer.Code)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return None
	case isTimeout(err):
		return Timeout
	case isAny(err, deadErrnos), isAny(err, deadSockets):
		return Death
	default:
		return None
	}
}

func gradeCode(sqlState string) Sign {
	switch sqlState {
	case "57P01", "57P02", "57P04":
		return Death
	case "57P05", "25P03":
		return Own
	case "25006":
		return ReadOnly
	default:
		return None
	}
}

func isTimeout(err error) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	var network net.Error
	return errors.As(err, &network) && network.Timeout()
}

func isAny(err error, targets []error) bool {
	return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
}
