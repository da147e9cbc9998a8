package poolactor

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

func TestAcquireUseRelease(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		l, err := p.Acquire(t.Context())
		require.NoError(t, err)
		first := one(t, t.Context(), l, "select pg_backend_pid()")
		require.Equal(t, 1, p.Stat().Leased)
		l.Release()
		l.Release()
		_, err = l.Exec(t.Context(), "select 1")
		require.ErrorIs(t, err, ErrReleased)

		again := one(t, t.Context(), p, "select pg_backend_pid()")
		require.Equal(t, first, again, "one caller keeps one connection warm")
		require.Equal(t, 1, server.Dials())
		require.EqualValues(t, 2, p.Stat().Acquired)
	})
}

// Two connections in turns make a lone caller's queries a third slower. Whatever has put more into ready (the beginning, the
// rounds of checks, a second caller who is gone), it does not stay there.
func TestALoneCallerKeepsToOneConnection(t *testing.T) {
	inMemory(t, func(c *Config) { c.MinSize = 4 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		pass(time.Second)
		first, second := acquired(t, p), acquired(t, p)
		first.Release()
		second.Release()
		changes := func(leases int) (n int) {
			last := 0
			for range leases {
				l := acquired(t, p)
				process := one(t, t.Context(), l, "select pg_backend_pid()")
				pass(time.Millisecond)
				l.Release()
				if process != last {
					n++
				}
				last = process
			}
			return n
		}
		changes(2000) // until the actor has looked round
		require.Less(t, changes(3000), 150, "a round of checks may lay another beside it, for a few looks")
	})
}

func TestManyCallersShareFewConnections(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				for range 20 {
					if _, err := p.Exec(t.Context(), "select pg_sleep(0.001)"); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		require.LessOrEqual(t, server.PeakConnections(), 4)
		require.EqualValues(t, 640, p.Stat().Acquired)
	})
}

func TestAnOutageShorterThanTheDeadlineIsLatency(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		require.NoError(t, p.WaitReady(t.Context()))
		server.Stop()
		pass(2 * time.Millisecond) // a connection proved within the last is trusted
		began := time.Now()
		time.AfterFunc(20*time.Second, server.Start)
		require.Equal(t, 1, one(t, within(t, 30*time.Second), p, "select 1"))
		took := time.Since(began)
		require.GreaterOrEqual(t, took, 20*time.Second)
		require.LessOrEqual(t, took, 20100*time.Millisecond, "a scout finds the end of the outage")
		synctest.Wait() // the connection is handed out first, and the news told then
		require.Zero(t, p.Stat().Outage.Since)
	})
}

func TestACallWithoutADeadlineSeesTheScheduleThrough(t *testing.T) {
	inMemory(t, func(c *Config) { c.Retry.MaxRetries = 3 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		server.Stop()
		began := time.Now()
		_, err := p.Acquire(context.Background())
		require.Equal(t, 3500*time.Millisecond, time.Since(began))
		var down *UnavailableError
		require.ErrorAs(t, err, &down)
		require.Equal(t, 4, down.Attempts)
		require.Equal(t, Target{Host: "db.test", Port: 5432, Database: "app", User: "app"}, down.Target)
		require.Equal(t, began, down.Since)
		require.Equal(t, 4*time.Second, down.NextIn)
		require.Error(t, down.Err)
		require.Contains(t, err.Error(), "app@db.test:5432/app")
		require.Contains(t, err.Error(), "4 attempts failed")
		require.NotContains(t, err.Error(), "secret")
	})
}

func TestADeadlineInAnOutageNamesTheCause(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		server.Stop()
		_, err := p.Acquire(within(t, 5*time.Second))
		var down *UnavailableError
		require.ErrorAs(t, err, &down)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 4, down.Attempts)
	})
}

func TestExhaustedNamesTheHolders(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize = 1; c.RecordStacks = true }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		l, err := p.Acquire(WithLabel(t.Context(), "report"))
		require.NoError(t, err)
		pass(3 * time.Second)
		_, err = p.Acquire(within(t, time.Second))
		var exhausted *ExhaustedError
		require.ErrorAs(t, err, &exhausted)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.False(t, exhausted.Self)
		require.Equal(t, time.Second, exhausted.Waited)
		require.Len(t, exhausted.Holders, 1)
		require.Equal(t, "report", exhausted.Holders[0].Label)
		require.Equal(t, 4*time.Second, exhausted.Holders[0].For)
		require.Contains(t, exhausted.Holders[0].Stack, "TestExhaustedNamesTheHolders")
		require.Regexp(t, `report holds PID \d+ for 4s acquired at \S+\.TestExhaustedNamesTheHolders`, err.Error())
		l.Release()
	})
}

// Whatever way a lease was taken, its holder is whoever called the pool.
func TestTheHolderIsWhoeverCalledThePool(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize = 1; c.RecordStacks = true }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		holds := func(name string) {
			t.Helper()
			h := p.Holders()
			require.Len(t, h, 1)
			require.Regexp(t, `^unlabelled holds PID \d+ for 0s acquired at \S+\.`+name+` \(.+pool_test\.go:\d+\)$`, h[0].String())
			require.Contains(t, h[0].Stack, "\n", "and the way there")
		}
		l := acquired(t, p) // the first waits for a dial
		require.Contains(t, p.Holders()[0].String(), "poolactor.acquired (")
		l.Release()
		fast, err := p.Acquire(t.Context())
		require.NoError(t, err)
		holds(`TestTheHolderIsWhoeverCalledThePool\.\S+`)
		fast.Release()
		rows, err := p.Query(t.Context(), "select 1")
		require.NoError(t, err)
		holds(`TestTheHolderIsWhoeverCalledThePool\.\S+`)
		rows.Close()
		require.NoError(t, p.Retry(t.Context(), RetryPolicy{}, func(context.Context, pgx.Tx) error {
			holds(`TestTheHolderIsWhoeverCalledThePool\.\S+`)
			return nil
		}))
	})
}

func TestAcquireInsideWithSaysWhoHoldsTheConnection(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize = 1; c.AcquireTimeout = time.Second }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		err := p.With(t.Context(), func(ctx context.Context, l *Lease) error {
			_, err := p.Acquire(ctx)
			return err
		})
		var exhausted *ExhaustedError
		require.ErrorAs(t, err, &exhausted)
		require.True(t, exhausted.Self)
		require.Contains(t, err.Error(), "the caller holds a lease itself")
		err = p.WithTx(t.Context(), pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
			_, err := p.Exec(ctx, "select 1")
			return err
		})
		require.ErrorAs(t, err, &exhausted)
		require.True(t, exhausted.Self)
	})
}

func TestARefusalFailsAtOnceAndTheWayBackIsFound(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		server.Refuse("28P01", "password authentication failed")
		began := time.Now()
		_, err := p.Acquire(within(t, time.Minute))
		var refused *UnavailableError
		require.ErrorAs(t, err, &refused)
		require.True(t, refused.Refused)
		require.ErrorContains(t, err, "password authentication failed")
		require.Less(t, time.Since(began), time.Second)

		_, err = p.Acquire(within(t, time.Minute))
		require.ErrorAs(t, err, &refused)
		server.Refuse("", "")
		began = time.Now()
		for {
			if _, err = p.Exec(within(t, time.Minute), "select 1"); err == nil {
				break
			}
			pass(10 * time.Millisecond)
		}
		require.LessOrEqual(t, time.Since(began), 1200*time.Millisecond)
	})
}

func TestARefusalDoesNotHurtWhileAConnectionIsOpen(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		l, err := p.Acquire(t.Context())
		require.NoError(t, err)
		server.Refuse("28P01", "password authentication failed")
		done := make(chan error, 1)
		go func() {
			_, err := p.Exec(within(t, time.Minute), "select 1")
			done <- err
		}()
		pass(5 * time.Second)
		synctest.Wait()
		require.True(t, p.Stat().Outage.Refused, "growth was tried and refused")
		l.Release()
		require.NoError(t, <-done, "a return serves the waiter")
		server.Refuse("", "")
	})
}

func TestWithTxCommitsAndRollsBack(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		sentinel := errors.New("no")
		require.NoError(t, p.WithTx(t.Context(), pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "insert into t values (1)")
			return err
		}))
		require.ErrorIs(t, p.WithTx(t.Context(), pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
			return sentinel
		}), sentinel)
		require.Panics(t, func() {
			_ = p.WithTx(t.Context(), pgx.TxOptions{}, func(context.Context, pgx.Tx) error { panic("oh") })
		})
		synctest.Wait()
		require.Zero(t, p.Stat().Leased)
		require.Equal(t, 1, server.Dials(), "one connection served all three")
	})
}

func TestReleaseInsideATransactionRollsBack(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize = 1 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		l, err := p.Acquire(t.Context())
		require.NoError(t, err)
		_, err = l.Exec(t.Context(), "begin")
		require.NoError(t, err)
		l.Release()
		require.NoError(t, p.With(t.Context(), func(ctx context.Context, l *Lease) error {
			return l.Raw(func(c *pgx.Conn) error {
				require.EqualValues(t, 'I', c.PgConn().TxStatus())
				return nil
			})
		}))
		require.Equal(t, 1, server.Dials())
	})
}

func TestASetIsResetBeforeReuse(t *testing.T) {
	inMemory(t, func(c *Config) { c.StatementTimeout, c.MaxSize = 30*time.Second, 1 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		show := func(q interface {
			QueryRow(context.Context, string, ...any) pgx.Row
		},
		) (v string) {
			require.NoError(t, q.QueryRow(t.Context(), "show statement_timeout").Scan(&v))
			return v
		}
		l, err := p.Acquire(t.Context())
		require.NoError(t, err)
		before := show(l)
		_, err = l.Exec(t.Context(), "set statement_timeout = 5")
		require.NoError(t, err)
		require.NotEqual(t, before, show(l))
		l.Release()
		require.Equal(t, before, show(p))
		require.Equal(t, 1, server.Dials())
	})
}

func TestABusyLeaseServesNobodyElse(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		l, err := p.Acquire(t.Context())
		require.NoError(t, err)
		rows, err := l.Query(t.Context(), "select 1 from generate_series(1, 3)")
		require.NoError(t, err)
		_, err = l.Exec(t.Context(), "select 1")
		require.ErrorIs(t, err, ErrBusy)
		rows.Close()
		_, err = l.Exec(t.Context(), "select 1")
		require.NoError(t, err)
		_, err = l.Query(t.Context(), "select 1 from generate_series(1, 3)")
		require.NoError(t, err)
		l.Release() // with unread rows
		require.Equal(t, 1, one(t, t.Context(), p, "select 1"))
		require.Equal(t, 2, server.Dials(), "a connection with unread rows is not handed out again")
	})
}

// A lease that is released while statements run on it is cut off by the pool itself, which says nothing about the server.
func TestAReleaseOfABusyLeaseCastsNoDoubt(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		var held []*Lease
		for range 3 {
			l, err := p.Acquire(t.Context())
			require.NoError(t, err)
			held = append(held, l)
		}
		events := p.Events(t.Context())
		failed := make(chan error, 2)
		for _, l := range held[:2] {
			go func() {
				_, err := l.Exec(t.Context(), "select pg_sleep(60)")
				failed <- err
			}()
		}
		pass(time.Second)
		for _, l := range held {
			l.Release()
		}
		for range 2 {
			require.Error(t, <-failed)
		}
		pass(time.Second)
		require.Equal(t, 1, server.Connections())
		require.NoError(t, p.Close())
		for e := range events {
			require.NotEqual(t, EventDistrusted, e.Kind, e.Err)
			require.NotEqual(t, EventCheckFailed, e.Kind, e.Err)
		}
	})
}

// The next caller finds a connection on offer, also after the health actor has checked it there.
func TestACheckLeavesTheNextCallerItsOffer(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"one": func(c *Config) { c.MinSize = 1 }, "some": func(c *Config) { c.MinSize = 3 },
	} {
		t.Run(name, func(t *testing.T) {
			inMemory(t, change, func(t *testing.T, p *Pool, _ *fakepg.Server) {
				require.NoError(t, p.WaitReady(t.Context()))
				pass(10*time.Second + 150*time.Millisecond) // between two rounds of checks, as all that follow
				waited := p.Stat().Waited
				for range 40 {
					require.NoError(t, p.Ping(t.Context()))
					pass(750 * time.Millisecond)
				}
				require.Equal(t, waited, p.Stat().Waited, "nobody had to wait for the actor")
			})
		})
	}
}

func TestShutdownNamesWhatIsOutAndRevokesIt(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		l, err := p.Acquire(WithLabel(t.Context(), "stubborn"))
		require.NoError(t, err)
		waiting := make(chan error, 1)
		p2 := p
		go func() {
			var held []*Lease
			for {
				l, err := p2.Acquire(context.Background())
				if err != nil {
					waiting <- err
					for _, l := range held {
						l.Release()
					}
					return
				}
				held = append(held, l)
			}
		}()
		synctest.Wait()
		err = p.Shutdown(within(t, time.Second))
		var out *ShutdownError
		require.ErrorAs(t, err, &out)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Len(t, out.Holders, 1)
		require.Equal(t, "stubborn", out.Holders[0].Label)
		require.ErrorIs(t, <-waiting, ErrClosed)
		_, err = l.Exec(t.Context(), "select 1")
		require.Equal(t, ErrRevoked, err, "nothing is tried on a connection that was taken away")
		l.Release()
		_, err = p.Acquire(t.Context())
		require.ErrorIs(t, err, ErrClosed)
		<-p.Done()
		require.NoError(t, p.Err())
	})
}
