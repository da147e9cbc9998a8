package actors

import "runtime/debug"

// run is a function that runs in a goroutine of its own, so that a runtime.Goexit in it ends nothing else.
type run struct {
	done chan struct{} // closed when it has ended
	err  error         // how, to be read after done: what it returned, or a *PanicError
}

// begin starts f. Whoever calls it waits for done.
func begin(f func() error) *run {
	r := &run{done: make(chan struct{})}
	go func() {
		defer close(r.done)
		returned := false
		defer func() {
			if returned {
				return
			}
			value := recover()
			if value == nil {
				value = ErrGoexit
			}
			r.err = &PanicError{Value: value, Stack: debug.Stack()}
		}()
		r.err = f()
		returned = true
	}()
	return r
}

// contained runs f to its end.
func contained(f func() error) error {
	r := begin(f)
	<-r.done
	return r.err
}
