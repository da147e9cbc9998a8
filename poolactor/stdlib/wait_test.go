package stdlib_test

import (
	"context"
	"database/sql"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/poolactor/stdlib"
)

// The errors of a call that gets no lease are the pool's own, and found behind those of database/sql.
func TestWithoutALeaseTheErrorIsThePools(t *testing.T) {
	inMemory(t, single, func(t *testing.T, s *stage) {
		conn, err := s.Conn(poolactor.WithLabel(t.Context(), "report"))
		require.NoError(t, err)
		_, err = s.ExecContext(within(t, time.Second), "insert into t values (7)")
		var exhausted *poolactor.ExhaustedError
		require.ErrorAs(t, err, &exhausted)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, "report", exhausted.Holders[0].Label)
		require.NoError(t, conn.Close())

		s.server.Stop()
		_, err = s.BeginTx(within(t, time.Second), nil)
		var unavailable *poolactor.UnavailableError
		require.ErrorAs(t, err, &unavailable)
		require.ErrorIs(t, err, context.DeadlineExceeded)

		require.NoError(t, s.pool.Close())
		require.ErrorIs(t, s.QueryRowContext(t.Context(), "select 7").Scan(new(int)), poolactor.ErrClosed)
		_, err = s.PrepareContext(t.Context(), "select 7")
		require.ErrorIs(t, err, poolactor.ErrClosed)
		require.ErrorIs(t, s.PingContext(t.Context()), poolactor.ErrClosed)
	})
}

func TestAnOutageIsLatency(t *testing.T) {
	for name, use := range uses {
		t.Run(name, func(t *testing.T) {
			inMemory(t, nil, func(t *testing.T, s *stage) {
				s.rest(t, 2)
				s.server.Stop()
				time.AfterFunc(5*time.Second, s.server.Start)
				began := time.Now()
				require.NoError(t, use(within(t, time.Minute), s.DB))
				require.GreaterOrEqual(t, time.Since(began), 5*time.Second)
			})
		})
	}
}

// Whatever database/sql is told about idle connections: it has none.
func TestLeasesGoBackAtOnce(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, s *stage) {
		s.SetMaxIdleConns(10)
		own := sql.OpenDB(stdlib.Connector(s.pool))
		for name, use := range uses {
			for _, db := range []*sql.DB{s.DB, own} {
				require.NoError(t, use(t.Context(), db))
				require.Zero(t, s.pool.Stat().Leased, name)
				require.Zero(t, db.Stats().OpenConnections, name)
			}
		}
		require.NoError(t, own.Close())
	})
}

func TestClosingTheDBLeavesThePoolOpen(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, s *stage) {
		conn := s.hold(t)
		require.NoError(t, s.Close())
		require.NoError(t, conn.Close())
		require.ErrorContains(t, s.PingContext(t.Context()), "database is closed")
		require.NoError(t, s.pool.Ping(t.Context()))
		another := stdlib.OpenDB(s.pool)
		require.NoError(t, another.PingContext(t.Context()))
		require.NoError(t, another.Close())
	})
}

// A limit of database/sql's own is of no use, and does no harm.
func TestALimitOnOpenConnections(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, s *stage) {
		s.SetMaxOpenConns(1)
		s.server.Delay(time.Millisecond)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				for range 5 {
					_, err := s.ExecContext(t.Context(), "insert into t values (7)")
					assert.NoError(t, err)
				}
			})
		}
		wg.Wait()
		synctest.Wait()
		require.Len(t, s.server.Statements(), 100)
		require.Equal(t, 1, s.server.LogIns())
	})
}

func TestALeaseThatIsTakenAway(t *testing.T) {
	aged := func(c *poolactor.Config) { c.LeaseMaxAge = time.Second }
	inMemory(t, aged, func(t *testing.T, s *stage) {
		conn := s.hold(t)
		<-time.After(3 * time.Second)
		_, err := conn.ExecContext(t.Context(), "insert into t values (7)")
		require.ErrorIs(t, err, poolactor.ErrRevoked)
		require.NoError(t, conn.Close())
	})
}

func TestTheDriverOpensNothingByName(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, s *stage) {
		_, err := s.Driver().Open("postgres://")
		require.ErrorContains(t, err, "OpenDB")
	})
}
