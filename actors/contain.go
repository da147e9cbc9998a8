package actors

import "runtime/debug"

// outcome is how a function ended that returned err, or did not return. A deferred function asks, with its recover(), so
// that the stack is still the one that panicked.
func outcome(returned bool, recovered any, err error) error {
	if returned {
		return err
	}
	if recovered == nil {
		recovered = ErrGoexit
	}
	return &PanicError{Value: recovered, Stack: debug.Stack()}
}

// contained runs f to its end, in a goroutine of its own, so that a runtime.Goexit in it ends nothing else.
func contained(f func() error) (err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		returned := false
		defer func() { err = outcome(returned, recover(), err) }()
		err = f()
		returned = true
	}()
	<-done
	return err
}
