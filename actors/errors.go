package actors

import (
	"errors"
	"fmt"
)

var (
	// ErrNoActor answers every use of the zero Ref.
	ErrNoActor = errors.New("actors: the reference leads to no actor")
	// ErrStopped means that the actor was stopped for good. The message was not taken, so it is safe to send it elsewhere.
	ErrStopped = errors.New("actors: the actor is stopped")
	// ErrFull means that the mailbox has no room now.
	ErrFull = errors.New("actors: the mailbox is full")
	// ErrCrashed means that the life which took the message ended without an answer, so its effect is unknown. The
	// error that carries it is a *CrashedError.
	ErrCrashed = errors.New("actors: the actor crashed")
	// ErrSelfAsk means that an actor waited for itself, which would never end.
	ErrSelfAsk = errors.New("actors: an actor cannot ask itself")
	// ErrRunning answers a Serve while another life of the same actor has not ended.
	ErrRunning = errors.New("actors: a life of this actor is still running")
	// ErrGoexit is the value of a PanicError that reports a runtime.Goexit.
	ErrGoexit = errors.New("runtime.Goexit was called")

	errOrderedStop = errors.New("it was stopped")
	errNoReason    = errors.New("actors: the request was refused without a reason")
)

// PanicError is how a panic or a runtime.Goexit is reported that ended a life.
type PanicError struct {
	// Value is what was given to panic, ErrGoexit for a runtime.Goexit.
	Value any
	// Stack is the goroutine's stack at that place.
	Stack []byte
}

// Error tells the value, without the stack.
func (e *PanicError) Error() string {
	if e.Value == ErrGoexit {
		return ErrGoexit.Error()
	}
	return fmt.Sprintf("panic: %v", e.Value)
}

// Unwrap is the value, if that is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// CrashedError answers a request whose actor took it and then ended its life without an answer: by a crash, or because it
// was stopped. It matches ErrCrashed, and the error that ended the life.
type CrashedError struct {
	// Actor is the name of the actor that was asked.
	Actor string
	// Err is how the life ended.
	Err error
}

// Error names the actor and tells how the life ended.
func (e *CrashedError) Error() string {
	return fmt.Sprintf("actors: %s ended its life before it answered: %v", e.Actor, e.Err)
}

// Is matches ErrCrashed.
func (e *CrashedError) Is(target error) bool { return target == ErrCrashed }

// Unwrap is how the life ended.
func (e *CrashedError) Unwrap() error { return e.Err }
