package stdlib_test

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/poolactor/stdlib"
)

func pidOf(t *testing.T, q querier) int { return ask[int](t, q, "select pg_backend_pid()") }

func TestRawGivesTheConnection(t *testing.T) {
	s := onServer(t, single)
	conn := s.hold(t)
	do(t, conn, "create temp table copied (n int)")
	var kept *stdlib.Conn
	require.NoError(t, conn.Raw(func(driverConn any) error {
		kept = driverConn.(*stdlib.Conn)
		_, err := kept.Conn().CopyFrom(within(t, patience), pgx.Identifier{"copied"}, []string{"n"}, pgx.CopyFromRows([][]any{{1}, {2}}))
		return err
	}))
	require.Equal(t, 2, ask[int](t, conn, "select count(*) from copied"))
	require.NoError(t, conn.Close())
	require.Nil(t, kept.Conn(), "it was given back")
}

// What a call changes about its session is for itself.
func TestSessionsAreCleanedBetweenCalls(t *testing.T) {
	s := onServer(t, single)
	pid := pidOf(t, s)
	do(t, s, "set application_name = 'changed'; create temp table mine (n int)")
	require.NotEqual(t, "changed", ask[string](t, s, "show application_name"))
	_, err := s.ExecContext(within(t, patience), "select * from mine")
	requireCode(t, "42P01", err)
	require.Equal(t, pid, pidOf(t, s))

	conn := s.hold(t)
	do(t, conn, "begin")
	require.NoError(t, conn.Close())
	require.Equal(t, pid, pidOf(t, s), "rolled back, and not closed")
}

func requireCode(t *testing.T, code string, err error) {
	t.Helper()
	var answer *pgconn.PgError
	require.ErrorAs(t, err, &answer)
	require.Equal(t, code, answer.Code)
}

// cancels is how often a statement is cancelled for once with success: a server that is too busy to answer within 30 ms
// loses its connection.
const cancels = 5

// A statement that ran out of its time is cancelled at the server, and its session lives on.
func TestADeadlineKeepsTheSession(t *testing.T) {
	s := onServer(t, single)
	for name, run := range map[string]func(ctx context.Context, conn *sql.Conn) error{
		"exec": func(ctx context.Context, conn *sql.Conn) error {
			_, err := conn.ExecContext(ctx, "select pg_sleep(60)")
			return err
		},
		"query": func(ctx context.Context, conn *sql.Conn) error {
			rows, err := conn.QueryContext(ctx, "select n, pg_sleep(n * 60) from generate_series(0, 1) n")
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
			}
			return rows.Err()
		},
	} {
		survived := false
		for try := 0; try < cancels && !survived; try++ {
			conn := s.hold(t)
			do(t, conn, "create temp table mine (n int)")
			require.ErrorIs(t, run(within(t, 50*time.Millisecond), conn), context.DeadlineExceeded, name)
			_, err := conn.ExecContext(within(t, patience), "insert into mine values (1)")
			survived = err == nil
			_ = conn.Close() // it may be closed
		}
		require.True(t, survived, name)
	}
}

func TestTheEndOfItsContextRollsATransactionBack(t *testing.T) {
	s := onServer(t, single)
	do(t, s, "create table if not exists rolled_back (n int)")
	pid := pidOf(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	tx, err := s.BeginTx(ctx, nil)
	require.NoError(t, err)
	do(t, tx, "insert into rolled_back values (1)")
	cancel()
	require.Zero(t, ask[int](t, s, "select count(*) from rolled_back"), "it waits for the only connection")
	require.Equal(t, pid, pidOf(t, s))
	if err := tx.Commit(); err != context.Canceled { //nolint:errorlint // it is one of these two, and nothing else
		require.Equal(t, sql.ErrTxDone, err)
	}
}

func TestTransactions(t *testing.T) {
	s := onServer(t, nil)
	for level, name := range map[sql.IsolationLevel]string{
		sql.LevelDefault:         "read committed",
		sql.LevelReadUncommitted: "read uncommitted",
		sql.LevelReadCommitted:   "read committed",
		sql.LevelRepeatableRead:  "repeatable read",
		sql.LevelSnapshot:        "repeatable read",
		sql.LevelSerializable:    "serializable",
	} {
		tx, err := s.BeginTx(within(t, patience), &sql.TxOptions{Isolation: level})
		require.NoError(t, err)
		require.Equal(t, name, ask[string](t, tx, "show transaction_isolation"), level)
		require.NoError(t, tx.Commit())
	}
	for _, level := range []sql.IsolationLevel{sql.LevelWriteCommitted, sql.LevelLinearizable} {
		_, err := s.BeginTx(within(t, patience), &sql.TxOptions{Isolation: level})
		require.ErrorContains(t, err, level.String())
	}
	tx, err := s.BeginTx(within(t, patience), &sql.TxOptions{ReadOnly: true})
	require.NoError(t, err)
	_, err = tx.ExecContext(within(t, patience), "create table written (n int)")
	requireCode(t, "25006", err)
	require.ErrorIs(t, tx.Commit(), pgx.ErrTxCommitRollback)
}

// A statement leaves nothing behind that anybody would have to clean up, on whatever connections it was used.
func TestStatementsLeaveNothingToClean(t *testing.T) {
	for mode, kept := range map[pgx.QueryExecMode]int{
		pgx.QueryExecModeCacheStatement: 1, // by pgx, for whoever comes next
		pgx.QueryExecModeCacheDescribe:  0,
		pgx.QueryExecModeDescribeExec:   0,
		pgx.QueryExecModeExec:           0,
		pgx.QueryExecModeSimpleProtocol: 0,
	} {
		s := onServer(t, func(c *poolactor.Config) { c.MaxSize, c.ConnConfig.DefaultQueryExecMode = 4, mode })
		stmt, err := s.PrepareContext(within(t, patience), "select $1::int + 1")
		require.NoError(t, err)
		var wg sync.WaitGroup
		for n := range 8 {
			wg.Go(func() {
				for range 20 {
					var got int
					assert.NoError(t, stmt.QueryRowContext(within(t, patience), n).Scan(&got))
					assert.Equal(t, n+1, got)
				}
			})
		}
		wg.Wait()
		require.NoError(t, stmt.Close())
		require.Zero(t, s.pool.Stat().Cleanings)
		for range 4 {
			conn := s.hold(t)
			left := ask[int](t, conn, "select count(*) from pg_prepared_statements where statement like '%$1::int + 1'")
			require.LessOrEqual(t, left, kept, mode)
		}
	}
}

func TestStatementsInTransactions(t *testing.T) {
	s := onServer(t, nil)
	do(t, s, "create table if not exists stated (n int); truncate stated")
	insert, err := s.PrepareContext(within(t, patience), "insert into stated values ($1)")
	require.NoError(t, err)
	defer insert.Close()
	tx, err := s.BeginTx(within(t, patience), nil)
	require.NoError(t, err)
	_, err = tx.StmtContext(within(t, patience), insert).ExecContext(within(t, patience), 1)
	require.NoError(t, err)
	count, err := tx.PrepareContext(within(t, patience), "select count(*) from stated")
	require.NoError(t, err)
	require.Equal(t, 1, scalar(t, count), "it sees what the transaction did")
	require.NoError(t, tx.Rollback())
	require.Zero(t, ask[int](t, s, "select count(*) from stated"))
}

func scalar(t *testing.T, stmt *sql.Stmt, args ...any) (n int) {
	t.Helper()
	require.NoError(t, stmt.QueryRowContext(within(t, patience), args...).Scan(&n))
	return n
}

func TestWhatIsWrongWithAStatementIsToldWhenItIsPrepared(t *testing.T) {
	s := onServer(t, nil)
	_, err := s.PrepareContext(within(t, patience), "select nothing from nowhere")
	requireCode(t, "42P01", err)
	stmt, err := s.PrepareContext(within(t, patience), "select $1::int, $2::int")
	require.NoError(t, err)
	defer stmt.Close()
	_, err = stmt.ExecContext(within(t, patience), 1)
	require.ErrorContains(t, err, "expected 2 arguments, got 1")
}

func TestColumnTypes(t *testing.T) {
	s := onServer(t, nil)
	for _, c := range []struct {
		expression, name string
		length           int64
		precision, scale int64
		scan             reflect.Type
	}{
		{"1::int8", "INT8", -1, -1, 0, reflect.TypeFor[int64]()},
		{"'a'::text", "TEXT", math.MaxInt64, -1, 0, reflect.TypeFor[string]()},
		{"'a'::varchar(7)", "VARCHAR", 7, -1, 0, reflect.TypeFor[string]()},
		{"'a'::varchar", "VARCHAR", math.MaxInt64, -1, 0, reflect.TypeFor[string]()},
		{"'a'::char(3)", "BPCHAR", 3, -1, 0, reflect.TypeFor[string]()},
		{"'1'::varbit(5)", "VARBIT", 5, -1, 0, reflect.TypeFor[string]()},
		{"'1'::varbit", "VARBIT", math.MaxInt64, -1, 0, reflect.TypeFor[string]()},
		{"1.5::numeric(9, 2)", "NUMERIC", -1, 9, 2, reflect.TypeFor[float64]()},
		{"1500::numeric(3, -2)", "NUMERIC", -1, 3, -2, reflect.TypeFor[float64]()},
		{"1.5::numeric", "NUMERIC", -1, -1, 0, reflect.TypeFor[float64]()},
		{"now()", "TIMESTAMPTZ", -1, -1, 0, reflect.TypeFor[time.Time]()},
		{"'12:00'::timetz", "1266", -1, -1, 0, reflect.TypeFor[string]()},
	} {
		rows, err := s.QueryContext(within(t, patience), "select "+c.expression+" as a")
		require.NoError(t, err)
		columns, err := rows.ColumnTypes()
		require.NoError(t, err)
		require.NoError(t, rows.Close())
		require.NoError(t, rows.Err())
		column := columns[0]
		require.Equal(t, "a", column.Name())
		require.Equal(t, c.name, column.DatabaseTypeName(), c.expression)
		require.Equal(t, c.scan, column.ScanType(), c.expression)
		length, ok := column.Length()
		require.Equal(t, c.length >= 0, ok, c.expression)
		require.Equal(t, max(c.length, 0), length, c.expression)
		precision, scale, ok := column.DecimalSize()
		require.Equal(t, c.precision >= 0, ok, c.expression)
		require.Equal(t, max(c.precision, 0), precision, c.expression)
		require.Equal(t, c.scale, scale, c.expression)
	}
}

// Each type comes as the same Go type in each way of pgx to run a statement.
func TestValues(t *testing.T) {
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
		pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		s := onServer(t, func(c *poolactor.Config) { c.ConnConfig.DefaultQueryExecMode = mode })
		for expression, want := range map[string]any{
			"true":                          true,
			"2::int2":                       int64(2),
			"4::int4":                       int64(4),
			"8::int8":                       int64(8),
			"1.1::float4":                   float64(float32(1.1)),
			"1.1::float8":                   1.1,
			"1.10::numeric":                 "1.10",
			"'a'::text":                     "a",
			`'\xff00'::bytea`:               []byte{0xff, 0},
			`'{"a": 1}'::json`:              []byte(`{"a": 1}`),
			`'{"a":1}'::jsonb`:              []byte(`{"a": 1}`),
			"26::oid":                       int64(26),
			"'2020-02-29'::date":            time.Date(2020, 2, 29, 0, 0, 0, 0, time.UTC),
			"'2020-02-29 12:30'::timestamp": time.Date(2020, 2, 29, 12, 30, 0, 0, time.UTC),
			"'infinity'::timestamptz":       "infinity",
			"'-infinity'::date":             "-infinity",
			"'{1,2}'::int[]":                "{1,2}",
			"null::int":                     nil,
			"'0e0e0e0e-0e0e-0e0e-0e0e-0e0e0e0e0e0e'::uuid": "0e0e0e0e-0e0e-0e0e-0e0e-0e0e0e0e0e0e",
		} {
			require.Equal(t, want, ask[any](t, s, "select "+expression), "%s by %v", expression, mode)
		}
		at := time.Date(2020, 2, 29, 12, 30, 0, 0, time.FixedZone("", 3600))
		require.True(t, at.Equal(ask[time.Time](t, s, "select $1::timestamptz", at)))
		require.Equal(t, 2, ask[int](t, s, "select cardinality($1::text[])", []string{"a", "b"}))
		var numbers []int64
		require.NoError(t, s.QueryRowContext(within(t, patience), "select '{1,2}'::bigint[]").Scan(pgtype.NewMap().SQLScanner(&numbers)))
		require.Equal(t, []int64{1, 2}, numbers)
	}
}

func TestOptionsComeBeforeTheArguments(t *testing.T) {
	s := onServer(t, nil)
	for _, options := range [][]any{
		{pgx.QueryExecModeSimpleProtocol},
		{pgx.QueryExecModeExec},
		{pgx.QueryResultFormats{pgx.TextFormatCode}},
		{pgx.QueryResultFormatsByOID{pgtype.Int4OID: pgx.TextFormatCode}, pgx.QueryExecModeDescribeExec},
	} {
		require.Equal(t, 7, ask[int](t, s, "select $1::int", append(options, 7)...), fmt.Sprint(options))
	}
	require.Equal(t, 7, ask[int](t, s, "select @n::int", pgx.NamedArgs{"n": 7}))
	require.Equal(t, 7, ask[int](t, s, "select $1::int", sql.Named("other", 7)))
}

func TestRowsThatFail(t *testing.T) {
	s := onServer(t, single)
	rows, err := s.QueryContext(within(t, patience), "select 1 / (2 - n) from generate_series(1, 3) n")
	require.NoError(t, err)
	seen := 0
	for rows.Next() {
		seen++
	}
	require.Equal(t, 1, seen)
	requireCode(t, "22012", rows.Err())
	require.NoError(t, rows.Close())

	_, err = s.QueryContext(within(t, patience), "select 1 / 0")
	requireCode(t, "22012", err)

	rows, err = s.QueryContext(within(t, patience), "select * from generate_series(1, 100000)")
	require.NoError(t, err)
	require.True(t, rows.Next())
	require.NoError(t, rows.Close(), "before its end")
	require.NoError(t, rows.Err())
	require.Equal(t, 1, ask[int](t, s, "select 1"))
}
