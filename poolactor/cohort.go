package poolactor

import (
	"sync"
	"sync/atomic"
	"time"
)

// cohort is a group of waiters that fail together. Nobody is woken only to wait again: a cohort's doom is closed once,
// with the cause stored first.
type cohort struct {
	doom  chan struct{}
	cause error
	// born is the number of scheduled failures when the cohort was opened; its members have seen all later ones.
	born uint64
	// sealed is when the last member can have come; zero while the cohort takes members.
	sealed time.Time
}

func newCohort(born uint64) *cohort { return &cohort{doom: make(chan struct{}), born: born} }

func (c *cohort) fail(cause error) {
	c.cause = cause
	close(c.doom)
}

// patience is how long calls without a deadline wait in an outage.
type patience struct {
	failures uint64        // scheduled attempts a waiter may see fail: 1 + max_retries
	length   time.Duration // the retry schedule's whole length
}

// exhausted tells whether the waiters of a cohort have seen their last permitted attempt, or have seen one fail and
// waited for the schedule's whole length.
func (p patience) exhausted(born, failures uint64, sealed, now time.Time) bool {
	seen := failures - born
	if seen >= p.failures {
		return true
	}
	return seen > 0 && !sealed.IsZero() && now.Sub(sealed) >= p.length
}

// cohorts holds every cohort with members. Joining is one atomic load; everything else is rare and takes the lock.
type cohorts struct {
	patient atomic.Pointer[cohort] // of callers with a deadline: doomed by final errors only
	hurried atomic.Pointer[cohort] // of callers without one that come now

	mu    sync.Mutex
	old   []*cohort // hurried ones that take no more members
	final bool      // the last error was told: later callers find their cohort doomed
}

func (cs *cohorts) open() {
	cs.patient.Store(newCohort(0))
	cs.hurried.Store(newCohort(0))
}

func (cs *cohorts) join(hurry bool) *cohort {
	if hurry {
		return cs.hurried.Load()
	}
	return cs.patient.Load()
}

// advance seals the current cohort, so that callers who come later count from here, and fails those that waited long
// enough. It returns how many cohorts were failed.
func (cs *cohorts) advance(failures uint64, now time.Time, p patience, cause func() error) int {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.final {
		return 0
	}
	c := cs.hurried.Load()
	cs.hurried.Store(newCohort(failures))
	c.sealed = now
	cs.old = append(cs.old, c)
	kept, failed := cs.old[:0], 0
	for _, c := range cs.old {
		if p.exhausted(c.born, failures, c.sealed, now) {
			c.fail(cause())
			failed++
		} else {
			kept = append(kept, c)
		}
	}
	clear(cs.old[len(kept):])
	cs.old = kept
	return failed
}

// failAll fails every waiter. A final error meets every later caller, too; the first final error stays.
func (cs *cohorts) failAll(cause error, failures uint64, final bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.final {
		return
	}
	cs.final = final
	doomedOnes := append(cs.old, cs.patient.Load(), cs.hurried.Load())
	cs.old = nil
	if !final {
		cs.patient.Store(newCohort(failures))
		cs.hurried.Store(newCohort(failures))
	}
	for _, c := range doomedOnes {
		c.fail(cause)
	}
}
