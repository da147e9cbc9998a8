package lab

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
)

// onEach runs a test with each pool on a table of its own, and with callers that the test makes itself.
func onEach(t *testing.T, f func(t *testing.T, x *Experiment)) {
	for _, kind := range Kinds {
		t.Run(string(kind), func(t *testing.T) {
			x, err := Begin(t.Context(), kind, Setup{DSN: pgtest.Server(t).DSN(), Callers: -1, Tuning: Tuning{Size: 2}})
			require.NoError(t, err)
			defer func() {
				r := x.Finish(context.Background())
				require.Empty(t, r.Broken)
				require.Zero(t, r.Rows.Missing+r.Rows.Doubled+r.Rows.Strange)
			}()
			f(t, x)
		})
	}
}

func TestACallThatLeavesItsConnectionToThePoolIsSeenOnIt(t *testing.T) {
	onEach(t, func(t *testing.T, x *Experiment) {
		var pid int32
		before := time.Now()
		c := x.load.leave(func(ctx context.Context) error {
			return x.pool.Scan(ctx, &pid, "select pg_backend_pid() where pg_sleep(0.01) is not null")
		})
		require.NoError(t, c.Err)
		require.Equal(t, uint32(pid), c.Backend.PID)
		require.NotEmpty(t, c.Backend.Socket)
		require.WithinRange(t, c.Granted, before, c.Ended.Add(-10*time.Millisecond))

		c = x.load.leave(func(ctx context.Context) error {
			return x.pool.Exec(ctx, "select pg_terminate_backend(pg_backend_pid()), pg_sleep(1)")
		})
		require.Error(t, c.Err)
		require.NotNil(t, c.Backend, "a call that failed is seen, too")
		require.False(t, c.Granted.IsZero())

		over, cancel := context.WithCancel(t.Context())
		cancel()
		c = x.load.leave(func(context.Context) error { return x.pool.Exec(over, "select 1") })
		require.Error(t, c.Err)
		require.Nil(t, c.Backend, "it has had none")
		require.Zero(t, c.Granted)
		require.Zero(t, x.load.holding.Load())
	})
}

func TestASightIsOfTheLastConnection(t *testing.T) {
	onEach(t, func(t *testing.T, x *Experiment) {
		dsn := pgtest.Server(t).DSN()
		a, err := pgx.Connect(t.Context(), dsn)
		require.NoError(t, err)
		defer a.Close(context.Background())
		b, err := pgx.Connect(t.Context(), dsn)
		require.NoError(t, err)
		defer b.Close(context.Background())

		s := &sight{load: x.load}
		s.began(a, "select 1")
		require.EqualValues(t, 1, x.load.holding.Load())
		first := s.granted
		s.began(a, "select 2")
		require.Equal(t, first, s.granted, "the same lease")
		s.began(a, beginTx)
		again := s.granted
		require.True(t, again.After(first), "another lease")
		require.NoError(t, a.Close(t.Context()))
		s.lost()
		require.Zero(t, x.load.holding.Load())
		s.began(b, "select 3")
		require.EqualValues(t, 1, x.load.holding.Load())
		granted, backend := s.end()
		require.True(t, granted.After(again))
		require.Equal(t, b.PgConn().PID(), backend.PID)
		require.Zero(t, x.load.holding.Load())
		s.began(a, "rollback")
		require.Zero(t, x.load.holding.Load(), "it is over")
	})
}

// Every way to insert a key: whoever fails before COMMIT was sent knows that it is not there, and it is inserted again.
func TestAKeyThatIsNotThereIsInsertedAgain(t *testing.T) {
	onEach(t, func(t *testing.T, x *Experiment) {
		for _, holds := range []bool{true, false} {
			for range 20 {
				require.NoError(t, x.load.insertKey(holds))
			}
		}
		require.Len(t, x.load.acked, 40)
		require.NoError(t, execute(t.Context(), x.setup.Audit, "alter table inserted rename to away"))
		for range 20 {
			require.Error(t, x.load.insertKey(true))
		}
		require.Len(t, x.load.again, 1)
		require.Empty(t, x.load.unknown)
		require.Equal(t, 19, x.load.repeated)
		unknown, err := x.pool.Insert(t.Context(), 1)
		require.Error(t, err)
		require.False(t, unknown)
		require.NoError(t, execute(t.Context(), x.setup.Audit, "alter table away rename to inserted"))
		require.NoError(t, x.load.insertKey(true))
		require.Empty(t, x.load.again)
		require.Len(t, x.load.acked, 41)
		require.EqualValues(t, 41, x.load.keys.Load())
	})
}

func TestTheTableIsHeldAgainstWhatCallersWereTold(t *testing.T) {
	dsn := pgtest.Server(t).DSN()
	require.NoError(t, makeTable(t.Context(), dsn))
	require.NoError(t, execute(t.Context(), dsn, "insert into inserted values (1), (2), (2), (4), (6), (9)"))
	w := &workload{acked: []int64{1, 2, 3}, unknown: []int64{4, 5}, again: []int64{6, 7}, repeated: 8}
	w.keys.Store(7)
	r, err := w.audit(t.Context(), dsn)
	require.NoError(t, err)
	require.Equal(t, rows{
		Acknowledged: 3, Missing: 1, Doubled: 1, UnknownPresent: 1, UnknownAbsent: 1, Strange: 2, Repeated: 8,
	}, r)
}
