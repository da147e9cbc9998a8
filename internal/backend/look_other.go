//go:build !unix || aix || solaris

package backend

import "syscall"

// newPeek returns nil where the system cannot peek.
func newPeek(syscall.RawConn) looker { return nil }
