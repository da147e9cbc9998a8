package poolactor

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

func withMaxWaiters(n, size int) func(*Config) {
	return func(c *Config) {
		neverChecked(size)(c)
		c.MaxWaiters = n
	}
}

func TestMaxWaitersCanBeOff(t *testing.T) {
	server := fakepg.New()
	defer server.Close()
	for _, off := range []int{0, -1} {
		cfg := fakeConfig(server)
		cfg.MaxWaiters = off
		p, err := New(cfg)
		require.NoError(t, err)
		p.waiting.Store(1 << 30)
		require.NoError(t, p.count(t.Context(), t.Context(), newcomer))
	}
}

// turnedAway is the error of a call that is told at once.
func turnedAway(t *testing.T, ctx context.Context, p *Pool) error {
	t.Helper()
	began := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	defer time.AfterFunc(time.Hour, cancel).Stop() // it is not to hang if it fails
	_, err := p.Acquire(ctx)
	require.Error(t, err)
	require.Zero(t, time.Since(began))
	require.NotErrorIs(t, err, context.DeadlineExceeded, "its deadline has not passed")
	return err
}

func TestOneWaiterTooManyIsToldAtOnce(t *testing.T) {
	inMemory(t, withMaxWaiters(2, 1), func(t *testing.T, p *Pool, server *fakepg.Server) {
		held, err := p.Acquire(WithLabel(t.Context(), "report"))
		require.NoError(t, err)
		short, cancel := context.WithCancel(t.Context())
		first, second := parked(t.Context(), p), parked(short, p)

		for _, ctx := range []context.Context{t.Context(), within(t, time.Minute)} {
			err = turnedAway(t, ctx, p)
			var exhausted *ExhaustedError
			require.ErrorAs(t, err, &exhausted)
			require.ErrorIs(t, err, ErrTooManyWaiters)
			require.Zero(t, exhausted.Waited)
			require.Equal(t, 2, exhausted.Waiting)
			require.Equal(t, "report", exhausted.Holders[0].Label)
			require.ErrorContains(t, err, "too many calls wait for a connection already (1 leased, 2 waiting); report holds PID")
			require.ErrorContains(t, err, "raise MaxWaiters")
		}
		st := p.Stat()
		require.Equal(t, []int64{2, 3, 0}, []int64{st.TurnedAway, st.Waited, st.GaveUp}, "the holder waited for the dial")

		cancel()
		require.Nil(t, <-second)
		third := parked(t.Context(), p)
		require.Empty(t, third, "who gave up made room")
		atOnce(t, func() {
			held.Release()
			(<-first).Release()
			(<-third).Release()
		})
	})
}

// Calls for which a connection is there, or can be opened, wait for nobody.
func TestWhoWaitsForNobodyIsNotTurnedAway(t *testing.T) {
	inMemory(t, withMaxWaiters(1, 6), func(t *testing.T, p *Pool, server *fakepg.Server) {
		for _, what := range []string{"with nothing open", "with all at rest"} {
			var calls []<-chan *Lease
			for range 6 {
				served := make(chan *Lease, 1)
				calls = append(calls, served)
				go func() {
					l, err := p.Acquire(within(t, time.Minute))
					if err != nil {
						t.Errorf("%s: %v", what, err)
					}
					served <- l
				}()
			}
			synctest.Wait()
			waits := parked(t.Context(), p)
			require.ErrorIs(t, turnedAway(t, t.Context(), p), ErrTooManyWaiters)
			for _, c := range calls {
				(<-c).Release()
			}
			(<-waits).Release()
			synctest.Wait()
		}
		require.Equal(t, 6, server.Dials())
	})
}

func TestInAnOutageTheLimitHolds(t *testing.T) {
	inMemory(t, withMaxWaiters(2, 4), func(t *testing.T, p *Pool, server *fakepg.Server) {
		server.Stop()
		first, second := parked(within(t, time.Minute), p), parked(within(t, time.Minute), p)
		err := turnedAway(t, within(t, time.Minute), p)
		require.ErrorIs(t, err, ErrTooManyWaiters)
		var down *UnavailableError
		require.ErrorAs(t, err, &down)
		require.ErrorIs(t, err, p.Stat().Outage.Cause)
		require.ErrorContains(t, err, "too many calls wait for a connection already; the last attempt failed")
		server.Start()
		(<-first).Release()
		(<-second).Release()
	})
}

func TestTheLimitOfASuspendedAndOfAClosedPool(t *testing.T) {
	inMemory(t, withMaxWaiters(1, 4), func(t *testing.T, p *Pool, server *fakepg.Server) {
		require.NoError(t, p.WaitReady(t.Context()))
		require.NoError(t, p.Suspend(t.Context()))
		waits := parked(t.Context(), p)
		err := turnedAway(t, t.Context(), p)
		require.ErrorIs(t, err, ErrTooManyWaiters)
		require.ErrorContains(t, err, "the pool is suspended")
		require.NoError(t, p.Close())
		require.Nil(t, <-waits)
		p.waiting.Store(1) // as if it had not left yet
		require.ErrorIs(t, turnedAway(t, t.Context(), p), ErrClosed)
		p.waiting.Store(0)
	})
}

// Whoever had its turn is counted again, whatever the queue is by then.
func TestWhoHadItsTurnIsNotTurnedAway(t *testing.T) {
	p, _ := still(t, 1)
	p.cfg.MaxWaiters = 1
	put(p, 0, leased)
	p.waiting.Store(1)
	require.ErrorIs(t, p.count(t.Context(), t.Context(), newcomer), ErrTooManyWaiters)
	require.EqualValues(t, 1, p.waiting.Load())
	for _, was := range []verdict{putBack, failedCheck} {
		require.NoError(t, p.count(t.Context(), t.Context(), was))
	}
	require.EqualValues(t, 3, p.waiting.Load())
}

// A call whose connection turns out to be dead goes on, however many wait.
func TestWhoWasLetDownIsNotTurnedAway(t *testing.T) {
	always := func(c *Config) { withMaxWaiters(1, 1)(c); c.Health.OnAcquire = CheckAlways }
	inMemory(t, always, func(t *testing.T, p *Pool, server *fakepg.Server) {
		acquired(t, p).Release()
		synctest.Wait()
		server.Delay(time.Second)
		first := parked(t.Context(), p)
		require.Equal(t, 1, p.Stat().Checking, "it is not one that waits")
		second := parked(t.Context(), p)
		require.ErrorIs(t, func() error { p.waiting.Add(1); defer p.waiting.Add(-1); return turnedAway(t, t.Context(), p) }(), ErrTooManyWaiters)
		server.Delay(0)
		server.Kill(server.PIDs()[0])
		(<-first).Release()
		(<-second).Release()
	})
}

// Nor is one whose statement has to be sent on another connection, or whose transaction runs again.
func TestWhatIsRepeatedIsNotTurnedAway(t *testing.T) {
	inMemory(t, withMaxWaiters(1, 1), func(t *testing.T, p *Pool, server *fakepg.Server) {
		crowd := func() (goOn func()) {
			synctest.Wait()
			held := parked(t.Context(), p)
			waits := parked(t.Context(), p)
			return func() {
				(<-held).Release()
				(<-waits).Release()
			}
		}
		runs := 0
		var goOn func()
		require.NoError(t, p.Retry(t.Context(), RetryPolicy{Initial: time.Second}, func(ctx context.Context, tx pgx.Tx) error {
			if runs++; runs > 1 {
				return nil
			}
			time.AfterFunc(time.Millisecond, func() { goOn = crowd(); time.AfterFunc(time.Minute, goOn) })
			_, err := tx.Exec(ctx, "fail 40001")
			return err
		}))
		require.Equal(t, 2, runs)

		began := 0
		l, err := p.own.begun(t.Context(), func(l *Lease) error {
			if began++; began > 1 {
				return nil
			}
			server.Kill(server.PIDs()[0])
			p.waiting.Add(5) // others come first
			_, err := l.Exec(t.Context(), "select 1")
			return err
		})
		require.NoError(t, err)
		require.Equal(t, 2, began)
		p.waiting.Add(-5)
		l.Release()
	})
}
