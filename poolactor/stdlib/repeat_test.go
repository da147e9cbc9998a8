package stdlib_test

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// uses are the ways of database/sql to do one thing on a connection of its own choice.
var uses = map[string]func(ctx context.Context, db *sql.DB) error{
	"exec": func(ctx context.Context, db *sql.DB) error {
		_, err := db.ExecContext(ctx, "insert into t values (7)")
		return err
	},
	"exec with arguments": func(ctx context.Context, db *sql.DB) error {
		_, err := db.ExecContext(ctx, "insert into t values ($1)", "7")
		return err
	},
	"query": func(ctx context.Context, db *sql.DB) error {
		rows, err := db.QueryContext(ctx, "select 7")
		if err != nil {
			return err
		}
		return rows.Close()
	},
	"query row": func(ctx context.Context, db *sql.DB) error {
		return db.QueryRowContext(ctx, "select $1::int", 7).Scan(new(int))
	},
	"statement": func(ctx context.Context, db *sql.DB) error {
		stmt, err := db.PrepareContext(ctx, "insert into t values ($1)")
		if err != nil {
			return err
		}
		defer stmt.Close()
		_, err = stmt.ExecContext(ctx, "7")
		return err
	},
	"ping": func(ctx context.Context, db *sql.DB) error { return db.PingContext(ctx) },
	"transaction": func(ctx context.Context, db *sql.DB) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		if _, err := tx.ExecContext(ctx, "insert into t values (7)"); err != nil {
			return err
		}
		return tx.Commit()
	},
}

// rest leaves n connections that rest.
func (s *stage) rest(t *testing.T, n int) {
	t.Helper()
	conns := make([]*sql.Conn, n)
	for i := range conns {
		conns[i] = s.hold(t)
	}
	for _, conn := range conns {
		require.NoError(t, conn.Close())
	}
	synctest.Wait()
}

// killAll kills every connection, and returns when they are gone.
func (s *stage) killAll() {
	for _, pid := range s.server.PIDs() {
		s.server.Kill(pid)
	}
	synctest.Wait()
}

// A connection that died while it rested fails nobody: not a byte could be written to it, so database/sql is told to begin
// again.
func TestWhatWasNotWrittenIsRepeated(t *testing.T) {
	for name, use := range uses {
		t.Run(name, func(t *testing.T) {
			inMemory(t, nil, func(t *testing.T, s *stage) {
				for range 2 { // the second time, its statements are known
					s.rest(t, 2)
					s.killAll()
					require.NoError(t, use(t.Context(), s.DB))
				}
			})
		})
	}
}

// What was written is not sent again: a repetition would succeed.
func TestWhatWasWrittenIsNotRepeated(t *testing.T) {
	for name, use := range uses {
		t.Run(name, func(t *testing.T) {
			inMemory(t, nil, func(t *testing.T, s *stage) {
				s.rest(t, 1)
				s.loseNext()
				err := use(t.Context(), s.DB)
				require.Error(t, err)
				require.NotErrorIs(t, err, driver.ErrBadConn)
			})
		})
	}
}

// loseNext makes every connection swallow what is sent next, and end a second later.
func (s *stage) loseNext() {
	s.server.Freeze()
	time.AfterFunc(time.Second, func() {
		for _, pid := range s.server.PIDs() {
			s.server.Kill(pid)
		}
		s.server.Thaw()
	})
}

func TestItIsRepeatedTwiceAtMost(t *testing.T) {
	for name, use := range uses {
		t.Run(name, func(t *testing.T) {
			var tries atomic.Int64
			deafen := func(c *poolactor.Config) {
				dial := c.DialFunc
				c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
					conn, err := dial(ctx, network, address)
					return deaf{conn, &tries}, err
				}
			}
			inMemory(t, deafen, func(t *testing.T, s *stage) {
				err := use(t.Context(), s.DB)
				require.ErrorIs(t, err, driver.ErrBadConn)
				require.ErrorIs(t, err, syscall.EPIPE, "the cause is told, too")
				require.EqualValues(t, 3, tries.Load())
			})
		})
	}
}

// deaf is a socket to which nothing can be written after the log-in.
type deaf struct {
	net.Conn
	tries *atomic.Int64
}

func (d deaf) Write(p []byte) (int, error) {
	if p[0] == 0 { // the start-up
		return d.Conn.Write(p)
	}
	if p[0] != 'X' && !bytes.Contains(p, []byte("SELECT 1")) { // neither the goodbye nor the pool's own check
		d.tries.Add(1)
	}
	return 0, syscall.EPIPE
}

// With the connection, the session of a sql.Conn is gone: its holder is told.
func TestAConnThatWasLostIsOver(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, s *stage) {
		conn := s.hold(t)
		s.killAll()
		_, err := conn.ExecContext(t.Context(), "insert into t values (7)")
		require.ErrorIs(t, err, driver.ErrBadConn)
		require.NotEqual(t, driver.ErrBadConn, err, "the cause is told, too")
		_, err = conn.ExecContext(t.Context(), "insert into t values (7)")
		require.ErrorIs(t, err, sql.ErrConnDone)
		require.Empty(t, s.server.Statements())
	})
}

// Nothing of a transaction runs outside of it, whatever database/sql tries again.
func TestATransactionThatWasLostIsNotContinued(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, s *stage) {
		stmt, err := s.PrepareContext(t.Context(), "insert into t values ($1)")
		require.NoError(t, err)
		defer stmt.Close()
		tx, err := s.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		s.killAll()
		_, err = tx.StmtContext(t.Context(), stmt).ExecContext(t.Context(), "7")
		require.ErrorIs(t, err, driver.ErrBadConn)
		_, err = tx.ExecContext(t.Context(), "insert into t values (7)")
		require.Error(t, err)
		require.Error(t, tx.Commit())
		require.Equal(t, []string{"begin"}, s.server.Statements())
	})
}

func TestACommitWithoutAnAnswerIsToldApart(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, s *stage) {
		tx, err := s.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		s.loseNext()
		err = tx.Commit()
		require.ErrorIs(t, err, poolactor.ErrOutcomeUnknown)
		require.NotErrorIs(t, err, driver.ErrBadConn)
	})
}

// An ended context is no dead connection: the session lives on.
func TestAnEndedContextIsNoBadConnection(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, s *stage) {
		conn := s.hold(t)
		ended, end := context.WithCancel(t.Context())
		end()
		_, err := conn.ExecContext(ended, "insert into t values (7)")
		require.ErrorIs(t, err, context.Canceled)
		require.NotErrorIs(t, err, driver.ErrBadConn)
		require.ErrorIs(t, conn.PingContext(ended), context.Canceled)
		_, err = conn.PrepareContext(ended, "select 1")
		require.ErrorIs(t, err, context.Canceled)
		_, err = conn.BeginTx(ended, nil)
		require.ErrorIs(t, err, context.Canceled)
		require.NoError(t, conn.PingContext(t.Context()))
		require.NoError(t, conn.Close())
		require.Equal(t, 1, s.server.LogIns())
	})
}

// A Ping looks for another connection only while nobody has done anything with this one.
func TestAPingOfAConnThatWasLost(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, s *stage) {
		conn := s.hold(t)
		s.killAll()
		require.NoError(t, conn.PingContext(t.Context()))
		_, err := conn.ExecContext(t.Context(), "set application_name = 'mine'")
		require.NoError(t, err)
		s.killAll()
		require.ErrorIs(t, conn.PingContext(t.Context()), driver.ErrBadConn)

		conn = s.hold(t)
		s.server.Stop()
		synctest.Wait()
		var unavailable *poolactor.UnavailableError
		require.ErrorAs(t, conn.PingContext(within(t, time.Second)), &unavailable)
		s.server.Start()
		_, err = conn.ExecContext(t.Context(), "insert into t values (7)")
		require.ErrorIs(t, err, sql.ErrConnDone, "it has no lease any more, and says so as database/sql does")
	})
}

// writes counts what is written to the sockets of a pool after the log-in: pgx writes once for each round trip.
func writes(counter *atomic.Int64) func(*poolactor.Config) {
	return func(c *poolactor.Config) {
		dial := c.DialFunc
		c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			return counting{conn, counter}, err
		}
	}
}

type counting struct {
	net.Conn
	writes *atomic.Int64
}

func (c counting) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}

// Though its lease is another each time, a prepared statement costs no more than the statement itself.
func TestAPreparedStatementCostsOneRoundTrip(t *testing.T) {
	for mode, want := range map[pgx.QueryExecMode]int64{
		pgx.QueryExecModeCacheStatement: 1,
		pgx.QueryExecModeCacheDescribe:  1,
		pgx.QueryExecModeDescribeExec:   2,
		pgx.QueryExecModeExec:           1,
		pgx.QueryExecModeSimpleProtocol: 1,
	} {
		t.Run(mode.String(), func(t *testing.T) {
			var trips atomic.Int64
			by := func(c *poolactor.Config) {
				c.ConnConfig.DefaultQueryExecMode = mode
				writes(&trips)(c)
			}
			inMemory(t, by, func(t *testing.T, s *stage) {
				use := func() (cost int64) {
					before := trips.Load()
					stmt, err := s.PrepareContext(t.Context(), "select $1::int")
					require.NoError(t, err)
					require.NoError(t, stmt.QueryRowContext(t.Context(), 7).Scan(new(int)))
					require.NoError(t, stmt.Close())
					return trips.Load() - before
				}
				use()
				require.Equal(t, want, use())
				require.Equal(t, want, use())
				require.Equal(t, 1, s.server.LogIns())
				require.Zero(t, s.pool.Stat().Cleanings)
			})
		})
	}
}

func TestAStatementWithoutCachesIsDescribedEachTime(t *testing.T) {
	uncached := func(c *poolactor.Config) {
		c.ConnConfig.StatementCacheCapacity, c.ConnConfig.DescriptionCacheCapacity = 0, 0
	}
	inMemory(t, uncached, func(t *testing.T, s *stage) {
		stmt, err := s.PrepareContext(t.Context(), "select $1::int")
		require.NoError(t, err)
		defer stmt.Close()
		for range 3 {
			require.NoError(t, stmt.QueryRowContext(t.Context(), 7).Scan(new(int)))
		}
		_, err = stmt.ExecContext(t.Context(), 7)
		require.NoError(t, err)
	})
}
