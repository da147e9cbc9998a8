package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// patience is the deadline of a caller that is in no hurry.
const patience = 30 * time.Second

// act is what a caller does to a connection.
type act int

const (
	take act = iota
	giveBack
	throwAway
)

// move is one act of the holder of one lease.
type move struct {
	act   act
	on    string // the connection
	lease int    // a number of its own, from 1
}

// What a connection is, beside the number of the lease that it is held by.
const (
	unheld = 0
	closed = -1
)

// exclusive says that a connection has one holder at a time, and none after one has thrown it away. A history is good if
// an instant can be found for each act, between its call and its return, so that they follow from each other.
var exclusive = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byConnection := make(map[string][]porcupine.Operation)
		for _, o := range history {
			on := o.Input.(move).on
			byConnection[on] = append(byConnection[on], o)
		}
		var all [][]porcupine.Operation
		for _, some := range byConnection {
			all = append(all, some)
		}
		return all
	},
	Init: func() any { return unheld },
	Step: func(state, input, _ any) (bool, any) {
		switch m := input.(move); m.act {
		case take:
			return state == unheld, m.lease
		case giveBack:
			return state == m.lease, unheld
		default:
			return state == m.lease, closed
		}
	},
	DescribeOperation: func(input, _ any) string { return fmt.Sprintf("%+v", input) },
}

// history is what callers did, and when.
type history struct {
	began  time.Time
	leases atomic.Int64

	mu    sync.Mutex
	moves []porcupine.Operation
}

func (h *history) now() int64 { return int64(time.Since(h.began)) }

func (h *history) note(client int, m move, called int64) {
	returned := h.now()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.moves = append(h.moves, porcupine.Operation{ClientId: client, Input: m, Call: called, Return: returned})
}

func TestTheCheckOfHistoriesCanTell(t *testing.T) {
	op := func(m move, call, ret int64) porcupine.Operation {
		return porcupine.Operation{ClientId: m.lease, Input: m, Call: call, Return: ret}
	}
	one, two := op(move{take, "a", 1}, 0, 10), op(move{take, "a", 2}, 5, 15)
	for name, c := range map[string]struct {
		good    bool
		history []porcupine.Operation
	}{
		"one after the other":         {true, []porcupine.Operation{one, op(move{giveBack, "a", 1}, 11, 14), two}},
		"both at once":                {false, []porcupine.Operation{one, two}},
		"before it was given back":    {false, []porcupine.Operation{one, two, op(move{giveBack, "a", 1}, 16, 20)}},
		"on two connections":          {true, []porcupine.Operation{one, op(move{take, "b", 2}, 5, 15)}},
		"after it was thrown away":    {false, []porcupine.Operation{one, op(move{throwAway, "a", 1}, 11, 14), two}},
		"given back by somebody else": {false, []porcupine.Operation{one, op(move{giveBack, "a", 2}, 11, 14)}},
	} {
		require.Equal(t, c.good, porcupine.CheckOperations(exclusive, c.history), name)
	}
}

// Leases are exclusive, as the callers saw it: many over few connections, some in a hurry, some that throw their
// connection away, while backends die and the size changes.
func TestHistoriesOfLeasesAreExclusive(t *testing.T) {
	const callers, turns, size = 24, 150, 6
	dsn := pgtest.Own(t, postgres.Options{}).DSN()
	cfg, err := poolactor.ParseConfig(dsn)
	require.NoError(t, err)
	cfg.MaxSize = size
	pool, err := poolactor.Open(t.Context(), cfg)
	require.NoError(t, err)
	defer pool.Close()

	h := &history{began: time.Now()}
	var calls, trouble sync.WaitGroup
	over, end := context.WithCancel(t.Context())
	trouble.Go(func() { disturb(over, t, pool, dsn, size) })
	for client := range callers {
		calls.Go(func() {
			for range turns {
				h.call(t, pool, client)
			}
		})
	}
	calls.Wait()
	end()
	trouble.Wait()

	require.Equal(t, porcupine.Ok, porcupine.CheckOperationsTimeout(exclusive, h.moves, time.Minute))
	t.Logf("%d leases", h.leases.Load())
	require.Greater(t, h.leases.Load(), int64(callers*turns/4), "most calls were served")
}

// call takes a lease, uses it for a moment and gives it back.
func (h *history) call(t *testing.T, pool *poolactor.Pool, client int) {
	wait := patience
	if rand.IntN(4) == 0 {
		wait = rand.N(5 * time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	called := h.now()
	l, err := pool.Acquire(ctx)
	if err != nil {
		if wait == patience {
			t.Error(err)
		}
		return
	}
	m := move{act: take, lease: int(h.leases.Add(1))}
	if err := l.Raw(func(c *pgx.Conn) error {
		m.on = fmt.Sprintf("%d at %v", c.PgConn().PID(), c.PgConn().Conn().LocalAddr())
		return nil
	}); err != nil {
		t.Error(err)
	}
	h.note(client, m, called)
	if rand.IntN(2) == 0 {
		_, _ = l.Exec(ctx, "select pg_sleep(0.001)") // its backend may be dead
	}
	called = h.now()
	if m.act = giveBack; rand.IntN(50) == 0 {
		m.act = throwAway
		l.Discard()
	} else {
		l.Release()
	}
	h.note(client, m, called)
}

// disturb ends a backend or changes the size, again and again.
func disturb(ctx context.Context, t *testing.T, pool *poolactor.Pool, dsn string, size int) {
	admin, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Error(err)
		return
	}
	defer admin.Close(context.WithoutCancel(ctx))
	for ctx.Err() == nil {
		if rand.IntN(2) == 0 {
			_, err = admin.Exec(t.Context(), "select pg_terminate_backend(pid) from pg_stat_activity "+
				"where backend_type = 'client backend' and pid <> pg_backend_pid() order by random() limit 1")
		} else {
			err = pool.Resize(t.Context(), rand.IntN(3), 3+rand.IntN(size-2))
		}
		if err != nil {
			t.Error(err)
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(rand.N(20 * time.Millisecond)):
		}
	}
}
