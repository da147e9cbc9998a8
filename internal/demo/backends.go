package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// backend is a server process, by its own account: process id and start time together name it for good.
type backend struct {
	pid        uint32
	started    time.Time
	postmaster time.Time    // when its postmaster started
	died       atomic.Int64 // when it was first seen to be gone, in Unix nanoseconds; 0: not yet
}

// diedAt is when it was first seen to be gone; false if it was not.
func (b *backend) diedAt() (time.Time, bool) {
	at := b.died.Load()
	return time.Unix(0, at), at != 0
}

// backends are all that the pool ever had.
type backends struct {
	mu  sync.Mutex
	all []*backend
}

// backendKey is under what a connection carries its backend.
const backendKey = "supervised/internal/demo.backend"

const whoAreYou = `select pid, (extract(epoch from backend_start) * 1000000)::bigint,
	(extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint
	from pg_stat_activity where pid = pg_backend_pid()`

// introduce asks a new connection whom it leads to, before the pool has it.
func (r *backends) introduce(ctx context.Context, c *pgconn.PgConn) error {
	results, err := c.Exec(ctx, whoAreYou).ReadAll()
	if err != nil {
		return err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 {
		return errors.New("demo: the backend is not in pg_stat_activity")
	}
	var numbers [3]int64
	for i, text := range results[0].Rows[0] {
		if numbers[i], err = strconv.ParseInt(string(text), 10, 64); err != nil {
			return fmt.Errorf("demo: what pg_stat_activity says: %w", err)
		}
	}
	b := &backend{pid: uint32(numbers[0]), started: time.UnixMicro(numbers[1]), postmaster: time.UnixMicro(numbers[2])}
	c.CustomData()[backendKey] = b
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, b)
	return nil
}

// behind is the backend that a lease leads to.
func behind(l *poolactor.Lease) (b *backend, err error) {
	err = l.Raw(func(c *pgx.Conn) error {
		var known bool
		if b, known = c.PgConn().CustomData()[backendKey].(*backend); !known {
			return errors.New("demo: a connection without an introduction")
		}
		return nil
	})
	return b, err
}

// look finds out which backends are gone by now, and returns how many are not.
func (r *backends) look() (alive int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.all {
		if b.died.Load() != 0 {
			continue
		}
		if isAlive(b.pid) {
			alive++
			continue
		}
		b.died.Store(time.Now().UnixNano())
	}
	return alive
}

// of counts the living backends of postmasters that started before t.
func (r *backends) of(t time.Time) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, b := range r.all {
		if b.died.Load() == 0 && b.postmaster.Before(t) {
			n++
		}
	}
	return n
}

// isAlive tells whether a process runs. One that has ended and waits for its parent's attention does not; where there
// is no /proc to tell, it counts as alive until then.
func isAlive(pid uint32) bool {
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
		// pid (name) state ...: the name may contain anything.
		_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
		return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
	}
	process, err := os.FindProcess(int(pid))
	if err != nil {
		return false
	}
	defer func() { _ = process.Release() }()
	err = process.Signal(syscall.Signal(0))
	return err == nil || errors.Is(err, os.ErrPermission)
}
