package stdlib_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// inserts are ways to write one row.
var inserts = []func(ctx context.Context, db *sql.DB, n int64) error{
	func(ctx context.Context, db *sql.DB, n int64) error {
		_, err := db.ExecContext(ctx, "insert into written values ($1)", n)
		return err
	},
	func(ctx context.Context, db *sql.DB, n int64) error { // pgx calls any loss of these safe to repeat
		_, err := db.ExecContext(ctx, fmt.Sprintf("insert into written values (%d)", n))
		return err
	},
	func(ctx context.Context, db *sql.DB, n int64) error {
		return db.QueryRowContext(ctx, "insert into written values ($1) returning n", n).Scan(new(int64))
	},
	func(ctx context.Context, db *sql.DB, n int64) error {
		stmt, err := db.PrepareContext(ctx, "insert into written values ($1)")
		if err != nil {
			return err
		}
		defer stmt.Close()
		_, err = stmt.ExecContext(ctx, n)
		return err
	},
	func(ctx context.Context, db *sql.DB, n int64) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		if _, err := tx.ExecContext(ctx, "insert into written values ($1)", n); err != nil {
			return err
		}
		return tx.Commit()
	},
}

// ledger is what callers were told about their rows.
type ledger struct {
	mu   sync.Mutex
	told map[int64]error
	good atomic.Int64
}

func (l *ledger) note(n int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told[n] = err
	if err == nil {
		l.good.Add(1)
	}
}

// A server that is killed fails what was under way on it and nothing else: who waits for a connection waits for the server.
// Nothing is written twice, and what was acknowledged is there.
func TestTheServerIsKilledDuringCalls(t *testing.T) {
	const size, callers, kills = 4, 10, 3
	server := pgtest.Own(t, postgres.Options{})
	s := onDSN(t, server.DSN(), func(c *poolactor.Config) {
		c.MaxSize = size
		c.Retry.Initial = 100 * time.Millisecond
	})
	do(t, s, "create table written (n bigint)")
	book := &ledger{told: make(map[int64]error)}
	var next atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				n := next.Add(1)
				book.note(n, inserts[n%int64(len(inserts))](within(t, patience), s.DB, n))
			}
		})
	}
	for range kills {
		enough := book.good.Load() + 200
		require.Eventually(t, func() bool { return book.good.Load() >= enough }, patience, time.Millisecond)
		require.NoError(t, server.Kill())
		require.NoError(t, server.StartAgain(within(t, patience)))
	}
	enough := book.good.Load() + 200
	require.Eventually(t, func() bool { return book.good.Load() >= enough }, patience, time.Millisecond)
	close(stop)
	wg.Wait()
	book.check(t, s, size*kills)
}

func (l *ledger) check(t *testing.T, s *stage, mostFailures int) {
	t.Helper()
	written := make(map[int64]int)
	rows, err := s.QueryContext(within(t, patience), "select n, count(*) from written group by n")
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var n int64
		var times int
		require.NoError(t, rows.Scan(&n, &times))
		written[n] = times
	}
	require.NoError(t, rows.Err())
	failures := 0
	for n, err := range l.told {
		if err == nil {
			require.Equal(t, 1, written[n], "row %d was acknowledged", n)
			continue
		}
		failures++
		require.LessOrEqual(t, written[n], 1, "row %d: %v", n, err)
		require.NotErrorIs(t, err, driver.ErrBadConn)
		var exhausted *poolactor.ExhaustedError
		var unavailable *poolactor.UnavailableError
		require.False(t, errors.As(err, &exhausted) || errors.As(err, &unavailable), "a call that waited failed: %v", err)
	}
	require.LessOrEqual(t, failures, mostFailures, "each connection was lost once, and with it one call at most")
}
