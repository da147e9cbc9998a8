//go:build failpoint

package poolactor

import (
	"strings"
	"sync/atomic"

	"github.com/seed-4ff2b7b9/supervised/internal/failpoint"
)

// crash makes the pool actor panic after some more of its steps, in this turn or a later one.
func (s *story) crash(n int) bool {
	var left atomic.Int64
	left.Store(int64(1 + 4*n))
	failpoint.Set(func(name string) {
		if strings.HasPrefix(name, "actor.") && left.Add(-1) == 0 {
			panic("injected at " + name)
		}
	})
	return true
}

func noMoreCrashes() { failpoint.Set(nil) }
