package supervisor

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/seed-4ff2b7b9/supervised/actors"
)

// outcome is how a function ended that returned err, or did not return; if it has an err all the same, that knows more. It
// is called by a deferred function, with that function's recover(), so that the stack is still the one that panicked.
func outcome(returned bool, recovered any, err error) error {
	switch {
	case returned, recovered == nil && err != nil:
		return harmless(err)
	case recovered != nil:
		return harmless(&actors.PanicError{Value: recovered, Stack: debug.Stack()})
	default:
		return &actors.PanicError{Value: actors.ErrGoexit, Stack: debug.Stack()}
	}
}

// harmless replaces an error that panics when it is asked or printed: its methods are the service's own code, too, and
// nobody should have to contain them again.
func harmless(err error) (safe error) {
	if err == nil {
		return nil
	}
	defer func() {
		if recover() != nil {
			safe = &actors.PanicError{Value: fmt.Sprintf("an error of type %T that panics when it is used", err), Stack: debug.Stack()}
		}
	}()
	_ = err.Error()
	_ = errors.Is(err, errAgain)
	_ = stackOf(err)
	return err
}

// contained runs f in a goroutine of its own, which is joined, and turns a panic or a runtime.Goexit into an error.
func contained(f func() error) error {
	done := make(chan error, 1)
	go func() {
		var err error
		returned := false
		defer func() { done <- outcome(returned, recover(), err) }()
		err = f()
		returned = true
	}()
	return <-done
}

// stackOf is where err panicked; empty if it did not.
func stackOf(err error) string {
	var p *actors.PanicError
	if errors.As(err, &p) {
		return string(p.Stack)
	}
	return ""
}
