package backend

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// control measures what a timer and a round trip to the server take on this machine while the test runs.
type control struct {
	mu     sync.Mutex
	worst  time.Duration // how much later than the timer was due
	stalls int           // how often that was so much that a cancelled statement's answer may have come too late
}

func (l *control) run(ctx context.Context, t testing.TB, c *Conn) {
	for {
		due := time.Now().Add(15 * time.Millisecond)
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(due)):
		}
		if err := c.Check(context.WithoutCancel(ctx)); err != nil {
			t.Errorf("control: %v", err)
			return
		}
		l.add(time.Since(due))
	}
}

func (l *control) add(late time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.worst = max(l.worst, late)
	if late > defaultCancelBound/3 { // a cancel request takes two or three such turns
		l.stalls++
	}
}

// tally is what the callers of a test have seen.
type tally struct {
	mu               sync.Mutex
	calls, cancelled int
	worst            time.Duration // how long after its deadline a call came back
}

func (l *tally) add(late time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	l.worst = max(l.worst, late)
	if answer := (*pgconn.PgError)(nil); errors.As(err, &answer) {
		l.cancelled++
	}
}

// TestDeadlinesKeepConnections: 15 ms deadlines against 20 ms statements, on 4 connections for 3 s.
func TestDeadlinesKeepConnections(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%v", encrypted), func(t *testing.T) {
			const workers = 4
			dials, cancels := &dialer{}, &dialer{}
			cfg, options := realConfig(t, encrypted), Options{Dial: dials.Dial, CancelDial: cancels.Dial}
			ctx, stop := context.WithTimeout(t.Context(), 3*time.Second)
			defer stop()
			var machine control
			var seen tally
			var wg sync.WaitGroup
			for range workers {
				probe := open(t, realConfig(t, encrypted), Options{})
				wg.Go(func() { machine.run(ctx, t, probe) })
				wg.Go(func() {
					err := usedUp(t.Context(), cfg, options, func(c *Conn) bool {
						due := time.Now().Add(15 * time.Millisecond)
						call, cancel := context.WithDeadline(t.Context(), due)
						defer cancel()
						_, err := c.PGX().Exec(call, "select pg_sleep(0.02)")
						late := time.Since(due)
						err = Explain(call, err)
						seen.add(late, err)
						if err != nil && !errors.Is(err, context.DeadlineExceeded) {
							t.Errorf("the error does not tell the deadline: %v", err)
						}
						unhit(t, c, "select pg_sleep(0.001)")
						return ctx.Err() == nil
					})
					if err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			t.Logf("%d calls, %d cancelled by the server, %d dials, %d cancel requests; worst %v late; control %v late, %d stalls",
				seen.calls, seen.cancelled, dials.dials.Load(), cancels.dials.Load(), seen.worst, machine.worst, machine.stalls)
			require.Greater(t, cancels.dials.Load(), int64(30))
			require.LessOrEqual(t, dials.dials.Load(), int64(8+machine.stalls))
			// A cancel request and the answer are two turns at least, each of which the machine may hold up.
			require.Less(t, seen.worst, 50*time.Millisecond+2*machine.worst)
			require.Zero(t, dials.opened.Load()+cancels.opened.Load())
		})
	}
}

// usedUp gives connections to f, one after the other, each until it is no longer fit, and until f has had enough.
func usedUp(ctx context.Context, cfg *pgx.ConnConfig, o Options, f func(*Conn) (more bool)) error {
	for more := true; more; {
		c, err := Open(ctx, cfg, o)
		if err != nil {
			return err
		}
		for more && c.Fit() {
			more = f(c)
		}
		if err := c.Close(ctx); err != nil {
			return err
		}
	}
	return nil
}

// unhit runs a statement at once on a connection that has survived, as a next lease would, and fails the test if a
// cancel request for an earlier one hits it.
func unhit(t testing.TB, c *Conn, sql string) {
	t.Helper()
	if !c.Fit() {
		return
	}
	if _, err := c.PGX().Exec(context.Background(), sql); err != nil && !errors.Is(err, ErrCancelUnsettled) {
		t.Errorf("a later statement was hit: %v", err)
	}
}

// TestDeadlineAtServer: with and without TLS, the server is told and its answer comes back.
func TestDeadlineAtServer(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		c := open(t, realConfig(t, encrypted), Options{CancelBound: 5 * time.Second})
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
			_, err := c.PGX().Exec(ctx, "select pg_sleep(60)")
			err = Explain(ctx, err)
			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded)
			var answer *pgconn.PgError
			require.ErrorAs(t, err, &answer)
			require.NoError(t, c.WaitCancel(t.Context()))
			require.True(t, c.Fit())
		}
	}
}

// TestNoStrayCancel: deadlines that end together with their statements, so that many a cancel request comes too late.
// The statement after it is long enough to be hit.
func TestNoStrayCancel(t *testing.T) {
	const workers = 4
	cfg, cancels := realConfig(t, false), &dialer{}
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Second)
	defer stop()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(w)))
			err := usedUp(t.Context(), cfg, Options{CancelDial: cancels.Dial}, func(c *Conn) bool {
				limit := 800*time.Microsecond + time.Duration(random.IntN(800))*time.Microsecond
				call, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				_, err := c.PGX().Exec(call, "select pg_sleep(0.001)")
				if err = Explain(call, err); err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("the error does not tell the deadline: %v", err)
				}
				unhit(t, c, "select pg_sleep(0.002)")
				return ctx.Err() == nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	t.Logf("%d cancel requests", cancels.dials.Load())
	require.Greater(t, cancels.dials.Load(), int64(30))
}

func TestExplain(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancelLate := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancelLate()
	answer := fmt.Errorf("rows: %w", &pgconn.PgError{Severity: "ERROR", Message: "canceling statement", Code: "57014"})
	other := &pgconn.PgError{Severity: "ERROR", Code: "23505"}

	require.NoError(t, Explain(over, nil))
	require.Equal(t, answer, Explain(t.Context(), answer), "a time-out of the server")
	require.Equal(t, error(other), Explain(over, other))
	require.Equal(t, pgx.ErrNoRows, Explain(over, pgx.ErrNoRows))
	timeout := fmt.Errorf("timeout: %w", context.DeadlineExceeded)
	require.Equal(t, timeout, Explain(late, timeout))

	err := Explain(over, answer)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, answer)
	var pe *pgconn.PgError
	require.ErrorAs(t, err, &pe)
	require.EqualError(t, err, "context canceled (rows: ERROR: canceling statement (SQLSTATE 57014))")
	var timed interface{ Timeout() bool }
	require.ErrorAs(t, err, &timed)
	require.False(t, timed.Timeout())
	require.False(t, pgconn.Timeout(err))
	require.False(t, pgconn.SafeToRetry(err))

	err = Explain(late, answer)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorAs(t, err, &timed)
	require.True(t, timed.Timeout())
	require.ErrorAs(t, err, &pe)
	require.NotErrorIs(t, err, context.Canceled)
	require.True(t, pgconn.Timeout(err))
	require.True(t, pgconn.Timeout(fmt.Errorf("wrapped: %w", err)))
	require.False(t, pgconn.SafeToRetry(err), "it was sent, and may have run")
}
