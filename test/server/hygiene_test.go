package server

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// role makes a role that goes with the test.
func role(t *testing.T, name string) {
	t.Helper()
	conn := connect(t, pgtest.Server(t).DSN())
	_, err := conn.Exec(within(t, patience), "drop role if exists "+name+"; create role "+name)
	require.NoError(t, err)
	t.Cleanup(func() {
		beside := connect(t, pgtest.Server(t).DSN())
		_, err := beside.Exec(within(t, patience), "drop role "+name)
		require.NoError(t, err)
	})
}

// session is what a lease can find changed. What hooks of the test itself show is no part of it: statements that pgx has
// prepared, and the test's own name.
const session = `select concat_ws(' | ',
	current_setting('statement_timeout'), current_setting('search_path'), current_setting('timezone'),
	current_setting('work_mem'), current_setting('default_transaction_read_only'), nullif(current_setting('app.tenant', true), ''),
	session_user, current_user, current_setting('role'),
	(select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) || ' locks',
	(select count(*) from pg_class where relpersistence = 't' and relnamespace = pg_my_temp_schema()) || ' temporary',
	coalesce(to_regclass('mine')::text, 'no table'),
	(select count(*) from pg_listening_channels()) || ' channels',
	(select count(*) from pg_prepared_statements where from_sql) || ' prepared',
	(select count(*) from pg_cursors where is_holdable) || ' cursors',
	coalesce(pg_current_xact_id_if_assigned()::text, 'no transaction'))`

func look(t *testing.T, l *poolactor.Lease) string {
	t.Helper()
	var found string
	require.NoError(t, l.QueryRow(within(t, patience), session, pgx.QueryExecModeExec).Scan(&found))
	return found
}

// changes are what a lease can do to its session.
var changes = map[string]string{
	"a setting":                "set work_mem = '1MB'",
	"a time-out":               "set statement_timeout = '90s'",
	"a setting of its own":     "set app.tenant = 'Ada'",
	"a path":                   "set search_path = nowhere",
	"a time zone":              "set time zone 'Asia/Tokyo'",
	"read only":                "set session characteristics as transaction read only",
	"a function that sets":     "select set_config('work_mem', '2MB', false)",
	"a view that sets":         "update pg_settings set setting = '3072' where name = 'work_mem'",
	"a role":                   "set role somebody_else",
	"an authorization":         "set session authorization somebody_else",
	"a temporary table":        "create temp table mine (a int)",
	"a temporary result":       "select 1 as a into temporary mine",
	"a temporary view":         "create or replace temp view mine as select 1",
	"a temporary sequence":     "create temp sequence mine",
	"a table in pg_temp":       "create table pg_temp.mine (a int)",
	"a table made from a join": "create /* scratch */ temp table mine as select 1",
	"a lock":                   "select pg_advisory_lock(7)",
	"a shared lock":            "select pg_advisory_lock_shared(7, 8)",
	"a lock that was free":     "select pg_try_advisory_lock(9)",
	"a channel":                "listen news",
	"a statement":              "prepare mine as select 1",
	"a cursor":                 "declare mine cursor with hold for select 1",
	"a block": "do $$begin perform pg_advisory_lock(1); create temp table mine (); set work_mem = '4MB'; " +
		"execute 'set role somebody_else'; end$$",
}

// manners are how a lease can run a statement.
var manners = map[string]func(ctx context.Context, l *poolactor.Lease, sql string) error{
	"Exec": func(ctx context.Context, l *poolactor.Lease, sql string) error {
		_, err := l.Exec(ctx, sql)
		return err
	},
	"Query": func(ctx context.Context, l *poolactor.Lease, sql string) error {
		rows, err := l.Query(ctx, sql) // prepared by pgx, and the next time run by its name
		rows.Close()
		if err != nil {
			return err
		}
		return rows.Err()
	},
	"SendBatch": func(ctx context.Context, l *poolactor.Lease, sql string) error {
		var b pgx.Batch
		b.Queue("select $1::int", 1)
		b.Queue(sql)
		return l.SendBatch(ctx, &b).Close()
	},
	"a committed transaction": func(ctx context.Context, l *poolactor.Lease, sql string) error {
		tx, err := l.Begin(ctx)
		if err != nil {
			return err
		}
		if _, err = tx.Exec(ctx, sql); err != nil {
			return err
		}
		return tx.Commit(ctx)
	},
	"a transaction left open": func(ctx context.Context, l *poolactor.Lease, sql string) error {
		tx, err := l.Begin(ctx)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, sql)
		return err
	},
	"a transaction that failed": func(ctx context.Context, l *poolactor.Lease, sql string) error {
		_, err := l.Exec(ctx, "begin; "+sql+"; select 1 / 0")
		if err == nil {
			return fmt.Errorf("it did not fail")
		}
		return nil
	},
	"Raw": func(ctx context.Context, l *poolactor.Lease, sql string) error {
		return l.Raw(func(conn *pgx.Conn) error {
			return conn.PgConn().Exec(ctx, sql).Close()
		})
	},
}

// Whatever a lease did to its session, and however it did it, the next one finds it as it was, on the same connection.
func TestTheNextLeaseFindsWhatTheFirstFound(t *testing.T) {
	role(t, "somebody_else")
	for name, c := range map[string]struct {
		policy poolactor.ResetPolicy
		mode   pgx.QueryExecMode
		again  int // leases that do the same
	}{
		"smart":          {poolactor.ResetSmart, pgx.QueryExecModeCacheStatement, 2},
		"smart, by exec": {poolactor.ResetSmart, pgx.QueryExecModeExec, 1},
		"full":           {poolactor.ResetFull, pgx.QueryExecModeCacheStatement, 1},
	} {
		t.Run(name, func(t *testing.T) {
			p := open(t, func(cfg *poolactor.Config) {
				cfg.MaxSize, cfg.Reset, cfg.StatementTimeout = 1, c.policy, 70*time.Second
				cfg.ConnConfig.DefaultQueryExecMode = c.mode
			})
			l := acquire(t, p)
			defer func() { l.Release() }()
			clean, pid := look(t, l), pidOf(t, l)
			require.Contains(t, clean, "70s", "a start-up parameter")
			for how, run := range manners {
				for what, sql := range changes {
					for range c.again {
						require.NoError(t, run(within(t, patience), l, sql), "%s by %s", what, how)
						l.Release()
						l = acquire(t, p)
						require.Equal(t, clean, look(t, l), "after %s by %s", what, how)
					}
				}
			}
			require.Equal(t, pid, pidOf(t, l), "the connection is kept")
		})
	}
}

// Nothing is sent between leases that change nothing.
func TestLeasesThatChangeNothingCostNothing(t *testing.T) {
	p := open(t, single)
	table(t, "plain", "temp int, attempts int")
	for range 3 {
		for how, run := range manners {
			if strings.Contains(how, "left open") || strings.Contains(how, "failed") {
				continue
			}
			for _, sql := range []string{
				"select 1", "insert into plain (temp) values (1)", "update plain set attempts = 1", "select temp from plain",
				"set local work_mem = '1MB'", "select set_config('app.tenant', 'Ada', true)", "select pg_advisory_xact_lock(1)",
				"notify news", "set constraints all deferred",
			} {
				l := acquire(t, p)
				require.NoError(t, run(within(t, patience), l, sql), "%s by %s", sql, how)
				l.Release()
			}
		}
	}
	require.Zero(t, p.Stat().Cleanings)
	require.EqualValues(t, 1, p.Stat().Opened)
}

// A notification that came for one lease is not the next one's.
func TestNotificationsStayWithTheirLease(t *testing.T) {
	p := open(t, single)
	for range 2 {
		l := acquire(t, p)
		_, err := l.Exec(within(t, patience), "listen news; notify news, 'for the first'")
		require.NoError(t, err)
		l.Release()
		l = acquire(t, p)
		require.NoError(t, l.Raw(func(conn *pgx.Conn) error {
			_, err := conn.WaitForNotification(within(t, 20*time.Millisecond))
			require.ErrorIs(t, err, context.DeadlineExceeded)
			return nil
		}))
		l.Release()
	}
}

// LOAD cannot be undone, so its connection goes.
func TestALibraryGoesWithItsConnection(t *testing.T) {
	p := open(t, single)
	l := acquire(t, p)
	pid := pidOf(t, l)
	_, err := l.Exec(within(t, patience), "load 'plpgsql'")
	require.NoError(t, err)
	l.Release()
	require.NotEqual(t, pid, pidOf(t, p))
}

// A statement that pgx keeps, and that the cleaning made the server forget, is prepared anew.
func TestStatementsThatPgxKeepsSurviveTheCleaning(t *testing.T) {
	p := open(t, single)
	pid := pidOf(t, p)
	for _, sql := range []string{"prepare mine as select 1", "deallocate all", "discard all", "do 'begin null; end'"} {
		require.Equal(t, 4, ask[int](t, p, "select $1::int", 4))
		l := acquire(t, p)
		_, err := l.Exec(within(t, patience), sql)
		require.NoError(t, err)
		l.Release()
		require.Equal(t, 4, ask[int](t, p, "select $1::int", 4), "after %s", sql)
	}
	require.Equal(t, pid, pidOf(t, p))
}
