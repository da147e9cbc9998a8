//go:build !failpoint

package lab

import "math/rand/v2"

// crashSteps are only in builds with failpoints.
var crashSteps []func(*rand.Rand) deed
