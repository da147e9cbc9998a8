package lab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
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
			if runs(pid) {
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

// objection is why a call that failed while it held a lease must not have failed; empty if it may: its backend died, and
// had not been dead for longer than the grace when the lease was given. Time in which this machine held something of ours
// up does not count: a caller may have been held up on its way from the pool.
func (a *autopsy) objection(c Call, late *lateness) string {
	a.mu.Lock()
	died, dead := a.died[c.Backend.PID]
	a.mu.Unlock()
	switch {
	case !dead:
		return fmt.Sprintf("a call failed on PID %d, which nobody had killed: %v", c.Backend.PID, c.Err)
	case c.Granted.After(died) && late.undisturbed(died, c.Granted) > Grace:
		return fmt.Sprintf("PID %d had been dead for %v when a call got it: %v", c.Backend.PID, c.Granted.Sub(died), c.Err)
	default:
		return ""
	}
}

// runs tells whether a process runs: one that has ended and waits for its parent's attention does not.
func runs(pid uint32) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	// pid (name) state ...: the name may contain anything.
	rest := bytes.TrimLeft(stat[bytes.LastIndexByte(stat, ')')+1:], " ")
	return len(rest) > 0 && rest[0] != 'Z' && rest[0] != 'X'
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

// examine lists the failures that no death explains. What is known of each death is held against each call here, so the
// faults themselves need no end.
func (x *Experiment) examine() (wrong []string) {
	for _, f := range x.faults {
		f.DeadBy = time.Now()
	}
	for _, c := range x.load.calls {
		if c.Err == nil || c.Granted.IsZero() {
			continue // the judge knows about those without a lease
		}
		if objection := x.autopsy.objection(c, x.late); objection != "" {
			wrong = append(wrong, objection)
		}
	}
	return wrong
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
