package poolactor

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed-4ff2b7b9/supervised/actors/health"
	"github.com/seed-4ff2b7b9/supervised/internal/backend"
	"github.com/seed-4ff2b7b9/supervised/internal/failpoint"
)

// Lease is the right to use one connection until Release. It serves one statement at a time: a second goroutine that
// uses it meanwhile gets ErrBusy, and so does a statement beside rows that were not closed. After Release every method
// answers ErrReleased; it never reaches the connection's next holder.
//
// A lease that is dropped without Release is noticed by the garbage collector: its place is given back, its connection
// closed, and the loss is logged as an error.
//
// A lease that is held for longer than Config.LeaseMaxAge is taken away: what runs on it is cancelled and fails, its
// connection is closed, its place serves others, and every method but Release answers ErrRevoked from then on.
type Lease struct {
	token atomic.Pointer[token] // nil once released
	gen   uint64
	conn  *backend.Conn
}

// grant makes the lease of an accepted claim.
func (p *Pool) grant(ctx context.Context, t *token, gen uint64, now int64) *Lease {
	s := t.slot
	s.acquired.Store(now)
	if label, ok := ctx.Value(labelKey{}).(*string); ok {
		s.label.Store(label)
	} else if s.label.Load() != nil {
		s.label.Store(nil)
	}
	if p.cfg.RecordStacks {
		s.recordStack()
	}
	l := &Lease{gen: gen, conn: s.conn.Load()}
	l.token.Store(t)
	s.open(gen)
	return l
}

// begin takes the connection for one statement.
func (l *Lease) begin() (*slot, error) {
	t := l.token.Load()
	if t == nil {
		return nil, ErrReleased
	}
	s := t.slot
	fenced := s.begin(l.gen)
	switch {
	case !s.isOf(l.gen): // looked at behind the fence: from now on a revocation leaves the connection to this statement
		if fenced { // else the fence is that of a statement that still uses the connection
			s.end(l.gen)
		}
		return nil, l.over(s)
	case fenced:
		return s, nil
	case l.token.Load() == nil:
		return nil, ErrReleased
	default:
		return nil, ErrBusy
	}
}

// over is the error of a lease whose slot is not its own any more: nobody but its holder makes it forget its token.
func (l *Lease) over(s *slot) error {
	if w := s.word.Load(); l.token.Load() == nil && !(w.gen() == l.gen && w.has(flagRevoked)) {
		return ErrReleased
	}
	return ErrRevoked
}

// end gives the connection back to the lease and draws the conclusions from the statement's outcome. After a Release by
// another goroutine, or a revocation, there is nothing to give back, and nothing to learn about whoever has the slot now.
func (l *Lease) end(ctx context.Context, s *slot, err error) error {
	if s.isOf(l.gen) {
		err = s.pool.assess(ctx, s, l.conn, err)
	} else if err = backend.Explain(ctx, err); err != nil && l.over(s) == ErrRevoked {
		err = errors.Join(ErrRevoked, err)
	}
	s.end(l.gen)
	runtime.KeepAlive(l)
	return err
}

// assess notes what the outcome of a statement says about the connection, and makes the error say what happened.
func (p *Pool) assess(ctx context.Context, s *slot, c *backend.Conn, err error) error {
	if err == nil || errors.Is(err, pgx.ErrNoRows) {
		p.prove(s)
		return err
	}
	if answered(err) {
		p.prove(s)
	}
	p.learn(s, c, err)
	return backend.Explain(ctx, err)
}

// answered tells whether an error is the server's answer on a connection that lives on.
func answered(err error) bool {
	var pe *pgconn.PgError
	if !errors.As(err, &pe) || health.Grade(err) == health.Death {
		return false
	}
	return pe.SeverityUnlocalized != "FATAL" && pe.SeverityUnlocalized != "PANIC"
}

// Exec runs one statement, as pgx.Conn.Exec does.
func (l *Lease) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	s, err := l.begin()
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	tag, err := l.conn.PGX().Exec(ctx, sql, args...)
	return tag, l.end(ctx, s, err)
}

// Query runs one statement and returns its rows, as pgx.Conn.Query does. The lease is busy until the rows are closed;
// reading to their end closes them.
func (l *Lease) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	s, err := l.begin()
	if err != nil {
		return failedRows{err}, err
	}
	return l.rows(ctx, s)(l.conn.PGX().Query(ctx, sql, args...))
}

// QueryRow runs one statement that returns one row, as pgx.Conn.QueryRow does. The lease is busy until Scan.
func (l *Lease) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	rows, err := l.Query(ctx, sql, args...)
	return row{rows, err}
}

// SendBatch sends several statements in one round trip, as pgx.Conn.SendBatch does. The lease is busy until the
// results are closed.
func (l *Lease) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	s, err := l.begin()
	if err != nil {
		return pgx.FailedBatchResults(b, err)
	}
	return l.batch(ctx, s, l.conn.PGX().SendBatch(ctx, b))
}

// CopyFrom copies rows into a table, as pgx.Conn.CopyFrom does. A panic of src, which pgx reads in a goroutine of its own,
// comes out of CopyFrom as an *actors.PanicError, with the stack of its place; one in a method of a value that is
// encoded there ends the process.
func (l *Lease) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, src pgx.CopyFromSource) (int64, error) {
	s, err := l.begin()
	if err != nil {
		return 0, err
	}
	return l.copyFrom(ctx, s, src, func(src pgx.CopyFromSource) (int64, error) {
		return l.conn.PGX().CopyFrom(ctx, table, columns, src)
	})
}

// Ping makes one round trip to the server.
func (l *Lease) Ping(ctx context.Context) error {
	s, err := l.begin()
	if err != nil {
		return err
	}
	return l.end(ctx, s, l.conn.PGX().Ping(ctx))
}

// Begin starts a transaction. See BeginTx.
func (l *Lease) Begin(ctx context.Context) (pgx.Tx, error) { return l.BeginTx(ctx, pgx.TxOptions{}) }

// BeginTx starts a transaction, as pgx.Conn.BeginTx does. The lease can be used beside it, for statements inside the
// same transaction. A Release before its end rolls it back.
func (l *Lease) BeginTx(ctx context.Context, o pgx.TxOptions) (pgx.Tx, error) {
	t, err := l.beginTx(ctx, o)
	if err != nil {
		return nil, err
	}
	return t, nil
}

// Raw gives f the raw connection. Inside f nothing is fenced, and f must not keep the connection: it belongs to the
// next lease after Release. What f does to the session is seen on the wire and cleaned on return, as for any statement,
// and with ResetNone, too: then what the lease did before and after f is cleaned with it. The lease is busy until f
// returns; if f panics, or ends its goroutine, the connection is closed on Release.
func (l *Lease) Raw(f func(*pgx.Conn) error) error {
	s, err := l.begin()
	if err != nil {
		return err
	}
	if s.pool.cfg.Reset == ResetNone {
		l.conn.Note(backend.Unfenced)
	}
	if err := f(l.conn.PGX()); err != nil {
		return l.end(context.Background(), s, err)
	}
	s.end(l.gen) // f need not have asked the server anything, so this proves nothing
	runtime.KeepAlive(l)
	return nil
}

// Hijack takes the connection out of the pool for good: it no longer counts, the lease is over, and the caller closes
// it. Errors: ErrReleased, ErrRevoked, ErrBusy.
func (l *Lease) Hijack() (*pgx.Conn, error) {
	s, err := l.begin()
	if err != nil {
		return nil, err
	}
	t := l.token.Swap(nil)
	if t == nil {
		return nil, ErrReleased
	}
	over := l.ending(s)
	taken := s.take(l.gen, gone, 0)
	runtime.KeepAlive(t) // else the leak watch may find the lease in between
	if !taken {
		return nil, ErrRevoked
	}
	s.pool.tellReleased(over, gone, true)
	s.pool.tell(hint{slot: s})
	return l.conn.PGX(), nil
}

// Discard releases the lease and closes its connection. A second call, or one after Release, does nothing.
func (l *Lease) Discard() { l.release(true) }

// Release gives the connection back. It never blocks, may be called from any goroutine, and does nothing the second
// time. A connection that is inside a transaction is rolled back first, one whose session was seen to have changed is
// cleaned as Config.Reset says, and one that is in use by another goroutine, or has unread rows, is closed.
func (l *Lease) Release() { l.release(false) }

func (l *Lease) release(discard bool) {
	t := l.token.Swap(nil)
	if t == nil {
		return
	}
	failpoint.Hit("caller.releasing")
	p := t.slot.pool
	if p.cfg.Tracer == nil {
		l.giveBack(t, discard)
		return
	}
	over := l.ending(t.slot)
	to, ended := l.giveBack(t, discard)
	p.tellReleased(over, to, ended)
}

// giveBack is the end of the lease, and tells what becomes of the connection; false if the lease was over.
func (l *Lease) giveBack(t *token, discard bool) (state, bool) {
	p, s := t.slot.pool, t.slot
	if !s.begin(l.gen) {
		return p.handBackTo(t, l.gen, broken, flagSevere)
	}
	if p.cfg.ShedByDeadline && s.isOf(l.gen) && !s.isShared() { // one that was taken away has kept nobody waiting since
		p.observe(time.Duration(p.now() - s.acquired.Load()))
	}
	c := l.conn
	switch fit := c.Fit(); {
	case discard:
		return p.handBackTo(t, l.gen, broken, 0)
	case fit && !p.cfg.Reset.due(c.Changes()) && !c.CancelPending():
		return p.handBackTo(t, l.gen, free, 0)
	case fit || c.InTx():
		return p.clean(t, l.gen)
	default:
		return p.handBackTo(t, l.gen, broken, 0)
	}
}
