package pgxpool

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed-4ff2b7b9/supervised/internal/door"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// Pool shares connections among goroutines; all its methods may be called from any of them.
type Pool struct {
	config  *Config
	pool    *poolactor.Pool
	calls   door.Calls
	prepare func(context.Context, *pgx.Conn) (bool, error) // PrepareConn, or what BeforeAcquire makes of it
	trace   tracers

	acquired, canceled atomic.Int64
	acquireTime        atomic.Int64
	rest               sync.Map // when a *pgx.Conn was released last, if ShouldPing wants to know

	// shown has each *Conn that has given away its *pgx.Conn, until Release or Hijack: who uses only that has no reference
	// to the lease, and the watch for forgotten leases would close the connection under its user.
	shown sync.Map

	workers workers
	closing sync.Once
}

// New makes a pool from a connection string; see [ParseConfig] and [NewWithConfig].
func New(ctx context.Context, connString string) (*Pool, error) {
	config, err := ParseConfig(connString)
	if err != nil {
		return nil, err
	}
	return NewWithConfig(ctx, config)
}

// NewWithConfig makes a pool and does not wait for the server: connections for MinConns and MinIdleConns are opened
// beside it. Of ctx it only keeps the values, for BeforeConnect and AfterConnect. It panics if the config was not made
// by [ParseConfig], and its errors are values that are not allowed.
func NewWithConfig(ctx context.Context, config *Config) (*Pool, error) {
	if !config.createdByParseConfig {
		panic("config must be created by ParseConfig")
	}
	config = config.Copy()
	p := &Pool{config: config, prepare: config.PrepareConn, trace: tracersOf(config.ConnConfig.Tracer)}
	if hook := config.BeforeAcquire; p.prepare == nil && hook != nil {
		p.prepare = func(ctx context.Context, conn *pgx.Conn) (bool, error) { return hook(ctx, conn), nil }
	}
	below, err := p.supervised(context.WithoutCancel(ctx))
	if err != nil {
		return nil, err
	}
	p.calls = door.NewCalls(p.lease, p.release)
	if p.pool, err = poolactor.Open(context.WithoutCancel(ctx), below); err != nil {
		return nil, fmt.Errorf("pgxpool: %w", err)
	}
	return p, nil
}

// Supervised is the pool below: for its events, its holders, its figures; to suspend, resize or evict; to shut it down with a
// context. What is leased from it directly passes the hooks of this pool by, but for those of a connection's begin and
// end.
func (p *Pool) Supervised() *poolactor.Pool { return p.pool }

// Config returns a copy of what the pool was made with.
func (p *Pool) Config() *Config { return p.config.Copy() }

// hookGrace is how long Close waits for hooks that still run when every connection is closed.
const hookGrace = time.Second

// Close refuses new calls, waits until connections are back and closed, and for AfterRelease to return. What is still out
// after 10 s (poolactor.Config.DrainTimeout, by [Config.Tune]) is closed under its holder's hands. A second call waits for
// the first.
func (p *Pool) Close() {
	p.closing.Do(func() {
		_ = p.pool.Close() // whom it took a lease from, an event has told
		p.workers.join(hookGrace)
	})
}

// Reset closes every connection: at once where nobody uses it, else when it is released. What is opened from now on
// stays. In an outage, in which nothing could take their place, connections that work serve on until it is over.
func (p *Pool) Reset() { _ = p.pool.Evict(ended, 0) }

// ended is a context under which Evict only says what is to happen.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// Exec acquires a connection for one statement. Like the pool's other methods that acquire for themselves, it takes
// another connection if the first turns out to be dead before a byte of the statement was written to it.
func (p *Pool) Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error) {
	return p.calls.Exec(ctx, sql, arguments...)
}

// Query acquires a connection until the rows are closed: by Close, at their end, or when Scan or Values fails. After an
// error the rows are there, too, and say the same.
func (p *Pool) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return p.calls.Query(ctx, sql, args...)
}

// QueryRow acquires a connection until Scan, which returns pgx.ErrNoRows if there is none.
func (p *Pool) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return p.calls.QueryRow(ctx, sql, args...)
}

// SendBatch acquires a connection until the results are closed; if the batch has begun a transaction (pgx.Batch.BeginTx),
// until that has ended.
func (p *Pool) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	return &batchResults{BatchResults: p.calls.SendBatch(ctx, b)}
}

// Begin acquires a connection for a transaction with the server's default mode. See BeginTx.
func (p *Pool) Begin(ctx context.Context) (pgx.Tx, error) { return p.BeginTx(ctx, pgx.TxOptions{}) }

// BeginTx acquires a connection for a transaction, a [*Tx], until its Commit or Rollback. ctx is for the BEGIN only.
func (p *Pool) BeginTx(ctx context.Context, txOptions pgx.TxOptions) (pgx.Tx, error) {
	t, err := p.calls.BeginTx(ctx, txOptions)
	if err != nil {
		return nil, err
	}
	return &Tx{t}, nil
}

// CopyFrom acquires a connection to copy rows into a table. See [Conn.CopyFrom] for panics.
func (p *Pool) CopyFrom(ctx context.Context, tableName pgx.Identifier, columnNames []string, rowSrc pgx.CopyFromSource) (int64, error) {
	return p.calls.CopyFrom(ctx, tableName, columnNames, rowSrc)
}

// Ping acquires a connection for one round trip to the server.
func (p *Pool) Ping(ctx context.Context) error { return p.calls.Ping(ctx) }
