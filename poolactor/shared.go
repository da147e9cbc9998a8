package poolactor

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed-4ff2b7b9/supervised/actors/health"
	"github.com/seed-4ff2b7b9/supervised/internal/multiplex"
)

// SharedConfig says how statements share connections; see Pool.Shared.
type SharedConfig struct {
	// Connections is how many connections of the pool are shared at most; one of MaxSize is always left to leases. Default 4;
	// off: every statement leases a connection.
	Connections int
}

// Shared runs statements of many callers on a few connections of the pool, each statement by itself. Pool.Shared makes it.
type Shared struct {
	pool       *Pool
	idempotent bool
}

// Shared is for many short statements at once: it runs statements without a lease for each. While several callers use it,
// what they send goes over a few connections that it leases for all of them (Config.Shared), written together and answered
// one by one, so that no connection waits for a network or a caller. A single caller, and whatever does not share well, gets a
// lease of its own, as from the pool's own methods: that is so for anything but SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES,
// TABLE and WITH, for pgx.QueryExecMode and other options of pgx (named arguments excepted), in exec modes other than
// pgx.QueryExecModeCacheStatement, with a pgx.QueryTracer or ResetFull, and for statements that lately were slow (100 ms) or had large
// results.
//
// Each statement is a transaction of its own. What is about a transaction, about the session (SET, LISTEN, temporary tables,
// advisory locks, currval) or several statements in one text is refused with ErrNotShared. That is judged by the text, which
// cannot tell what functions, views, triggers and rules do inside: use Shared where they do nothing about their session.
//
// A caller whose context ends leaves; if its statement was sent it runs on, which nothing cancels, and the error matches
// ErrOutcomeUnknown beside the context's own. When a shared connection is lost, what was sent over it and not answered fails
// with ErrOutcomeUnknown (see Idempotent), and everything else goes another way. Answers are in memory as a whole: those of
// statements that only read, up to 256 rows and 256 KiB, and larger ones are read again over a lease.
//
// On its connection a statement is behind those that were sent before it, also behind one that waits for a lock. So let nobody
// who holds locks in a transaction wait for a shared statement without a deadline: what it is behind may be waiting for him,
// which the server, for whom the two have nothing to do with each other, does not see.
//
// What OnNotice is told of shared statements, it is told by the goroutine that reads their connection: it must not wait for
// one of them there.
//
// Shared statements wait out outages as all calls do. Shared connections are leases of the pool with the label "shared
// statements"; Config.LeaseWarnAfter and LeaseMaxAge leave them alone, and Suspend, Resize, Evict and Shutdown get them back
// within milliseconds, or as soon as what was sent is answered.
func (p *Pool) Shared() Shared { return Shared{pool: p} }

// ErrNotShared: the statement is about its session or a transaction, so it cannot share a connection. Run it on a lease:
// Pool.Acquire, Pool.With or Pool.WithTx.
var ErrNotShared = errors.New("poolactor: the statement cannot share a connection: run it on a lease (Acquire, With, WithTx)")

// Idempotent is the same for statements that may run twice: Exec, Query and QueryRow send those again that are lost with
// their connection, twice at most over leases. Once Query has returned rows, they are not asked for again.
func (s Shared) Idempotent() Shared {
	s.idempotent = true
	return s
}

// Exec runs one statement, as pgx.Conn.Exec does.
func (s Shared) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	shares := s.enter()
	defer s.leave()
	statement, shares, err := s.statement(ctx, shares, sql, args)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	if shares {
		tag, err := s.pool.group.Exec(ctx, statement, s.options())
		if !errors.Is(err, multiplex.ErrElsewhere) {
			return tag, s.explain(err)
		}
	}
	tag, err := s.pool.own.Exec(ctx, sql, args...)
	for repeats := 0; s.lost(ctx, err, repeats); repeats++ {
		tag, err = s.pool.own.Exec(ctx, sql, args...)
	}
	return tag, err
}

// Query runs one statement and returns its rows, as pgx.Conn.Query does. Rows.Conn is nil unless they have a lease. They are
// to be closed; reading to their end closes them.
func (s Shared) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	shares := s.enter()
	defer s.leave()
	statement, shares, err := s.statement(ctx, shares, sql, args)
	if err != nil {
		return failedRows{err}, err
	}
	if shares {
		rows, err := s.pool.group.Query(ctx, statement, s.options())
		switch {
		case err == nil:
			return rows, nil
		case !errors.Is(err, multiplex.ErrElsewhere):
			err = s.explain(err)
			return failedRows{err}, err
		}
	}
	rows, err := s.pool.own.Query(ctx, sql, args...)
	for repeats := 0; s.lost(ctx, err, repeats); repeats++ {
		rows, err = s.pool.own.Query(ctx, sql, args...)
	}
	return rows, err
}

// QueryRow runs one statement that returns one row, as pgx.Conn.QueryRow does.
func (s Shared) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	rows, err := s.Query(ctx, sql, args...)
	if s.idempotent {
		return idempotentRow{row{rows, err}, func(repeats int, err error) (row, bool) {
			if !s.lost(ctx, err, repeats) {
				return row{}, false
			}
			rows, err := s.Query(ctx, sql, args...)
			return row{rows, err}, true
		}}
	}
	return row{rows, err}
}

// idempotentRow is a row that is asked for again when its connection is lost before it has been read.
type idempotentRow struct {
	row
	again func(repeats int, err error) (row, bool)
}

func (r idempotentRow) Scan(dest ...any) error {
	err := r.row.Scan(dest...)
	for repeats := 0; ; repeats++ {
		next, ok := r.again(repeats, err)
		if !ok {
			return err
		}
		err = next.Scan(dest...)
	}
}

// lost tells whether a statement that may run twice was lost over a lease, and is worth one more.
func (s Shared) lost(ctx context.Context, err error, repeats int) bool {
	return s.idempotent && repeats < maxRepeats && health.Grade(err) == health.Death && ctx.Err() == nil
}

// SendBatch runs several statements in one round trip, as pgx.Conn.SendBatch does: they are one transaction. One that is longer
// than 32 statements, or has something in it that does not share, gets a lease until the results are closed.
func (s Shared) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	shares := s.enter()
	defer s.leave()
	statements, shares, err := s.statements(ctx, shares, b)
	if err != nil {
		return pgx.FailedBatchResults(b, err)
	}
	if shares {
		results, err := s.pool.group.Batch(ctx, b, statements, s.options())
		switch {
		case err == nil:
			return results
		case !errors.Is(err, multiplex.ErrElsewhere):
			return pgx.FailedBatchResults(b, s.explain(err))
		}
	}
	return s.pool.own.SendBatch(ctx, b)
}

// statements looks at all texts of a batch.
func (s Shared) statements(ctx context.Context, shares bool, b *pgx.Batch) ([]multiplex.Statement, bool, error) {
	n := len(b.QueuedQueries)
	shares = shares && n > 0 && n <= multiplex.MaxBatch
	all := make([]multiplex.Statement, 0, n)
	for _, q := range b.QueuedQueries {
		one, fit, err := s.statement(ctx, shares, q.SQL, q.Arguments)
		if err != nil {
			return nil, false, err
		}
		shares = shares && fit
		all = append(all, one)
	}
	return all, shares, nil
}

func (s Shared) enter() bool {
	return s.pool.group.Enter() && s.pool.canShare
}

func (s Shared) leave() { s.pool.group.Leave() }

// statement looks at a text, also where it is not going to share: what is refused is refused always.
func (s Shared) statement(ctx context.Context, shares bool, sql string, args []any) (multiplex.Statement, bool, error) {
	if len(args) > 0 {
		var plain bool
		if sql, args, plain = multiplex.Rewrite(ctx, sql, args); !plain {
			shares = false
		}
	}
	text := s.pool.group.Text(sql)
	switch text.Verdict {
	case multiplex.Refused:
		return multiplex.Statement{}, false, fmt.Errorf("%w: %s", ErrNotShared, text.Why)
	case multiplex.Elsewhere:
		return multiplex.Statement{}, false, nil
	}
	return multiplex.Statement{Text: text, Args: args}, shares && text.Passes(), nil
}

func (s Shared) options() multiplex.Options { return multiplex.Options{Idempotent: s.idempotent} }

// explain makes the error of a shared statement say what happened.
func (s Shared) explain(err error) error {
	var lost *multiplex.LostError
	switch {
	case !errors.As(err, &lost):
		return err
	case lost.Sent:
		return fmt.Errorf("poolactor: the caller has left, and the shared statement runs on: %w (%w)", lost.Err, ErrOutcomeUnknown)
	default:
		return fmt.Errorf("%w: the shared connection was lost: %w", ErrOutcomeUnknown, lost.Err)
	}
}
