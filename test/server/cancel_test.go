package server

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// Deadlines of 15 ms against statements of 20 ms, for three seconds: the connections live on, every call is back soon,
// and no cancel request hits a statement that it was not meant for.
func TestCancelledStatementsKeepTheirConnections(t *testing.T) {
	var dials, impatiently, finished atomic.Int64
	p := open(t, func(c *poolactor.Config) { c.MaxSize = 4; counted(c, &dials) })
	var (
		mu    sync.Mutex
		worst time.Duration // of all calls: how long after its deadline it came back
	)
	impatient := func() {
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Millisecond)
		defer cancel()
		deadline, _ := ctx.Deadline()
		_, err := p.Exec(ctx, "select pg_sleep(0.02)")
		over := time.Since(deadline)
		if err == nil || !errors.Is(err, context.DeadlineExceeded) {
			finished.Add(1) // the statement was faster than the cancel request
			if err != nil {
				t.Errorf("not its own deadline: %v", err)
			}
		}
		impatiently.Add(1)
		mu.Lock()
		defer mu.Unlock()
		worst = max(worst, over)
	}
	patient := func() {
		var said *pgconn.PgError
		if _, err := p.Exec(within(t, patience), "select pg_sleep(0.001)"); errors.As(err, &said) {
			t.Errorf("hit by somebody else's cancel request: %v", err)
		} else if err != nil {
			t.Error(err)
		}
	}
	var control []time.Duration
	excess := lateness(func() {
		var group sync.WaitGroup
		end := time.Now().Add(3 * time.Second)
		bare := connect(t, pgtest.Server(t).DSN())
		group.Go(func() {
			for time.Now().Before(end) {
				control = append(control, cancelByHand(bare))
			}
		})
		for range 6 {
			group.Go(func() {
				for time.Now().Before(end) {
					impatient()
					patient()
				}
			})
		}
		group.Wait()
	})
	slow := 0
	for _, took := range control {
		if took > cancelBound {
			slow++
		}
	}
	allowed := 8 + (slow*int(impatiently.Load())+len(control)-1)/len(control)
	t.Logf("%d calls with a deadline, %d of them not cancelled, the last back %v after it; %d dials; the machine was late by %v, "+
		"and by hand %d of %d cancelled statements took longer than %v", impatiently.Load(), finished.Load(), worst, dials.Load(),
		excess, slow, len(control), cancelBound)
	require.Greater(t, impatiently.Load()-finished.Load(), int64(50), "fewer show nothing")
	require.LessOrEqual(t, dials.Load(), int64(allowed))
	require.LessOrEqual(t, worst, 50*time.Millisecond+excess)
}

// cancelBound is the time in which a server is to answer a cancelled statement; after that its connection is closed.
const cancelBound = 30 * time.Millisecond

// cancelByHand is the control: the same statement, cancelled at the same time, on a connection without a pool. It
// returns how long the answer took from then on.
func cancelByHand(conn *pgx.Conn) time.Duration {
	var due time.Time
	sent := make(chan struct{})
	time.AfterFunc(15*time.Millisecond, func() {
		defer close(sent)
		due = time.Now()
		_ = conn.PgConn().CancelRequest(context.Background()) // late is as good as lost
	})
	_, _ = conn.PgConn().Exec(context.Background(), "select pg_sleep(0.02)").ReadAll() // 57014 is what it is for
	answered := time.Now()
	<-sent
	return answered.Sub(due)
}

// lateness measures, while f runs, how late this machine wakes a goroutine that waits for a millisecond: what a bound
// in time has to allow for beside what the pool does.
func lateness(f func()) (worst time.Duration) {
	done, measured := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(measured)
		for {
			began := time.Now()
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
				worst = max(worst, time.Since(began)-time.Millisecond)
			}
		}
	}()
	f()
	close(done)
	<-measured
	return worst
}

func TestACallWithoutADeadlineIsBoundedByAcquireTimeout(t *testing.T) {
	p := open(t, func(c *poolactor.Config) { c.MaxSize = 1; c.AcquireTimeout = 50 * time.Millisecond })
	l := acquire(t, p)
	defer l.Release()
	_, err := p.Acquire(context.Background())
	var exhausted *poolactor.ExhaustedError
	require.ErrorAs(t, err, &exhausted)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.GreaterOrEqual(t, exhausted.Waited, 50*time.Millisecond)
	require.EqualValues(t, pidOf(t, l), exhausted.Holders[0].PID)

	released := time.AfterFunc(150*time.Millisecond, l.Release)
	defer released.Stop()
	next, err := p.Acquire(within(t, patience))
	require.NoError(t, err, "a call with a deadline waits until that")
	next.Release()

	// The lease itself is not bounded by it.
	_, err = p.Exec(context.Background(), "select pg_sleep(0.2)")
	require.NoError(t, err)
}
