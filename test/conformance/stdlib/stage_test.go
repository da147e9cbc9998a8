// Package stdlib runs each of its trials twice in one call, on a *sql.DB of pgx's stdlib and on one of ours, and holds what
// they have seen against each other: values, types of columns, kinds of errors. Where both differ on purpose, the trial
// says what either is to see, and MIGRATING.md says why: its table and the trials name the same differences.
package stdlib

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	pgxstdlib "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/faultproxy"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/poolactor/stdlib"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// patience bounds whatever a trial waits for, on a machine that is busy with others.
const patience = 30 * time.Second

// trial is one thing that a program does with a *sql.DB.
type trial struct {
	name      string
	run       func(s *side)
	everyMode bool // it is run in each of pgx's modes to execute a query
	proxied   bool // it has a proxy between the *sql.DB and the server
	spare     bool // of a proxied trial: the second host of the configuration is the server without the proxy
	traced    bool // what pgx's tracer is told is seen as well
	unasked   bool // pgx takes a connection as it is, as it does within a second after its last use
	single    bool // our pool is of one connection: what is given back is what comes next
	differs   *difference
}

// difference is what the sides see where that is not the same.
type difference struct {
	row  string   // its row in the table of MIGRATING.md
	pgx  []string // what each is to see
	ours []string
}

// side is a *sql.DB under trial, and what it has shown.
type side struct {
	*sql.DB
	t      *testing.T
	conn   func(driverConn any) *pgx.Conn // the one name that is another: *stdlib.Conn
	beside *pgx.Conn                      // a connection of the trial's own
	proxy  *faultproxy.Proxy              // of a proxied trial
	pool   *poolactor.Pool                // nil: pgx's side
	seen   []string
}

func (s *side) ctx() context.Context { return s.within(patience) }

func (s *side) within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	s.t.Cleanup(cancel)
	return ctx
}

// saw takes down a value with its type, or an error.
func (s *side) saw(what string, value any, err error) {
	if err != nil {
		s.failed(what, err)
		return
	}
	s.seen = append(s.seen, fmt.Sprintf("%s: %s", what, shown(value)))
}

// failed takes down how something ended.
func (s *side) failed(what string, err error) {
	if err != nil {
		s.t.Logf("%s: %v", what, err)
	}
	s.seen = append(s.seen, what+": "+kind(err))
}

// does runs a statement that the trial needs and does not judge.
func (s *side) does(query string, args ...any) {
	s.t.Helper()
	_, err := s.ExecContext(s.ctx(), query, args...)
	require.NoError(s.t, err)
}

// prepares runs a statement beside the trial.
func (s *side) prepares(query string) {
	s.t.Helper()
	_, err := s.beside.Exec(s.ctx(), query)
	require.NoError(s.t, err)
}

// hold is a sql.Conn, closed with the trial at the latest.
func (s *side) hold() *sql.Conn {
	s.t.Helper()
	conn, err := s.Conn(s.ctx())
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// begin is a transaction, rolled back with the trial at the latest.
func (s *side) begin(o *sql.TxOptions) *sql.Tx {
	s.t.Helper()
	tx, err := s.BeginTx(s.ctx(), o)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = tx.Rollback() })
	return tx
}

// prepared is a statement, closed with the trial at the latest.
func (s *side) prepared(query string) *sql.Stmt {
	s.t.Helper()
	stmt, err := s.PrepareContext(s.ctx(), query)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = stmt.Close() })
	return stmt
}

// resets resets every connection of a proxied trial, and returns when that can be seen.
func (s *side) resets() {
	s.t.Helper()
	s.proxy.ResetAll()
	require.Eventually(s.t, func() bool { return s.proxy.Counts().Open == 0 }, patience, time.Millisecond)
}

// losesWhatRests resets a connection that rests.
func (s *side) losesWhatRests() {
	s.t.Helper()
	s.does("select 1")
	s.resets()
}

// querier is what a *sql.DB, a *sql.Conn and a *sql.Tx have in common.
type querier interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
	QueryRowContext(context.Context, string, ...any) *sql.Row
}

// asks takes down the one value of a query.
func (s *side) asks(q querier, what, query string, args ...any) {
	var value any
	err := q.QueryRowContext(s.ctx(), query, args...).Scan(&value)
	s.saw(what, value, err)
}

// execs takes down how many rows a statement has changed.
func (s *side) execs(q querier, what, query string, args ...any) {
	result, err := q.ExecContext(s.ctx(), query, args...)
	if err != nil {
		s.failed(what, err)
		return
	}
	n, err := result.RowsAffected()
	s.saw(what, n, err)
}

// number is a number that the trial needs.
func (s *side) number(q querier, query string, args ...any) (n int) {
	s.t.Helper()
	require.NoError(s.t, q.QueryRowContext(s.ctx(), query, args...).Scan(&n))
	return n
}

const backend = "select pg_backend_pid()"

// shown is a value with its type.
func shown(value any) string {
	switch v := value.(type) {
	case nil:
		return "nil"
	case []byte:
		return fmt.Sprintf("[]byte %q", v)
	case sql.RawBytes:
		return fmt.Sprintf("sql.RawBytes %q", v)
	case time.Time:
		return "time.Time " + v.Format(time.RFC3339Nano)
	case string:
		return fmt.Sprintf("string %q", v)
	default:
		return fmt.Sprintf("%T %v", v, v)
	}
}

// known are errors that programs look for, each before those that it may wrap.
var known = []struct {
	err  error
	name string
}{
	{sql.ErrNoRows, "sql.ErrNoRows"},
	{sql.ErrTxDone, "sql.ErrTxDone"},
	{sql.ErrConnDone, "sql.ErrConnDone"},
	{poolactor.ErrOutcomeUnknown, "poolactor.ErrOutcomeUnknown"},
	{driver.ErrBadConn, "driver.ErrBadConn"},
	{context.Canceled, "context.Canceled"},
	{context.DeadlineExceeded, "context.DeadlineExceeded"},
	{pgx.ErrTxCommitRollback, "pgx.ErrTxCommitRollback"},
	{pgx.ErrTxClosed, "pgx.ErrTxClosed"},
	{syscall.ECONNREFUSED, "connection refused"},
	{io.ErrUnexpectedEOF, lost},
	{io.EOF, lost},
	{syscall.ECONNRESET, lost},
	{syscall.EPIPE, lost},
	{pgconn.ErrConnClosed, lost},
}

const lost = "connection lost"

// kind is what a program can tell of an error: what it matches, the server's code, or else its text.
func kind(err error) string {
	if err == nil {
		return "ok"
	}
	var exhausted *poolactor.ExhaustedError
	if errors.As(err, &exhausted) {
		return "*poolactor.ExhaustedError, " + kind(exhausted.Err)
	}
	var unavailable *poolactor.UnavailableError
	if errors.As(err, &unavailable) {
		return "*poolactor.UnavailableError, " + kind(unavailable.Err)
	}
	for _, k := range known {
		if errors.Is(err, k.err) {
			return k.name
		}
	}
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		return answer.Severity + " " + answer.Code
	}
	return fmt.Sprintf("%q", err)
}

// modes are pgx's ways to execute a query; the first is what it does by itself.
var modes = []pgx.QueryExecMode{
	pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
	pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
}

// on runs a trial on one side and returns what it has seen.
func (c trial) on(t *testing.T, mode pgx.QueryExecMode, open func(trial, *side, poolactor.Config)) []string {
	t.Helper()
	server := pgtest.Server(t)
	cfg, err := poolactor.ParseConfig(server.DSN())
	require.NoError(t, err)
	cfg.ConnConfig.DefaultQueryExecMode = mode
	if c.single {
		cfg.MaxSize = 1
	}
	s := &side{t: t}
	if c.traced {
		cfg.ConnConfig.Tracer = tracer{s}
	}
	s.beside, err = pgx.Connect(s.ctx(), server.DSN())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.beside.Close(context.Background())) })
	if c.proxied {
		s.proxy, err = faultproxy.New(server.Address())
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.proxy.Close()) })
		direct := pgconn.FallbackConfig{Host: cfg.ConnConfig.Host, Port: cfg.ConnConfig.Port, TLSConfig: cfg.ConnConfig.TLSConfig}
		cfg.ConnConfig.Port = uint16(s.proxy.Port())
		for _, f := range cfg.ConnConfig.Fallbacks {
			f.Port = uint16(s.proxy.Port())
		}
		if c.spare {
			cfg.ConnConfig.Fallbacks = append(cfg.ConnConfig.Fallbacks, &direct)
		}
	}
	open(c, s, cfg)
	c.run(s)
	return s.seen
}

// tracer takes down the statements of a trial that is for one goroutine.
type tracer struct{ side *side }

func (t tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	t.side.saw("traced", fmt.Sprint(data.SQL, " ", len(data.Args)), nil)
	return ctx
}

func (t tracer) TraceQueryEnd(_ context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	t.side.saw("traced", data.CommandTag.String(), data.Err)
}

func openPGX(c trial, s *side, cfg poolactor.Config) {
	s.t.Helper()
	var options []pgxstdlib.OptionOpenDB
	if c.unasked {
		options = append(options, pgxstdlib.OptionShouldPing(func(context.Context, pgxstdlib.ShouldPingParams) bool { return false }))
	}
	s.DB = pgxstdlib.OpenDB(*cfg.ConnConfig, options...)
	s.conn = func(driverConn any) *pgx.Conn { return driverConn.(*pgxstdlib.Conn).Conn() }
	s.t.Cleanup(func() { require.NoError(s.t, s.Close()) })
}

func openOurs(_ trial, s *side, cfg poolactor.Config) {
	s.t.Helper()
	var err error
	s.pool, err = poolactor.Open(s.ctx(), cfg)
	require.NoError(s.t, err)
	s.DB = stdlib.OpenDB(s.pool)
	s.conn = func(driverConn any) *pgx.Conn { return driverConn.(*stdlib.Conn).Conn() }
	s.t.Cleanup(func() {
		require.NoError(s.t, s.Close())
		require.NoError(s.t, s.pool.Close())
	})
}
