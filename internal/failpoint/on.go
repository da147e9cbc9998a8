//go:build failpoint

package failpoint

import "sync/atomic"

// Enabled tells whether the marks are alive in this build.
const Enabled = true

var hook atomic.Pointer[func(name string)]

// Hit marks a place and runs the hook that Set installed, in the goroutine that passes by. The hook may panic.
func Hit(name string) {
	if f := hook.Load(); f != nil {
		(*f)(name)
	}
}

// Set installs the hook, replacing an earlier one; nil removes it. Safe for concurrent use.
func Set(f func(name string)) {
	if f == nil {
		hook.Store(nil)
		return
	}
	hook.Store(&f)
}
