package poolactor

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func doomedNow(c *cohort) bool {
	select {
	case <-c.doom:
		return true
	default:
		return false
	}
}

var errDown = errors.New("down")

// Whatever the schedule of failures and arrivals, a waiter fails exactly when it has seen its last permitted attempt or
// has waited for the schedule's length and seen one fail, give or take the seconds in which cohorts are sealed.
func TestCohortsFailExactlyTheirOwn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := patience{failures: uint64(rapid.IntRange(1, 8).Draw(t, "permitted")), length: 3 * time.Second}
		var cs cohorts
		cs.open()
		type waiter struct {
			c     *cohort
			born  uint64
			since time.Time
		}
		var (
			waiters  []waiter
			failures uint64
			now      = time.Unix(0, 0)
		)
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 2).Draw(t, "step") {
			case 0:
				waiters = append(waiters, waiter{cs.join(true), failures, now})
			case 1:
				failures++
				cs.advance(failures, now, p, func() error { return errDown })
			case 2:
				now = now.Add(time.Second)
				cs.advance(failures, now, p, func() error { return errDown })
			}
			for _, w := range waiters {
				seen, waited := failures-w.born, now.Sub(w.since)
				if doomedNow(w.c) {
					require.ErrorIs(t, w.c.cause, errDown)
					require.True(t, seen >= p.failures || seen > 0 && waited >= p.length, "seen %d, waited %v", seen, waited)
				} else {
					require.Less(t, seen, p.failures)
					require.False(t, seen > 0 && waited > p.length+time.Second, "seen %d, waited %v", seen, waited)
				}
			}
		}
	})
}

func TestCohortsFailAll(t *testing.T) {
	var cs cohorts
	cs.open()
	patient, hurried := cs.join(false), cs.join(true)
	cs.failAll(errDown, 3, false)
	require.True(t, doomedNow(patient) && doomedNow(hurried))
	require.False(t, doomedNow(cs.join(false)), "later callers wait again")
	require.EqualValues(t, 3, cs.join(true).born)

	cs.failAll(ErrClosed, 3, true)
	require.True(t, doomedNow(cs.join(false)) && doomedNow(cs.join(true)), "a final error meets later callers, too")
	cs.failAll(errDown, 3, true)
	require.ErrorIs(t, cs.join(false).cause, ErrClosed, "the first final error stays")
	require.Zero(t, cs.advance(9, time.Now(), patience{failures: 1}, func() error { return errDown }))
}
