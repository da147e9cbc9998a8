package messages

import "time"

// Acquire asks the pool for a lease. The zero value waits as long as a call without a deadline does.
type Acquire struct {
	// Deadline ends the wait; zero means that the caller has none: then the pool gives up when its retry schedule is
	// exhausted. A deadline of the context that the caller asks with ends the wait, too, but is not known beforehand.
	Deadline time.Time
	// Label names the caller in the pool's list of holders; empty means none.
	Label string
}
