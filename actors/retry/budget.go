package retry

import (
	"slices"
	"sync"
	"time"
)

// The promise is at most 80 calls of DialFunc for one address in any 5 s of outage. Scheduled attempts are few and always
// made; scouts and detours leave room for them. 66 scouts (one every 75 ms), the first four dials and three scheduled
// attempts come to 73, so neither bound is met in the usual case. The window is a little longer, since a call is counted
// before it is made.
const (
	budgetWindow = 5100 * time.Millisecond
	scoutBudget  = 77
	detourBudget = 72
)

// budget counts calls of DialFunc since the last log-in, by address. It outlives crashes of the actor.
type budget struct {
	mu    sync.Mutex
	calls map[string][]time.Time // oldest first
}

func newBudget() *budget { return &budget{calls: make(map[string][]time.Time)} }

func (b *budget) spend(address string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls[address] = append(lately(b.calls[address], now), now)
}

// spent is how many calls were made for an address within the window.
func (b *budget) spent(address string, now time.Time) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(lately(b.calls[address], now))
}

// most is how many calls were made for the address that had most.
func (b *budget) most(now time.Time) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	most := 0
	for _, calls := range b.calls {
		most = max(most, len(lately(calls, now)))
	}
	return most
}

// allowedAt is the earliest time, now at the earliest, at which no address has had limit calls within the window.
func (b *budget) allowedAt(now time.Time, limit int) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := now
	for _, calls := range b.calls {
		if calls = lately(calls, now); len(calls) >= limit {
			at = later(at, calls[len(calls)-limit].Add(budgetWindow))
		}
	}
	return at
}

// clear forgets everything: somebody has logged in, so these calls belong to no outage to come.
func (b *budget) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.calls)
}

// lately is the part of calls that lies within the window.
func lately(calls []time.Time, now time.Time) []time.Time {
	first := slices.IndexFunc(calls, func(at time.Time) bool { return now.Sub(at) < budgetWindow })
	if first < 0 {
		return nil
	}
	return calls[first:]
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
