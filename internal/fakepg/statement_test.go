package fakepg_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

var execModes = []pgx.QueryExecMode{
	pgx.QueryExecModeCacheStatement,
	pgx.QueryExecModeCacheDescribe,
	pgx.QueryExecModeDescribeExec,
	pgx.QueryExecModeExec,
	pgx.QueryExecModeSimpleProtocol,
}

func scan[T any](t *testing.T, conn *pgx.Conn, sql string, args ...any) T {
	t.Helper()
	var value T
	require.NoError(t, conn.QueryRow(t.Context(), sql, args...).Scan(&value), sql)
	return value
}

func TestSelectInEveryMode(t *testing.T) {
	everywhere(t, func(t *testing.T, server *fakepg.Server) {
		conn := connect(t, server)
		for _, mode := range execModes {
			require.Equal(t, 1, scan[int](t, conn, "select 1", mode), mode)
			require.Equal(t, 7, scan[int](t, conn, "select $1::int", mode, 7), mode)
			require.Equal(t, -7, scan[int](t, conn, "select $1::int", mode, -7), mode)
			require.Equal(t, int64(1)<<40, scan[int64](t, conn, "select $1::bigint as big", mode, int64(1)<<40), mode)
			require.Equal(t, int16(-3), scan[int16](t, conn, "select ($1::smallint)", mode, int16(-3)), mode)
			require.Equal(t, 2.5, scan[float64](t, conn, "select $1::float8", mode, 2.5), mode)
			require.True(t, scan[bool](t, conn, "select $1::bool", mode, true), mode)
			require.False(t, scan[bool](t, conn, "select $1::bool", mode, false), mode)
			require.Equal(t, "it's", scan[string](t, conn, "select $1::text", mode, "it's"), mode)
			require.Nil(t, scan[*int](t, conn, "select $1::int", mode, nil), mode)
			require.Equal(t, int(conn.PgConn().PID()), scan[int](t, conn, "select pg_backend_pid()", mode), mode)
		}
	})
}

func TestConstants(t *testing.T) {
	everywhere(t, func(t *testing.T, server *fakepg.Server) {
		conn := connect(t, server)
		require.Equal(t, -1, scan[int](t, conn, "select -1"))
		require.Equal(t, 1.5, scan[float64](t, conn, "/* a number */ SELECT 1.5 -- and no more"))
		require.Equal(t, "a'b", scan[string](t, conn, "select 'a''b'"))
		require.Equal(t, 12, scan[int](t, conn, "select '12'::int"))
		require.True(t, scan[bool](t, conn, "select true"))
		require.Nil(t, scan[*string](t, conn, "select null"))
		require.Equal(t, "plain", scan[string](t, conn, "select $1", "plain"))
		require.False(t, scan[bool](t, conn, "select pg_is_in_recovery()"))
	})
}

func TestRowsAndNames(t *testing.T) {
	everywhere(t, func(t *testing.T, server *fakepg.Server) {
		conn := connect(t, server)
		rows, err := conn.Query(t.Context(), `select n, 2 as two, $2::text "Quoted" from generate_series(1, $1) as n`, 3, "x")
		require.NoError(t, err)
		fields := rows.FieldDescriptions()
		require.Equal(t, "n two Quoted", fields[0].Name+" "+fields[1].Name+" "+fields[2].Name)
		type row struct {
			N, Two int
			Quoted string
		}
		found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
		require.NoError(t, err)
		require.Equal(t, []row{{1, 2, "x"}, {2, 2, "x"}, {3, 2, "x"}}, found)
		require.Equal(t, "SELECT 3", rows.CommandTag().String())
	})
}

func TestCommandTags(t *testing.T) {
	everywhere(t, func(t *testing.T, server *fakepg.Server) {
		conn := connect(t, server)
		for sql, want := range map[string]string{
			"insert into keys(k) values ($1::bigint)": "INSERT 0 1",
			"update keys set k = $1::bigint":          "UPDATE 1",
			"delete from keys where k = $1::int":      "DELETE 1",
		} {
			tag, err := conn.Exec(t.Context(), sql, 5)
			require.NoError(t, err)
			require.Equal(t, want, tag.String())
		}
		for sql, want := range map[string]string{
			"create temp table x (a int)":                "CREATE TABLE",
			"listen news":                                "LISTEN",
			"declare c cursor for select 1":              "DECLARE CURSOR",
			"close c":                                    "CLOSE CURSOR",
			"select pg_advisory_lock(1)":                 "SELECT 1",
			"select pg_catalog.pg_advisory_unlock_all()": "SELECT 1",
			"drop table x":                               "DROP TABLE",
			"truncate x":                                 "TRUNCATE TABLE",
			"vacuum":                                     "VACUUM",
			"discard plans":                              "DISCARD PLANS",
			"start transaction":                          "START TRANSACTION",
			"abort":                                      "ROLLBACK",
		} {
			tag, err := conn.Exec(t.Context(), sql)
			require.NoError(t, err)
			require.Equal(t, want, tag.String())
		}
	})
}

func TestErrors(t *testing.T) {
	everywhere(t, func(t *testing.T, server *fakepg.Server) {
		conn := connect(t, server)
		for sql, code := range map[string]string{
			"fail 23505":                              "23505",
			"fail 0A000":                              "0A000",
			"selekt 1":                                "42601",
			"select":                                  "42601",
			"select 1 1":                              "42601",
			"select 1 from keys":                      "42P01",
			"select 1 from generate_series(1)":        "42601",
			"select nothing()":                        "42883",
			"select '1'::thing":                       "42704",
			"select 'x'::int":                         "22P02",
			"select 'x'::bool":                        "22P02",
			"select 'x'::float8":                      "22P02",
			"select current_setting('nothing')":       "42704",
			"select * from generate_series(1, 2)":     "42601",
			"show nothing":                            "42704",
			"set nothing = 1":                         "42704",
			"reset nothing":                           "42704",
			"savepoint a":                             "25P01",
			"select pg_sleep(1":                       "42601",
			"select set_config('a.b' 'c')":            "42601",
			"select n from generate_series('x', 2)":   "22P02",
			"select n from generate_series(1, 'x')":   "22P02",
			"select current_setting(nothing())":       "42883",
			"select n from generate_series(1, 2) n n": "42601",
		} {
			_, err := conn.Exec(t.Context(), sql)
			requireCode(t, code, err)
			_, err = conn.Exec(t.Context(), sql, pgx.QueryExecModeExec)
			requireCode(t, code, err)
			require.Equal(t, byte('I'), conn.PgConn().TxStatus())
		}
		require.Equal(t, 1, scan[int](t, conn, "select 1"), "an error ends no connection")
	})
}

func TestSimpleQueryStopsAtItsFirstError(t *testing.T) {
	everywhere(t, func(t *testing.T, server *fakepg.Server) {
		conn := connect(t, server)
		results, err := conn.PgConn().Exec(t.Context(), "select ';' ; -- a comment; still\nselect 2; fail 22012; select 3").ReadAll()
		requireCode(t, "22012", err)
		require.Len(t, results, 2)
		require.Equal(t, "2", string(results[1].Rows[0][0]))
		require.Equal(t, []string{"select ';'", "-- a comment; still\nselect 2", "fail 22012"}, server.Statements())

		require.NoError(t, conn.Ping(t.Context()), "an empty query is answered")
		_, err = conn.Exec(t.Context(), "-- nothing", pgx.QueryExecModeExec)
		require.NoError(t, err)
	})
}

func TestBatch(t *testing.T) {
	everywhere(t, func(t *testing.T, server *fakepg.Server) {
		conn := connect(t, server)
		batch := &pgx.Batch{}
		for i := range 3 {
			batch.Queue("select $1::int", i)
		}
		batch.Queue("fail 22012")
		batch.Queue("select 9")
		results := conn.SendBatch(t.Context(), batch)
		for i := range 3 {
			var got int
			require.NoError(t, results.QueryRow().Scan(&got))
			require.Equal(t, i, got)
		}
		_, err := results.Exec()
		requireCode(t, "22012", err)
		_, err = results.Exec()
		require.Error(t, err, "what follows a failure is skipped")
		require.Error(t, results.Close())
		require.NotContains(t, server.Statements(), "select 9")
		require.Equal(t, 1, scan[int](t, conn, "select 1"))
	})
}

func TestPreparedStatements(t *testing.T) {
	everywhere(t, func(t *testing.T, server *fakepg.Server) {
		conn := connect(t, server).PgConn()
		description, err := conn.Prepare(t.Context(), "mine", "select $1::int, $2", nil)
		require.NoError(t, err)
		require.Equal(t, []uint32{23, 25}, description.ParamOIDs)
		_, err = conn.Prepare(t.Context(), "mine", "select 1", nil)
		requireCode(t, "42P05", err)
		_, err = conn.Prepare(t.Context(), "two", "select 1; select 2", nil)
		requireCode(t, "42601", err)

		result := conn.ExecPrepared(t.Context(), "mine", [][]byte{[]byte("4"), []byte("x")}, nil, nil).Read()
		require.NoError(t, result.Err)
		require.Equal(t, "4", string(result.Rows[0][0]))
		require.Equal(t, "x", string(result.Rows[0][1]))

		requireCode(t, "08P01", conn.ExecPrepared(t.Context(), "mine", nil, nil, nil).Read().Err)
		binary := []int16{1}
		requireCode(t, "22P03", conn.ExecPrepared(t.Context(), "mine", [][]byte{{1}, {1}}, binary, nil).Read().Err)

		require.NoError(t, conn.Deallocate(t.Context(), "mine"))
		requireCode(t, "26000", conn.ExecPrepared(t.Context(), "mine", nil, nil, nil).Read().Err)

		for _, forget := range []string{"deallocate other", "deallocate all", "discard all"} {
			_, err = conn.Prepare(t.Context(), "other", "select 1", nil)
			require.NoError(t, err)
			_, err = conn.Exec(t.Context(), forget).ReadAll()
			require.NoError(t, err)
			requireCode(t, "26000", conn.ExecPrepared(t.Context(), "other", nil, nil, nil).Read().Err)
		}
	})
}

func TestTransactions(t *testing.T) {
	everywhere(t, func(t *testing.T, server *fakepg.Server) {
		conn := connect(t, server)
		status := func() string { return string(conn.PgConn().TxStatus()) }
		exec(t, conn, "begin isolation level serializable")
		exec(t, conn, "begin")
		require.Equal(t, "T", status())
		_, err := conn.Exec(t.Context(), "discard all")
		requireCode(t, "25001", err)
		require.Equal(t, "E", status())
		_, err = conn.Exec(t.Context(), "select 1", pgx.QueryExecModeSimpleProtocol)
		requireCode(t, "25P02", err)
		tag, err := conn.Exec(t.Context(), "commit")
		require.NoError(t, err)
		require.Equal(t, "ROLLBACK", tag.String())
		require.Equal(t, "I", status())
		exec(t, conn, "commit")

		tx, err := conn.Begin(t.Context())
		require.NoError(t, err)
		inner, err := tx.Begin(t.Context())
		require.NoError(t, err)
		_, err = inner.Exec(t.Context(), "fail 23505")
		requireCode(t, "23505", err)
		require.NoError(t, inner.Rollback(t.Context()))
		require.Equal(t, "T", status())
		inner, err = tx.Begin(t.Context())
		require.NoError(t, err)
		require.NoError(t, inner.Commit(t.Context()))
		require.NoError(t, tx.Commit(t.Context()))
		require.Equal(t, "I", status())
	})
}

func TestSettings(t *testing.T) {
	everywhere(t, func(t *testing.T, server *fakepg.Server) {
		cfg := server.Config()
		cfg.RuntimeParams["application_name"] = "begin"
		conn, err := pgx.ConnectConfig(t.Context(), cfg)
		require.NoError(t, err)
		defer conn.Close(t.Context())
		name := func() string { return scan[string](t, conn, "show application_name") }

		require.Equal(t, "begin", name())
		exec(t, conn, "set application_name = 'other name'")
		require.Equal(t, "other name", name())
		require.Equal(t, "other name", conn.PgConn().ParameterStatus("application_name"))
		exec(t, conn, "reset application_name")
		require.Equal(t, "begin", name())

		exec(t, conn, "begin")
		exec(t, conn, "set application_name to inside")
		exec(t, conn, "set local application_name to deeper")
		require.Equal(t, "deeper", name())
		exec(t, conn, "rollback")
		require.Equal(t, "begin", name())
		exec(t, conn, "begin")
		exec(t, conn, "set session application_name to inside")
		exec(t, conn, "set local application_name to deeper")
		exec(t, conn, "commit")
		require.Equal(t, "inside", name())
		exec(t, conn, "set local application_name to nowhere")
		require.Equal(t, "inside", name())
		exec(t, conn, "set application_name to default")
		require.Equal(t, "begin", name())

		require.Equal(t, "y", scan[string](t, conn, "select set_config('app.x', 'y', false)"))
		require.Equal(t, "y", scan[string](t, conn, "select current_setting('app.x')"))
		exec(t, conn, "reset app.x")
		require.Equal(t, "", scan[string](t, conn, "show app.x"))
		exec(t, conn, "set role somebody")
		exec(t, conn, "set application_name = changed")
		exec(t, conn, "discard all")
		require.Equal(t, "begin", conn.PgConn().ParameterStatus("application_name"))
	})
}

func TestLogNamesWhoRanWhat(t *testing.T) {
	everywhere(t, func(t *testing.T, server *fakepg.Server) {
		one, two := connect(t, server), connect(t, server)
		exec(t, one, " insert into keys values (1) ")
		exec(t, two, "select 2")
		log := server.Log()
		require.Len(t, log, 2)
		require.Equal(t, one.PgConn().PID(), log[0].PID)
		require.Equal(t, "insert into keys values (1)", log[0].SQL)
		require.Equal(t, two.PgConn().PID(), log[1].PID)
		require.False(t, log[1].At.Before(log[0].At))
	})
}

func TestBigPayloadsNeverDeadlock(t *testing.T) {
	everywhere(t, func(t *testing.T, server *fakepg.Server) {
		conn := connect(t, server)
		big := strings.Repeat("x", 1<<18)
		batch := &pgx.Batch{}
		for range 4 {
			batch.Queue("select $1::text from generate_series(1, 2)", big)
		}
		results := conn.SendBatch(t.Context(), batch)
		for range 4 {
			rows, err := results.Query()
			require.NoError(t, err)
			texts, err := pgx.CollectRows(rows, pgx.RowTo[string])
			require.NoError(t, err)
			require.Equal(t, []string{big, big}, texts)
		}
		require.NoError(t, results.Close())
	})
}

func TestPipeline(t *testing.T) {
	everywhere(t, func(t *testing.T, server *fakepg.Server) {
		pipeline := connect(t, server).PgConn().StartPipeline(t.Context())
		pipeline.SendQueryParams("select $1::int", [][]byte{[]byte("5")}, nil, nil, nil)
		pipeline.SendFlushRequest()
		require.NoError(t, pipeline.Flush())
		results, err := pipeline.GetResults()
		require.NoError(t, err)
		result := results.(*pgconn.ResultReader).Read()
		require.NoError(t, result.Err)
		require.Equal(t, "5", string(result.Rows[0][0]), "answered before Sync")
		require.NoError(t, pipeline.Sync())
		require.NoError(t, pipeline.Close())
	})
}
