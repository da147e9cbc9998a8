package lab

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// observer asks a server all the time who its clients are: what it sees is recorded for every call, whichever pool made it.
type observer struct {
	dsn  string
	stop context.CancelFunc
	done sync.WaitGroup

	mu     sync.Mutex
	starts map[uint32][]time.Time // of the backends that were seen, by PID, the earliest first
	seen   sighting
}

// sighting is what pg_stat_activity told while the callers called.
type sighting struct {
	Looks    int `json:"looks"`
	Blind    int `json:"blind"`    // looks at which the server did not tell
	Backends int `json:"backends"` // that were there in all
	Most     int `json:"most"`     // at once, those of the laboratory and of the dead that the server has not noticed included
}

const (
	// observing is how often the observer looks, and observerPatience how long it waits for an answer.
	observing        = 50 * time.Millisecond
	observerPatience = time.Second
	// observerName is what the server calls the observer, which is nobody's client.
	observerName = "observer"
)

// observe begins to look. The observer has a session of its own, and makes a new one when that is lost.
func observe(dsn string) *observer {
	ctx, stop := context.WithCancel(context.Background())
	o := &observer{dsn: dsn, stop: stop, starts: make(map[uint32][]time.Time)}
	o.done.Go(func() {
		var conn *pgx.Conn
		for ctx.Err() == nil {
			conn = o.look(ctx, conn)
			Pass(ctx, observing)
		}
		o.leave(conn)
	})
	return o
}

// end ends the looking, and the observer's session with it. It may be called more than once.
func (o *observer) end() {
	o.stop()
	o.done.Wait()
}

// leave ends a session.
func (o *observer) leave(conn *pgx.Conn) {
	if conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), observerPatience)
	defer cancel()
	_ = conn.Close(ctx) // the server may be gone
}

// look looks once, and gives the session for the next time: nil if a new one is needed.
func (o *observer) look(ctx context.Context, conn *pgx.Conn) *pgx.Conn {
	ctx, cancel := context.WithTimeout(ctx, observerPatience)
	defer cancel()
	var err error
	if conn == nil {
		conn, err = o.enter(ctx)
	}
	var there []presence
	if err == nil {
		var found pgx.Rows
		found, err = conn.Query(ctx, "select pid, backend_start "+others)
		if err == nil {
			there, err = pgx.CollectRows(found, pgx.RowToStructByPos[presence])
		}
	}
	if err != nil {
		o.leave(conn)
		conn = nil
	}
	o.note(there, err == nil)
	return conn
}

// enter begins a session.
func (o *observer) enter(ctx context.Context) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(o.dsn)
	if err != nil {
		return nil, err
	}
	cfg.RuntimeParams["application_name"] = observerName
	cfg.Database = "postgres" // the one of the callers may be dropped
	return pgx.ConnectConfig(ctx, cfg)
}

// presence is a backend that serves a client.
type presence struct {
	PID     int32
	Started time.Time
}

// note takes down who was there, if the server told.
func (o *observer) note(there []presence, told bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen.Looks++
	if !told {
		o.seen.Blind++
		return
	}
	o.seen.Most = max(o.seen.Most, len(there))
	for _, p := range there {
		starts := o.starts[uint32(p.PID)]
		if n := len(starts); n == 0 || p.Started.After(starts[n-1]) {
			o.starts[uint32(p.PID)] = append(starts, p.Started)
			o.seen.Backends++
		}
	}
}

// startOf is when the backend of that PID that was there at a time had started; zero: it was not seen.
func (o *observer) startOf(pid uint32, at time.Time) time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, start := range slices.Backward(o.starts[pid]) {
		if !start.After(at) {
			return start
		}
	}
	return time.Time{}
}
