package lab

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// sight is what was seen of a call that leaves it to the pool which connection it gets, and whether it gets another one: on
// which it was last, and since when. Without a statement on any it held none.
type sight struct {
	load *workload

	mu      sync.Mutex
	conn    *pgx.Conn
	backend *Backend
	granted time.Time
	holding bool // counted among those that hold a connection
	over    bool
}

// sightKey is under what a context carries the sight of its call.
type sightKey struct{}

// beginTx is how pgx begins a transaction.
const beginTx = "begin"

// began notes a statement of the call on a connection. What begins a transaction holds its connection anew, also if it is the
// one from before.
func (s *sight) began(conn *pgx.Conn, sql string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	if s.conn != conn || sql == beginTx {
		s.conn, s.granted, s.backend = conn, time.Now(), s.load.behind(conn.PgConn())
	}
	s.hold(true)
}

// lost notes that the connection is gone, and that the call holds none until its next statement.
func (s *sight) lost() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold(false)
}

// end notes that the call has ended, and gives what was seen of it. What database/sql still rolls back then is no part of it.
func (s *sight) end() (granted time.Time, b *Backend) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold(false)
	s.over = true
	return s.granted, s.backend
}

func (s *sight) hold(holds bool) {
	switch {
	case holds && !s.holding:
		s.load.holding.Add(1)
	case !holds && s.holding:
		s.load.holding.Add(-1)
	}
	s.holding = holds
}

// witness is a tracer that sees which connections a pool takes for the calls whose contexts carry a sight. pgx tells it of a
// statement before a byte of that is written.
type witness struct{}

func (witness) TraceQueryStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if s, ok := ctx.Value(sightKey{}).(*sight); ok {
		s.began(conn, data.SQL)
	}
	return ctx
}

func (witness) TraceQueryEnd(ctx context.Context, conn *pgx.Conn, _ pgx.TraceQueryEndData) {
	if s, ok := ctx.Value(sightKey{}).(*sight); ok && conn.IsClosed() {
		s.lost()
	}
}
