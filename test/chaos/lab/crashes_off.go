//go:build !failpoint

package lab

// crashes are only in builds with failpoints.
func crashes() []Row { return nil }

// closingsInBackoff are, too.
func closingsInBackoff() []Row { return nil }
