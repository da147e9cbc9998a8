package lab

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-4ff2b7b9/supervised/internal/judge"
)

// autopsy knows when backends of a server on this machine were seen dead: what a row needs whose faults hit single backends.
type autopsy struct {
	mu   sync.Mutex
	died map[uint32]time.Time
}

// lookEvery is how often it is looked whether a backend is still there.
const lookEvery = 500 * time.Microsecond

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
		x.Fail("backends outlived the fault by %v", eventually)
	}
}

const others = `from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()`

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
