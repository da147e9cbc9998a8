package poolactor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

func TestRetryRepeatsWhatTheServerAsksToRepeat(t *testing.T) {
	for _, code := range []string{"40001", "40P01"} {
		t.Run(code, func(t *testing.T) {
			inMemory(t, func(c *Config) { c.MaxSize = 1 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
				runs := 0
				require.NoError(t, p.Retry(t.Context(), RetryPolicy{}, func(ctx context.Context, tx pgx.Tx) error {
					if runs++; runs < 4 {
						_, err := tx.Exec(ctx, "fail "+code)
						return fmt.Errorf("booking: %w", err)
					}
					_, err := tx.Exec(ctx, "insert into t values (1)")
					return err
				}))
				require.Equal(t, 4, runs)
				require.Equal(t, 1, server.Dials(), "the connection is none the worse for it")
			})
		})
	}
}

func TestRetryReturnsAnyOtherError(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		own := errors.New("no seat left")
		for name, f := range map[string]func(context.Context, pgx.Tx) error{
			"its own": func(context.Context, pgx.Tx) error { return own },
			"the server's": func(ctx context.Context, tx pgx.Tx) error {
				_, err := tx.Exec(ctx, "fail 23505")
				return errors.Join(own, err)
			},
			"a loss somewhere else": func(context.Context, pgx.Tx) error { return errors.Join(own, io.ErrUnexpectedEOF) },
			"a loss somewhere else, and one that nobody has met": func(_ context.Context, tx pgx.Tx) error {
				server.Kill(tx.Conn().PgConn().PID())
				return errors.Join(own, io.ErrUnexpectedEOF)
			},
			"its own after a loss": func(ctx context.Context, tx pgx.Tx) error {
				server.Kill(tx.Conn().PgConn().PID())
				_, err := tx.Exec(ctx, "select 1")
				require.Error(t, err)
				return own
			},
			"an idle connection that was ended": func(ctx context.Context, tx pgx.Tx) error {
				pid := tx.Conn().PgConn().PID()
				time.AfterFunc(time.Second, func() { server.TerminateOne(pid, "25P03") })
				_, err := tx.Exec(ctx, "select pg_sleep(2)")
				return errors.Join(own, err)
			},
		} {
			runs := 0
			err := p.Retry(t.Context(), RetryPolicy{}, func(ctx context.Context, tx pgx.Tx) error {
				runs++
				return f(ctx, tx)
			})
			require.ErrorIs(t, err, own, name)
			require.Equal(t, 1, runs, name)
		}
		require.Equal(t, own, p.Retry(t.Context(), RetryPolicy{}, func(context.Context, pgx.Tx) error { return own }), "as it is")
	})
}

// The connection is lost before COMMIT was sent: in a statement, unnoticed by f, or without any statement.
func TestRetryRepeatsAfterALossBeforeTheCommit(t *testing.T) {
	for name, rest := range map[string]func(context.Context, pgx.Tx) error{
		"told": func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "insert into t values (2)")
			return err
		},
		"told by a later statement": func(ctx context.Context, tx pgx.Tx) error {
			_, _ = tx.Exec(ctx, "insert into t values (2)")
			_, err := tx.Exec(ctx, "insert into t values (3)")
			return err
		},
		"told in a savepoint": func(ctx context.Context, tx pgx.Tx) error {
			return pgx.BeginFunc(ctx, tx, func(inner pgx.Tx) error {
				_, err := inner.Exec(ctx, "insert into t values (2)")
				return err
			})
		},
		"swallowed": func(ctx context.Context, tx pgx.Tx) error {
			_, _ = tx.Exec(ctx, "insert into t values (2)")
			return nil
		},
		"found by the commit": func(context.Context, pgx.Tx) error { return nil },
	} {
		t.Run(name, func(t *testing.T) {
			inMemory(t, func(c *Config) { c.MaxSize = 1 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
				runs := 0
				require.NoError(t, p.Retry(t.Context(), RetryPolicy{}, func(ctx context.Context, tx pgx.Tx) error {
					if _, err := tx.Exec(ctx, "insert into t values (1)"); err != nil {
						return err
					}
					if runs++; runs > 1 {
						return nil
					}
					server.Kill(tx.Conn().PgConn().PID())
					return rest(ctx, tx)
				}))
				require.Equal(t, 2, runs)
				require.Equal(t, 2, server.Dials())
				commits := 0
				for _, sql := range server.Statements() {
					if sql == "commit" {
						commits++
					}
				}
				require.Equal(t, 1, commits)
			})
		})
	}
}

// A release of a savepoint that gets no answer leaves nothing unknown: the transaction around it was not committed.
func TestALostSavepointIsRepeated(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		runs := 0
		require.NoError(t, p.Retry(t.Context(), RetryPolicy{}, func(ctx context.Context, tx pgx.Tx) error {
			return pgx.BeginFunc(ctx, tx, func(pgx.Tx) error {
				if runs++; runs == 1 {
					loseNext(server)
				}
				return nil
			})
		}))
		require.Equal(t, 2, runs)
	})
}

// loseNext makes every connection swallow what is sent next, and end a second later.
func loseNext(server *fakepg.Server) {
	server.Freeze()
	time.AfterFunc(time.Second, func() {
		for _, pid := range server.PIDs() {
			server.Kill(pid)
		}
		server.Thaw()
	})
}

func TestRetryNeverRepeatsAfterACommitWasSent(t *testing.T) {
	for name, commit := range map[string]func(context.Context, pgx.Tx) error{
		"by Retry":            func(context.Context, pgx.Tx) error { return nil },
		"by f":                func(ctx context.Context, tx pgx.Tx) error { return tx.Commit(ctx) },
		"by f, and swallowed": func(ctx context.Context, tx pgx.Tx) error { _ = tx.Commit(ctx); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
				runs := 0
				err := p.Retry(t.Context(), RetryPolicy{}, func(ctx context.Context, tx pgx.Tx) error {
					runs++
					loseNext(server)
					return commit(ctx, tx)
				})
				require.ErrorIs(t, err, ErrOutcomeUnknown)
				require.Equal(t, 1, runs)
			})
		})
	}
}

// An answer that ends the connection says nothing about the commit that it came for.
func TestAFatalAnswerToACommitLeavesItUnknown(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		err := p.Retry(t.Context(), RetryPolicy{}, func(_ context.Context, tx pgx.Tx) error {
			server.Delay(2 * time.Second)
			pid := tx.Conn().PgConn().PID()
			time.AfterFunc(time.Second, func() { server.TerminateOne(pid, "XX000") })
			return nil
		})
		var said *pgconn.PgError
		require.ErrorAs(t, err, &said)
		require.Equal(t, "XX000", said.Code)
		require.ErrorIs(t, err, ErrOutcomeUnknown)
		server.Delay(0)
	})
}

// What f does with the transaction itself stays done.
func TestRetryLeavesTheEndToF(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		collision := &pgconn.PgError{Code: "40001"}
		for name, c := range map[string]struct {
			f    func(context.Context, pgx.Tx) error
			want error
		}{
			"committed":            {func(ctx context.Context, tx pgx.Tx) error { return tx.Commit(ctx) }, nil},
			"rolled back":          {func(ctx context.Context, tx pgx.Tx) error { return tx.Rollback(ctx) }, pgx.ErrTxClosed},
			"committed, then told": {func(ctx context.Context, tx pgx.Tx) error { return errors.Join(tx.Commit(ctx), collision) }, collision},
			"committed twice":      {func(ctx context.Context, tx pgx.Tx) error { return errors.Join(tx.Commit(ctx), tx.Commit(ctx)) }, pgx.ErrTxClosed},
		} {
			runs := 0
			err := p.Retry(t.Context(), RetryPolicy{}, func(ctx context.Context, tx pgx.Tx) error {
				runs++
				return c.f(ctx, tx)
			})
			require.ErrorIs(t, err, c.want, name)
			require.Equal(t, 1, runs, name)
		}
	})
}

// A commit that another transaction's failure is wrapped around, with a connection lost as well, is not forgotten.
func TestAnOutcomeThatIsUnknownInsideIsNotRepeated(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		runs := 0
		err := p.Retry(t.Context(), RetryPolicy{}, func(ctx context.Context, tx pgx.Tx) error {
			runs++
			server.Kill(tx.Conn().PgConn().PID())
			_, lost := tx.Exec(ctx, "select 1")
			return errors.Join(p.WithTx(ctx, pgx.TxOptions{}, func(context.Context, pgx.Tx) error {
				loseNext(server)
				return nil
			}), lost)
		})
		require.ErrorIs(t, err, ErrOutcomeUnknown)
		require.Equal(t, 1, runs)
	})
}

func TestRetryGivesUp(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		runs := 0
		always := func(ctx context.Context, tx pgx.Tx) error {
			runs++
			_, err := tx.Exec(ctx, "fail 40001")
			return err
		}
		began := time.Now()
		err := p.Retry(t.Context(), RetryPolicy{}, always)
		var gaveUp *RetryError
		var said *pgconn.PgError
		require.ErrorAs(t, err, &gaveUp)
		require.ErrorAs(t, err, &said)
		require.Equal(t, 10, gaveUp.Attempts)
		require.NoError(t, gaveUp.Err)
		require.ErrorContains(t, err, "after 10 attempts")
		require.ErrorContains(t, err, "40001")
		require.Equal(t, 10, runs)
		took := time.Since(began)
		require.GreaterOrEqual(t, took, 1635*time.Millisecond)
		require.LessOrEqual(t, took, 3270*time.Millisecond)

		runs = 0
		began = time.Now()
		err = p.Retry(within(t, time.Minute), RetryPolicy{MaxAttempts: -1, Initial: time.Second, Max: 5 * time.Second}, always)
		require.Equal(t, time.Minute, time.Since(began))
		require.ErrorAs(t, err, &gaveUp)
		require.ErrorAs(t, err, &said)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, runs, gaveUp.Attempts)
		require.Greater(t, runs, 10)
		require.ErrorContains(t, err, "deadline exceeded")

		runs = 0
		err = p.Retry(t.Context(), RetryPolicy{MaxAttempts: 1, Initial: -1}, always)
		require.ErrorContains(t, err, "after 1 attempt;")
		require.Equal(t, 1, runs)
	})
}

// The end of the context in the middle of an attempt does not hide why there was more than one.
func TestRetryEndsWithItsContext(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize = 1 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		runs := 0
		err := p.Retry(within(t, time.Second), RetryPolicy{}, func(ctx context.Context, tx pgx.Tx) error {
			if runs++; runs == 1 {
				_, err := tx.Exec(ctx, "fail 40P01")
				return err
			}
			_, err := tx.Exec(ctx, "select pg_sleep(10)")
			return err
		})
		var gaveUp *RetryError
		require.ErrorAs(t, err, &gaveUp)
		require.Equal(t, 1, gaveUp.Attempts)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "40P01")

		l := acquired(t, p)
		defer l.Release()
		err = p.Retry(within(t, time.Second), RetryPolicy{}, nil)
		var exhausted *ExhaustedError
		require.ErrorAs(t, err, &exhausted, "the wait for the first connection fails as any")
		require.False(t, errors.As(err, &gaveUp))
	})
}

func TestRetryHoldsNothingBetweenAttempts(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize = 1 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		done := make(chan error, 1)
		go func() {
			done <- p.Retry(t.Context(), RetryPolicy{Initial: time.Minute}, func(ctx context.Context, tx pgx.Tx) error {
				if len(server.Statements()) > 3 {
					return nil
				}
				_, err := tx.Exec(ctx, "fail 40001")
				return err
			})
		}()
		synctest.Wait()
		require.Zero(t, p.Stat().Leased)
		for range 3 {
			_, err := p.Exec(within(t, time.Second), "select 1")
			require.NoError(t, err)
		}
		require.NoError(t, <-done)
	})
}

func TestRetryPassesAPanicOn(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize = 1 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		require.PanicsWithValue(t, "oh", func() {
			_ = p.Retry(t.Context(), RetryPolicy{}, func(context.Context, pgx.Tx) error { panic("oh") })
		})
		require.Equal(t, 1, one(t, t.Context(), p, "select 1"))
		require.Contains(t, server.Statements(), "rollback")
		require.Equal(t, 1, server.Dials())
	})
}

func TestAcquireInsideRetrySaysWhoHoldsTheConnection(t *testing.T) {
	inMemory(t, func(c *Config) { c.MaxSize = 1; c.AcquireTimeout = time.Second }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		err := p.Retry(t.Context(), RetryPolicy{}, func(ctx context.Context, _ pgx.Tx) error {
			_, err := p.Exec(ctx, "select 1")
			return err
		})
		var exhausted *ExhaustedError
		require.ErrorAs(t, err, &exhausted)
		require.True(t, exhausted.Self)
	})
}

// A pool that is closed meanwhile is not a loss to be repeated.
func TestRetryEndsWithThePool(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		runs := 0
		err := p.Retry(t.Context(), RetryPolicy{}, func(ctx context.Context, tx pgx.Tx) error {
			runs++
			require.Error(t, p.Shutdown(within(t, time.Second)))
			_, err := tx.Exec(ctx, "select 1")
			return err
		})
		require.ErrorIs(t, err, ErrRevoked)
		require.Equal(t, 1, runs)
	})
}

// An outage in the middle of a transaction is latency, not an error.
func TestRetryThroughAnOutage(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		runs := 0
		began := time.Now()
		require.NoError(t, p.Retry(within(t, time.Minute), RetryPolicy{}, func(ctx context.Context, tx pgx.Tx) error {
			if runs++; runs == 1 {
				server.Stop()
				time.AfterFunc(20*time.Second, server.Start)
			}
			_, err := tx.Exec(ctx, "insert into t values (1)")
			return err
		}))
		require.Equal(t, 2, runs)
		require.LessOrEqual(t, time.Since(began), 20200*time.Millisecond)
	})
}
