package messages

import "time"

// Order asks the retry actor for one new connection. It is a claim on a slot of the pool, taken by compare-and-swap:
// whoever holds the Order owes the pool exactly one outcome.
type Order struct {
	// Slot is the index of the slot that waits for the connection.
	Slot int
	// Scout marks an order that was placed in spite of the backoff, to find the end of an outage early.
	// It does not count as a scheduled attempt.
	Scout bool
}

// ToRetry is what the retry actor's mailbox takes: a sealed set of small structs.
type ToRetry interface{ toRetry() }

// DialsWanted is the pool's hint that at least one slot waits for a connection. It may be lost or doubled.
type DialsWanted struct{}

func (DialsWanted) toRetry() {}

// PlaceWanted is the pool's hint that a scout finds no place below the pool's size, because dials take all of them: one
// that hangs is to make room. It may be lost or doubled.
type PlaceWanted struct{}

func (PlaceWanted) toRetry() {}

// Outage is what is known about a server that does not let anybody log in. The zero Outage means that nothing is wrong.
// It is a word, not a message: the retry actor publishes it whole, and its next life begins with what it finds there.
type Outage struct {
	// Since is when the first attempt of this outage failed; zero while the server is believed to be up.
	Since time.Time
	// Attempts counts the scheduled attempts that failed in this outage. Scouts, 57P03 and 53300 do not count.
	Attempts int
	// Failures counts the scheduled attempts that failed in the pool's whole life: it only grows, also across outages,
	// so a waiter learns from the difference how many it has seen.
	Failures uint64
	// NotBefore is when the next scheduled attempt may begin; zero means at once.
	NotBefore time.Time
	// Cause is the last failure, free of secrets.
	Cause error
	// Refused says that the server refused for good (a wrong password, say): waiting does not help.
	Refused bool
}
