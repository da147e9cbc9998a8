package stdlib

import (
	"context"
	"errors"
	"reflect"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/faultproxy"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
)

// cancels is how often a statement is cancelled for once with success: a server that is too busy to answer within 30 ms
// loses the connection on our side, too.
const cancels = 5

// differences are the trials in which both differ on purpose.
var differences = []trial{
	{
		name: "an outage is met", proxied: true,
		run: func(s *side) {
			s.does("select 1")
			s.proxy.Refuse()
			s.resets()
			_, err := s.ExecContext(s.within(2*short), "select 1")
			s.failed("a call with little time", err)
			time.AfterFunc(2*short, func() { _ = s.proxy.Heal() })
			_, err = s.ExecContext(s.ctx(), "select 1")
			s.failed("a call with plenty of time", err)
		},
		differs: &difference{
			row:  "The server is down",
			pgx:  []string{"a call with little time: connection refused", "a call with plenty of time: connection refused"},
			ours: []string{"a call with little time: *poolactor.UnavailableError, context.DeadlineExceeded", "a call with plenty of time: ok"},
		},
	},
	{
		name: "the first of two hosts comes back", proxied: true, spare: true, single: true,
		run: func(s *side) {
			s.proxy.Refuse()
			s.does("select 1")
			s.saw("led to the first", s.proxy.Counts().Open > 0, nil)
			require.NoError(s.t, s.proxy.Heal())
			conn := s.hold()
			require.NoError(s.t, conn.Raw(func(driverConn any) error { return s.conn(driverConn).Close(s.ctx()) }))
			_ = conn.Close()
			s.does("select 1")
			s.saw("when it is back", s.proxy.Counts().Open > 0, nil)
		},
		differs: &difference{
			row:  "Several hosts",
			pgx:  []string{"led to the first: bool false", "when it is back: bool true"},
			ours: []string{"led to the first: bool false", "when it is back: bool false"},
		},
	},
	{
		name: "every connection is in use", single: true,
		run: func(s *side) {
			s.hold()
			s.failed("the second", s.PingContext(s.within(short)))
		},
		differs: &difference{
			row:  "How many connections there are",
			pgx:  []string{"the second: ok"},
			ours: []string{"the second: *poolactor.ExhaustedError, context.DeadlineExceeded"},
		},
	},
	{
		name: "idle connections",
		run: func(s *side) {
			s.SetMaxIdleConns(5)
			s.does("select 1")
			s.saw("kept by database/sql", s.Stats().OpenConnections, nil)
		},
		differs: &difference{
			row:  "Connections at rest",
			pgx:  []string{"kept by database/sql: int 1"},
			ours: []string{"kept by database/sql: int 0"},
		},
	},
	{
		name: "what is closed with the DB",
		run: func(s *side) {
			pid := s.number(s, backend)
			lives := func() (lives bool) {
				err := s.beside.QueryRow(s.ctx(), "select exists (select from pg_stat_activity where pid = $1)", pid).Scan(&lives)
				require.NoError(s.t, err)
				return lives
			}
			s.failed("close", s.Close())
			if s.pool == nil { // it says goodbye, and does not wait
				require.Eventually(s.t, func() bool { return !lives() }, patience, time.Millisecond)
			}
			s.saw("the server has the connection", lives(), nil)
		},
		differs: &difference{
			row:  "`DB.Close`",
			pgx:  []string{"close: ok", "the server has the connection: bool false"},
			ours: []string{"close: ok", "the server has the connection: bool true"},
		},
	},
	{
		name: "what the driver is called",
		run: func(s *side) {
			_ = s.hold().Raw(func(driverConn any) error {
				s.saw("package of the driver's connection", reflect.TypeOf(driverConn).Elem().PkgPath(), nil)
				return nil
			})
			conn, err := s.Driver().Open(pgtest.Server(s.t).DSN())
			s.failed("open by a connection string", err)
			if err == nil {
				s.failed("close", conn.Close())
			}
		},
		differs: &difference{
			row: "The driver",
			pgx: []string{
				`package of the driver's connection: string "github.com/jackc/pgx/v5/stdlib"`,
				"open by a connection string: ok", "close: ok",
			},
			ours: []string{
				`package of the driver's connection: string "github.com/seed-4ff2b7b9/supervised/poolactor/stdlib"`,
				`open by a connection string: "stdlib: a pool is no connection string: open it with poolactor.Open and use OpenDB"`,
			},
		},
	},
	{
		name: "a session between two calls", single: true,
		run: func(s *side) {
			s.does("set application_name = 'mine'")
			s.asks(s, "setting", "show application_name")
			s.does("create temp table mine (n int)")
			s.asks(s, "temporary table", "select count(*) from mine")
			s.does("select pg_advisory_lock(7)")
			require.NoError(s.t, s.PingContext(s.ctx())) // ours has been cleaned by now
			free := false
			err := s.beside.QueryRow(s.ctx(), "select pg_try_advisory_lock(7)").Scan(&free)
			s.saw("the lock is free", free, err)
		},
		differs: &difference{
			row: "What a call has changed about its session",
			pgx: []string{
				`setting: string "mine"`, "temporary table: int64 0", "the lock is free: bool false",
			},
			ours: []string{
				`setting: string ""`, "temporary table: ERROR 42P01", "the lock is free: bool true",
			},
		},
	},
	{
		name: "a transaction that is left open", single: true,
		run: func(s *side) {
			conn := s.hold()
			pid := s.number(conn, backend)
			s.execs(conn, "begin", "begin")
			require.NoError(s.t, conn.Close())
			s.saw("the next has the same backend", s.number(s, backend) == pid, nil)
		},
		differs: &difference{
			row:  "A transaction by hand that is left open",
			pgx:  []string{"begin: int64 0", "the next has the same backend: bool false"},
			ours: []string{"begin: int64 0", "the next has the same backend: bool true"},
		},
	},
	{
		name: "a deadline ends a statement",
		run: func(s *side) {
			var deadline, afterwards error
			for range cancels {
				conn := s.hold()
				_, deadline = conn.ExecContext(s.within(short), "select pg_sleep(60)")
				if afterwards = conn.QueryRowContext(s.ctx(), "select 1").Scan(new(int)); afterwards == nil {
					break
				}
			}
			s.failed("exec", deadline)
			s.failed("the connection afterwards", afterwards)
		},
		differs: &difference{
			row:  "A deadline ends a statement",
			pgx:  []string{"exec: context.DeadlineExceeded", "the connection afterwards: driver.ErrBadConn"},
			ours: []string{"exec: context.DeadlineExceeded", "the connection afterwards: ok"},
		},
	},
	{
		name: "what the error of a deadline is",
		run: func(s *side) {
			var err error
			answered := false
			for try := 0; try < cancels && !answered; try++ {
				_, err = s.ExecContext(s.within(short), "select pg_sleep(60)")
				answered = errors.As(err, new(*pgconn.PgError))
			}
			s.failed("exec", err)
			s.saw("with the server's answer", answered, nil)
			s.saw("pgconn.Timeout", pgconn.Timeout(err), nil)
		},
		differs: &difference{
			row:  "The error of a deadline",
			pgx:  []string{"exec: context.DeadlineExceeded", "with the server's answer: bool false", "pgconn.Timeout: bool true"},
			ours: []string{"exec: context.DeadlineExceeded", "with the server's answer: bool true", "pgconn.Timeout: bool true"},
		},
	},
	{
		name: "a transaction's context ends", single: true,
		run: func(s *side) {
			pid := s.number(s, backend)
			ctx, cancel := context.WithCancel(s.ctx())
			defer cancel()
			tx, err := s.BeginTx(ctx, nil)
			require.NoError(s.t, err)
			s.asks(tx, "inside", "select 1")
			cancel()
			require.Eventually(s.t, func() bool { return s.Stats().InUse == 0 }, patience, time.Millisecond)
			s.saw("the next has the same backend", s.number(s, backend) == pid, nil)
		},
		differs: &difference{
			row:  "The context of a transaction ends",
			pgx:  []string{"inside: int64 1", "the next has the same backend: bool false"},
			ours: []string{"inside: int64 1", "the next has the same backend: bool true"},
		},
	},
	{
		name: "a connection and a context that had ended",
		run: func(s *side) {
			ended, end := context.WithCancel(s.ctx())
			end()
			conn := s.hold()
			_, err := conn.ExecContext(ended, "select 1")
			s.failed("exec", err)
			s.asks(conn, "the connection afterwards", "select 1")
			conn = s.hold()
			s.failed("ping", conn.PingContext(ended))
			s.asks(conn, "the connection afterwards", "select 1")
			conn = s.hold()
			_, err = conn.BeginTx(ended, nil)
			s.failed("begin", err)
			s.asks(conn, "the connection afterwards", "select 1")
		},
		differs: &difference{
			row: "A `sql.Conn` is used with a context that has ended",
			pgx: []string{
				"exec: driver.ErrBadConn", "the connection afterwards: sql.ErrConnDone",
				"ping: driver.ErrBadConn", "the connection afterwards: sql.ErrConnDone",
				"begin: context.Canceled", "the connection afterwards: driver.ErrBadConn",
			},
			ours: []string{
				"exec: context.Canceled", "the connection afterwards: int64 1",
				"ping: context.Canceled", "the connection afterwards: int64 1",
				"begin: context.Canceled", "the connection afterwards: int64 1",
			},
		},
	},
	{
		name: "a statement is lost under way", proxied: true,
		run: func(s *side) {
			s.prepares("drop table if exists lost; create table lost (n int)")
			s.does("select 1")
			count := func() (n int) {
				require.NoError(s.t, s.beside.QueryRow(s.ctx(), "select count(*) from lost").Scan(&n))
				return n
			}
			ended := make(chan error, 1)
			go func() {
				_, err := s.ExecContext(s.ctx(), "begin; insert into lost values (1); commit; select pg_sleep(2)")
				ended <- err
			}()
			require.Eventually(s.t, func() bool { return count() == 1 }, patience, time.Millisecond)
			s.proxy.ResetAll()
			s.failed("exec", <-ended)
			s.saw("how often it was done", count(), nil)
		},
		differs: &difference{
			row:  "A statement without arguments loses its connection",
			pgx:  []string{"exec: ok", "how often it was done: int 2"},
			ours: []string{"exec: " + lost, "how often it was done: int 1"},
		},
	},
	{
		name: "a commit is not answered", proxied: true,
		run: func(s *side) {
			s.prepares("drop table if exists unanswered; create table unanswered (n int)")
			tx := s.begin(nil)
			s.execs(tx, "insert", "insert into unanswered values ($1)", 1)
			s.proxy.CutAfter(faultproxy.ToClient, 0)
			s.failed("commit", tx.Commit())
			require.NoError(s.t, s.proxy.Heal())
		},
		differs: &difference{
			row:  "A commit loses its connection",
			pgx:  []string{"insert: int64 1", "commit: " + lost},
			ours: []string{"insert: int64 1", "commit: poolactor.ErrOutcomeUnknown"},
		},
	},
	{
		name: "a connection that was lost at rest", proxied: true, unasked: true,
		run: func(s *side) {
			s.losesWhatRests()
			_, err := s.PrepareContext(s.ctx(), "select 1")
			s.failed("prepare", err)
			s.losesWhatRests()
			_, err = s.BeginTx(s.ctx(), nil)
			s.failed("begin", err)
			s.losesWhatRests()
			s.failed("ping", s.PingContext(s.ctx()))
			s.losesWhatRests()
			s.asks(s, "query by the mode exec", "select $1::int", pgx.QueryExecModeExec, 7)
		},
		differs: &difference{
			row:  "A call meets a connection that was lost at rest",
			pgx:  []string{"prepare: " + lost, "begin: " + lost, "ping: driver.ErrBadConn", "query by the mode exec: " + lost},
			ours: []string{"prepare: ok", "begin: ok", "ping: ok", "query by the mode exec: int64 7"},
		},
	},
	{
		name: "columns without a limit", everyMode: true,
		run: func(s *side) {
			rows, err := s.QueryContext(s.ctx(), "select 'a'::varchar as a, '1'::varbit as b, 1.5::numeric as c, 1500::numeric(3, -2) as d")
			require.NoError(s.t, err)
			s.columns(rows)
			require.NoError(s.t, rows.Close())
			require.NoError(s.t, rows.Err())
		},
		differs: &difference{
			row: "`ColumnType` without a limit",
			pgx: []string{
				"names: []string [a b c d]",
				`a: string "VARCHAR string -5 true 0 0 false false false"`,
				`b: string "VARBIT string -1 true 0 0 false false false"`,
				`c: string "NUMERIC float64 0 false 65535 65531 true false false"`,
				`d: string "NUMERIC float64 0 false 3 2046 true false false"`,
			},
			ours: []string{
				"names: []string [a b c d]",
				`a: string "VARCHAR string 9223372036854775807 true 0 0 false false false"`,
				`b: string "VARBIT string 9223372036854775807 true 0 0 false false false"`,
				`c: string "NUMERIC float64 0 false 0 0 false false false"`,
				`d: string "NUMERIC float64 0 false 3 -2 true false false"`,
			},
		},
	},
	{
		name: "a prepared statement is closed", single: true,
		run: func(s *side) {
			const text = "select 'closed'::text"
			stmt := s.prepared(text)
			var got string
			s.failed("query", stmt.QueryRowContext(s.ctx()).Scan(&got))
			require.NoError(s.t, stmt.Close())
			s.saw("what the server keeps", s.number(s, "select count(*) from pg_prepared_statements where statement = $1", text), nil)
		},
		differs: &difference{
			row:  "A `Stmt` is closed",
			pgx:  []string{"query: ok", "what the server keeps: int 0"},
			ours: []string{"query: ok", "what the server keeps: int 1"},
		},
	},
	{
		name: "a text is prepared again", single: true,
		run: func(s *side) {
			s.prepares("drop table if exists dropped; create table dropped (n int)")
			require.NoError(s.t, s.prepared("select n from dropped").Close())
			s.prepares("drop table dropped")
			stmt, err := s.PrepareContext(s.ctx(), "select n from dropped")
			s.failed("prepare", err)
			if err == nil {
				_, err := stmt.ExecContext(s.ctx())
				s.failed("exec", err)
				require.NoError(s.t, stmt.Close())
			}
		},
		differs: &difference{
			row:  "A text is prepared again",
			pgx:  []string{"prepare: ERROR 42P01"},
			ours: []string{"prepare: ok", "exec: ERROR 42P01"},
		},
	},
	{
		name: "a prepared statement whose table was altered", single: true,
		run: func(s *side) {
			s.prepares("drop table if exists reshaped; create table reshaped (n int)")
			stmt := s.prepared("select * from reshaped")
			use := func(what string) {
				rows, err := stmt.QueryContext(s.ctx())
				s.failed(what, err)
				if err == nil {
					require.NoError(s.t, rows.Close())
					require.NoError(s.t, rows.Err())
				}
			}
			use("before")
			s.prepares("alter table reshaped add m int")
			use("afterwards")
			use("and again")
		},
		differs: &difference{
			row:  "A table changes under a `Stmt`",
			pgx:  []string{"before: ok", "afterwards: ERROR 0A000", "and again: ERROR 0A000"},
			ours: []string{"before: ok", "afterwards: ERROR 0A000", "and again: ok"},
		},
	},
}
