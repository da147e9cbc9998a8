package judge

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Census knows every backend that connections led to. Its zero value is ready, for use from any goroutine.
type Census struct {
	mu  sync.Mutex
	all []*Backend
}

// backendKey is under what a connection carries its backend.
const backendKey = "supervised/internal/judge.backend"

// The view pg_stat_activity tells the same and takes a fresh backend three times as long, at the expense of the pool.
const whoAreYou = `select pid, (extract(epoch from backend_start) * 1000000)::bigint,
	(extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint
	from pg_stat_get_activity(pg_backend_pid())`

// Introduce asks a new connection whom it leads to, before a pool has it: it is for pgconn.Config.AfterConnect.
func (c *Census) Introduce(ctx context.Context, conn *pgconn.PgConn) error {
	results, err := conn.Exec(ctx, whoAreYou).ReadAll()
	if err != nil {
		return err
	}
	if len(results) != 1 || len(results[0].Rows) != 1 {
		return errors.New("judge: the server does not know its backend")
	}
	var numbers [3]int64
	for i, text := range results[0].Rows[0] {
		if numbers[i], err = strconv.ParseInt(string(text), 10, 64); err != nil {
			return fmt.Errorf("judge: what the backend says of itself: %w", err)
		}
	}
	conn.CustomData()[backendKey] = c.enter(&Backend{
		PID: uint32(numbers[0]), Started: time.UnixMicro(numbers[1]), Postmaster: time.UnixMicro(numbers[2]),
	})
	return nil
}

// enter adds a backend, unless it is known: a proxy may give one to several connections in turn.
func (c *Census) enter(b *Backend) *Backend {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, known := range c.all {
		if known.PID == b.PID && known.Started.Equal(b.Started) {
			return known
		}
	}
	c.all = append(c.all, b)
	return b
}

// Behind is the backend that a connection leads to.
func Behind(conn *pgconn.PgConn) (*Backend, error) {
	b, ok := conn.CustomData()[backendKey].(*Backend)
	if !ok {
		return nil, errors.New("judge: a connection without an introduction")
	}
	return b, nil
}

// Alive counts the living backends of servers that started before t.
func (c *Census) Alive(t time.Time) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, b := range c.all {
		if b.Died.IsZero() && b.Postmaster.Before(t) {
			n++
		}
	}
	return n
}

// Fault is one that is about to strike a server on this machine: who is gone by now did not die of it.
func (c *Census) Fault() *Fault {
	c.look()
	return &Fault{At: time.Now()}
}

// How long the deaths of backends are watched, and how often it is looked. Most end within milliseconds, the last within
// three quarters of a second; one that computes takes longer, and then its end is not known exactly. It is watched for
// watchLeast in any case: a connection that was being introduced when the fault struck is not in the census at once.
const (
	watchFor   = 3 * time.Second
	watchLeast = time.Second
	watchEvery = time.Millisecond
)

// probes is how many goroutines find out beside each watch for how long the machine keeps one waiting: a caller may be kept
// while the watch runs, between its pool's look at a connection and the note of when it got that.
const probes = 8

// Watch notes when backends of a server on this machine die, from a fault until none that it hit is left, and how late
// that, or what a caller noted meanwhile, may be. Let it run while the fault strikes: it returns one to three seconds later.
func (c *Census) Watch(f *Fault) {
	over := make(chan struct{})
	lags := make(chan time.Duration, probes)
	for range probes {
		go func() {
			self := uint32(os.Getpid())
			lags <- heldUp(f.At, func() bool {
				select {
				case <-over:
					return false
				default:
					return IsAlive(self) // as long as ever: it asks the kernel, as who looks at a connection does
				}
			})
		}()
	}
	f.Lag = heldUp(f.At, func() bool {
		c.look()
		took := time.Since(f.At)
		return took < watchFor && (took < watchLeast || c.Alive(f.At) > 0)
	})
	close(over)
	for range probes {
		f.Lag = max(f.Lag, <-lags)
	}
}

// heldUp looks every millisecond until look is content, and returns by how much one look came too late at most.
func heldUp(since time.Time, look func() (again bool)) (lag time.Duration) {
	for last := since; ; {
		time.Sleep(watchEvery)
		again := look()
		now := time.Now()
		lag = max(lag, now.Sub(last)-watchEvery)
		if last = now; !again {
			return lag
		}
	}
}

// look finds out which backends are gone by now.
func (c *Census) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range c.all {
		if b.Died.IsZero() && !IsAlive(b.PID) {
			b.Died = time.Now()
		}
	}
}

// Bury notes that all backends of the servers that a fault hit are dead by now. It is for servers whose processes cannot
// be seen from here, such as those in a container, and takes the place of Watch there.
func (c *Census) Bury(f *Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	for _, b := range c.all {
		if b.Died.IsZero() && b.Postmaster.Before(f.At) {
			b.Died = now
		}
	}
}
