package poolactor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed-4ff2b7b9/supervised/actors"
)

// RetryPolicy says how Retry repeats a transaction. The zero value is a good choice.
type RetryPolicy struct {
	// TxOptions are those of each attempt.
	TxOptions pgx.TxOptions
	// MaxAttempts is how often the transaction is begun at most. Default 10; negative: until the context ends.
	MaxAttempts int
	// Initial is the wait before the second attempt; each further wait is twice as long, up to Max. Each is shortened by
	// up to half of it, at random, so that transactions that were in each other's way part. Default 10 ms and 1 s;
	// negative: no wait.
	Initial, Max time.Duration
}

// The defaults of a RetryPolicy. Nine waits add up to 3.3 s at most.
const (
	defaultAttempts     = 10
	defaultRetryInitial = 10 * time.Millisecond
	defaultRetryMax     = time.Second
	retryJitter         = 0.5
)

func (r RetryPolicy) withDefaults() RetryPolicy {
	fill(&r.MaxAttempts, defaultAttempts)
	fill(&r.Initial, defaultRetryInitial)
	fill(&r.Max, max(defaultRetryMax, r.Initial))
	return r
}

// pause waits before the attempt that follows the given one, or returns the context's error.
func (r RetryPolicy) pause(ctx context.Context, after int) error {
	wait := time.NewTimer(actors.Backoff(r.Initial, r.Max, after-1, retryJitter*rand.Float64()))
	defer wait.Stop()
	select {
	case <-wait.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// RetryError says that Retry gave up on a transaction that could have been repeated. Nothing of it is in the database.
type RetryError struct {
	Attempts int   // how many attempts failed so that another one was allowed
	Last     error // why the last of them failed
	Err      error // why there was no other: an error of the context's; nil: MaxAttempts was reached
}

// Error says how many attempts there were and why the last one failed.
func (e *RetryError) Error() string {
	attempts := "attempts"
	if e.Attempts == 1 {
		attempts = "attempt"
	}
	said := fmt.Sprintf("poolactor: gave up on the transaction after %d %s; the last failed with: %v", e.Attempts, attempts, e.Last)
	if e.Err != nil {
		said += fmt.Sprintf("; there was no other: %v", e.Err)
	}
	return said
}

// Unwrap gives the cause of the last attempt's failure, and the context's error if that ended the attempts.
func (e *RetryError) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Last}
	}
	return []error{e.Err, e.Last}
}

// Retry is WithTx that runs the whole transaction again when that is known to be harmless and promises success:
//
//   - after a serialization failure (SQLSTATE 40001) or a deadlock (40P01), also if COMMIT was answered so,
//   - after the loss of the connection before COMMIT was sent.
//
// f must not mind to run more than once, and should return the errors of its statements, wrapped or not: an error of
// f's own that wraps none of the above ends Retry at once and is returned as it is. A panic of f rolls back and passes on.
// A loss after COMMIT was sent is never repeated; its error matches ErrOutcomeUnknown. Nor is anything once f has called
// Commit itself: the outcome is that of its Commit then. After a Rollback of its own f has to return an error; if it
// returns nil, Retry returns pgx.ErrTxClosed. f must not end the transaction by a statement (Exec of "commit"), which
// the pool cannot tell from others. A connection that the server ended because it was idle for too long (SQLSTATE 25P03,
// 57P05) is not taken for lost, if that answer could be read: it would be idle as long again.
//
// Each attempt leases a connection, and waits for it as Acquire does; none is held between attempts. With f's context,
// an Acquire that finds the pool exhausted says so, as with With. When ctx ends, or MaxAttempts is reached, the error is a
// *RetryError with the last cause.
func (p *Pool) Retry(ctx context.Context, r RetryPolicy, f func(context.Context, pgx.Tx) error) error {
	r = r.withDefaults()
	var last error
	calls := p.own
	for attempt := 1; ; attempt++ {
		again, err := p.transact(ctx, calls, r.TxOptions, f)
		calls = p.own.next()
		switch {
		case err == nil:
			return nil
		case !again && last != nil && ctx.Err() != nil:
			return &RetryError{Attempts: attempt - 1, Last: last, Err: err}
		case !again:
			return err
		case attempt == r.MaxAttempts:
			return &RetryError{Attempts: attempt, Last: err}
		}
		last = err
		if err := r.pause(ctx, attempt); err != nil {
			return &RetryError{Attempts: attempt, Last: last, Err: err}
		}
	}
}

// transact runs f in one transaction, and tells whether it failed in a way that allows to run it again.
func (p *Pool) transact(
	ctx context.Context, calls *calls, o pgx.TxOptions, f func(context.Context, pgx.Tx) error,
) (again bool, err error) {
	var t *tx
	l, err := calls.begun(ctx, func(l *Lease) (err error) {
		t, err = l.beginTx(ctx, o)
		return err
	})
	if l == nil {
		return false, err
	}
	defer calls.release(l)
	if err != nil {
		return l.repeatable(err), err
	}
	if err := f(context.WithValue(ctx, heldKey{p}, true), t); err != nil {
		again := !t.tried && l.repeatable(err)
		if ctx.Err() == nil { // else Release has it done, and the caller is told at once
			if rest := p.rollback(ctx, t); rest != nil {
				err = errors.Join(err, rest)
			}
		}
		return again, err
	}
	if t.tried {
		return false, t.outcome
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	err = t.Commit(ctx)
	return l.repeatable(err), err
}

// repeatable tells whether a transaction on the lease that failed with err did nothing, and may succeed next time.
func (l *Lease) repeatable(err error) bool {
	return err != nil && !errors.Is(err, ErrOutcomeUnknown) && (collided(err) || l.lost(err))
}

// collided tells whether the server ended a transaction for the sake of another one that ran beside it.
func collided(err error) bool {
	var answer *pgconn.PgError
	return errors.As(err, &answer) && (answer.Code == "40001" || answer.Code == "40P01")
}
