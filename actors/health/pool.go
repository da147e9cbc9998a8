package health

import (
	"context"
	"time"

	"github.com/seed-4ff2b7b9/supervised/messages"
)

// Pool is what the actor asks of its pool. All methods are called from the actor's goroutine, but for Check, which is
// called from many at once; only Check may wait.
type Pool interface {
	// Waiting is how many callers wait for a connection, those of WaitReady included.
	Waiting() int
	// Outage is what is known about the server.
	Outage() messages.Outage
	// Unproved lists the slots that rest and that nothing has proved since then; the zero time lists all that rest.
	Unproved(since time.Time) []int
	// Check claims the slot and sends SELECT 1, within a bound of the pool's own; afterwards the connection rests again
	// or is dropped. A slot that no longer rests is no error. When ctx ends, Check returns soon: it is joined before
	// the next life begins.
	Check(ctx context.Context, slot int) error
	// Look looks at every resting socket, drops those that are dead, and returns their number.
	Look() int
	// Scout asks for one log-in in spite of the backoff. It may ask for what is under way already.
	Scout()
}
