package lab

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-4ff2b7b9/supervised/internal/judge"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
)

// autopsy knows when backends of a server on this machine were seen dead: what
// holds the rule to the letter.
type autopsy struct {
	mu   sync.Mutex
	died map[uint32]time.Time
}

// lookEvery is how often it is looked whether a backend is still there.
const lookEvery = 500 * time.Microsecond

// lookAfterBackends makes the moment of each death count: whoever fails later had a lease on a backend that was seen to die.
func (x *Experiment) lookAfterBackends() {
	x.autopsy = &autopsy{}
	x.late.watchThreads()
}

// watch notes when these processes are gone. It returns when all are.
func (a *autopsy) watch(ctx context.Context, pids []uint32) {
	left := pids
	for len(left) > 0 && ctx.Err() == nil {
		var alive []uint32
		for _, pid := range left {
			if judge.IsAlive(pid) {
				alive = append(alive, pid)
			} else {
				a.note(pid)
			}
		}
		if left = alive; len(left) > 0 {
			Pass(ctx, lookEvery)
		}
	}
}

func (a *autopsy) note(pid uint32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.died == nil {
		a.died = make(map[uint32]time.Time)
	}
	a.died[pid] = time.Now()
}

// of is when a backend was seen dead; false: it was not.
func (a *autopsy) of(pid uint32) (died time.Time, dead bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	died, dead = a.died[pid]
	return died, dead
}

// DieOf waits until the given backends are dead of a fault.
func (x *Experiment) DieOf(ctx context.Context, f *Fault, pids []uint32) {
	ctx, cancel := context.WithTimeout(ctx, eventually)
	defer cancel()
	x.autopsy.watch(ctx, pids)
	f.DeadBy = time.Now()
	if ctx.Err() != nil {
		x.FailLater("backends outlived the fault by %v", eventually)
	}
}

// endAll lets a fault end all backends of a server on this machine, and then something be done about it, or not. It returns
// when each death is known. Every connection is in use when the backends are counted, so that none comes meanwhile.
func (x *Experiment) endAll(ctx context.Context, server *postgres.Server, fault, then func() error) (*Fault, error) {
	x.steady(ctx)
	doomed, err := backendsOf(ctx, server.DSN())
	if err != nil {
		return nil, err
	}
	watching, cancel := context.WithCancel(ctx)
	f := x.StrikeNow()
	var watch sync.WaitGroup
	watch.Go(func() { x.DieOf(watching, f, doomed) })
	err = fault()
	if err != nil {
		cancel() // nobody may die
	} else {
		err = then()
	}
	watch.Wait()
	cancel()
	return f, err
}

// backendsOf are the processes that serve clients of a server.
func backendsOf(ctx context.Context, dsn string) ([]uint32, error) {
	admin, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, err
	}
	defer admin.Close(ctx)
	return backends(ctx, admin)
}

// others are the server's clients, but for the one that asks and the observer.
const others = `from pg_stat_activity
	where backend_type = 'client backend' and pid <> pg_backend_pid() and application_name <> '` + observerName + `'`

// backends are the processes that serve clients, but for the one that is asked.
func backends(ctx context.Context, admin *pgx.Conn) ([]uint32, error) {
	return pids(admin.Query(ctx, "select pid "+others))
}

// pids collects process ids.
func pids(found pgx.Rows, err error) ([]uint32, error) {
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(found, func(row pgx.CollectableRow) (pid uint32, err error) {
		var n int32
		err = row.Scan(&n)
		return uint32(n), err
	})
}
