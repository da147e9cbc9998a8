package poolactor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// work is what a call does that leases for itself. Each has a text of its own, by which it is found in the server's log.
type work struct {
	text     string
	attempts int // of a transaction: how many are allowed; 0: it is a statement
	collides int // how many of the first ones another transaction is in the way of
	runs     int // how often it was begun
	failed   bool
	err      error
}

// mostAttempts is how often a transaction is begun at most.
const mostAttempts = 3

// state lets somebody run a statement, which takes some time or none.
func (s *story) state(patience time.Duration, n int) bool {
	w := &work{text: fmt.Sprintf("select %d, pg_sleep(%g)", len(s.works), float64(n%4)/100)}
	s.works = append(s.works, w)
	s.call(patience, w, func(ctx context.Context, label string) (*Lease, error) {
		_, err := s.p.Exec(WithLabel(ctx, label), w.text)
		return nil, err
	})
	return true
}

// transact lets somebody run a transaction, again if need be, which takes some time or none.
func (s *story) transact(patience time.Duration, n int) bool {
	w := &work{text: fmt.Sprintf("insert into done values (%d)", len(s.works)), attempts: mostAttempts, collides: n % (mostAttempts + 1)}
	s.works = append(s.works, w)
	collision := []string{"fail 40001", "fail 40P01"}[n/4%2]
	policy := RetryPolicy{MaxAttempts: mostAttempts, Initial: -1}
	s.call(patience, w, func(ctx context.Context, label string) (*Lease, error) {
		return nil, s.p.Retry(WithLabel(ctx, label), policy, func(ctx context.Context, tx pgx.Tx) error {
			w.runs++
			if _, err := tx.Exec(ctx, w.text); err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, fmt.Sprintf("select pg_sleep(%g)", float64(n/8)/100)); err != nil {
				return err
			}
			if w.runs <= w.collides {
				_, err := tx.Exec(ctx, collision)
				return err
			}
			return nil
		})
	})
	return true
}

// busy is how many calls work, or wait to.
func (s *story) busy() (n int) {
	for _, w := range s.waiters {
		if w.work != nil {
			n++
		}
	}
	return n
}

// worked judges what a call was told that was to work; false: what it was told is about its wait.
func (s *story) worked(w *waiter) bool {
	w.work.failed, w.work.err = w.err != nil, w.err
	var gaveUp *RetryError
	switch {
	case w.err == nil:
		s.endings[done]++
		if w.work.runs > 1 {
			s.endings[doneAgain]++
		}
		if w.work.attempts > 0 && w.work.runs <= w.work.collides {
			s.fail("a transaction succeeded in attempt %d, though %d had to collide", w.work.runs, w.work.collides)
		}
		return true
	case errors.As(w.err, &gaveUp) && gaveUp.Err == nil:
		s.endings[exhaustedAttempts]++
		if gaveUp.Attempts != mostAttempts || w.work.runs < w.work.collides {
			s.fail("a transaction was given up after %d runs: %v", w.work.runs, w.err)
		}
		return true
	case w.work.attempts == 0 && s.lostOne(w):
		s.endings[lost]++
		return true
	default:
		return false
	}
}

// lostOne tells whether a statement failed by the death of a backend: one that died while it ran, or just before, and
// that has failed no other.
func (s *story) lostOne(w *waiter) bool {
	var unavailable *UnavailableError
	if errors.Is(w.err, context.Canceled) || errors.Is(w.err, context.DeadlineExceeded) || errors.As(w.err, &unavailable) ||
		errors.Is(w.err, ErrTooManyWaiters) || errors.Is(w.err, ErrShed) {
		return false
	}
	for pid, died := range s.died {
		if !s.blamed[pid] && !died.Before(w.began.Add(-2*time.Millisecond)) && !died.After(w.ended) {
			s.blamed[pid] = true
			return true
		}
	}
	return false
}

// ledgerIsRight holds the server's log against what callers were told: nothing ran twice that could have had an effect,
// what was acknowledged did happen, what failed for certain did not.
func (s *story) ledgerIsRight() {
	ran, open := make(map[string]int), make(map[uint32][]string)
	for _, line := range s.server.Log() {
		pending, inTx := open[line.PID]
		switch {
		case line.SQL == "begin":
			open[line.PID] = nil
		case line.SQL == "commit":
			for _, text := range pending {
				ran[text]++
			}
			delete(open, line.PID)
		case line.SQL == "rollback":
			delete(open, line.PID)
		case inTx:
			open[line.PID] = append(pending, line.SQL)
		default:
			ran[line.SQL]++
		}
	}
	for _, w := range s.works {
		switch n := ran[w.text]; {
		case n > 1, n == 0 && !w.failed:
			s.fail("%q was done %d times; its caller was told: %v", w.text, n, w.err)
		case n > 0 && w.failed && w.attempts > 0 && !errors.Is(w.err, ErrOutcomeUnknown):
			s.fail("%q was done, but its caller was told: %v", w.text, w.err)
		}
	}
}
