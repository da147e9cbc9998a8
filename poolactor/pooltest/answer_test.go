package pooltest_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/poolactor/pooltest"
)

// inBubble runs a test with a server and a pool, in fake time.
func inBubble(t *testing.T, f func(*testing.T, *pooltest.Server, *poolactor.Pool)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server := pooltest.New()
		defer server.Close()
		pool, err := poolactor.Open(t.Context(), server.Config())
		require.NoError(t, err)
		defer pool.Close()
		f(t, server, pool)
	})
}

func requireCode(t *testing.T, code string, err error) *pgconn.PgError {
	t.Helper()
	var refusal *pgconn.PgError
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, code, refusal.Code, refusal.Message)
	return refusal
}

func TestRowsHaveTheTypesOfTheirValues(t *testing.T) {
	inBubble(t, func(t *testing.T, server *pooltest.Server, pool *poolactor.Pool) {
		born := time.Date(1815, 12, 10, 0, 0, 0, 0, time.UTC)
		server.Answer("select * from people", pooltest.Answer{
			Columns: []string{"id", "name", "born", "tags", "rank::int4", "key::uuid", "extra::jsonb", "late"},
			Rows: [][]any{
				{1, "Ada", born, []string{"a", "b"}, 7, "6ba7b810-9dad-11d1-80b4-00c04fd430c8", map[string]int{"x": 1}, nil},
				{2, "", born, []string{}, nil, nil, nil, 1.5},
			},
		})
		type person struct {
			ID    int64
			Name  string
			Born  time.Time
			Tags  []string
			Rank  *int32
			Key   pgtype.UUID
			Extra map[string]int
			Late  *float64
		}
		for _, mode := range []pgx.QueryExecMode{
			pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
			pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
		} {
			rows, _ := pool.Query(t.Context(), "select * from people", mode)
			people, err := pgx.CollectRows(rows, pgx.RowToStructByPos[person])
			require.NoError(t, err, mode)
			require.Len(t, people, 2)
			require.Equal(t, int64(1), people[0].ID)
			require.Equal(t, "Ada", people[0].Name)
			require.True(t, people[0].Born.Equal(born))
			require.Equal(t, []string{"a", "b"}, people[0].Tags)
			require.Equal(t, int32(7), *people[0].Rank)
			require.Equal(t, "6ba7b810-9dad-11d1-80b4-00c04fd430c8", people[0].Key.String())
			require.Equal(t, map[string]int{"x": 1}, people[0].Extra)
			require.Nil(t, people[0].Late)
			require.Empty(t, people[1].Name)
			require.Nil(t, people[1].Rank)
			require.False(t, people[1].Key.Valid)
			require.Equal(t, 1.5, *people[1].Late)
		}
	})
}

func TestStatementsAreComparedAsTheServerReadsThem(t *testing.T) {
	inBubble(t, func(t *testing.T, server *pooltest.Server, pool *poolactor.Pool) {
		server.Answer("select count(*) from users where name = 'It''s'", pooltest.Answer{
			Columns: []string{"count"}, Rows: [][]any{{3}},
		})
		var n int
		require.NoError(t, pool.QueryRow(t.Context(), "-- name: CountUsers :one\nSELECT count( * )\n\tFROM Users WHERE name='It''s';").Scan(&n))
		require.Equal(t, 3, n)

		err := pool.QueryRow(t.Context(), "select count(*) from users where name = 'it''s'").Scan(&n)
		refusal := requireCode(t, "42883", err)
		require.Contains(t, refusal.Message, "knows no answer to: select count(*) from users where name = 'it''s'")

		server.Answer("select count(*) from users where name = 'It''s'")
		_, err = pool.Exec(t.Context(), "select count(*) from users where name = 'It''s'")
		requireCode(t, "42883", err)
	})
}

func TestAnswersComeOneAfterAnother(t *testing.T) {
	inBubble(t, func(t *testing.T, server *pooltest.Server, pool *poolactor.Pool) {
		const take = "update stock set n = n - $1 where id = $2 returning n"
		server.Answer(take,
			pooltest.Answer{Err: &pgconn.PgError{
				Code: "23514", Message: "too few", Detail: "n is 0", Hint: "order some", TableName: "stock", ConstraintName: "positive",
			}},
			pooltest.Answer{Columns: []string{"n"}, Rows: [][]any{{4}}},
			pooltest.Answer{Columns: []string{"n::int8"}},
		)
		var n int
		refusal := requireCode(t, "23514", pool.QueryRow(t.Context(), take, 1, "apple").Scan(&n))
		require.Equal(t, "ERROR too few n is 0 order some stock positive", refusal.Severity+" "+refusal.Message+" "+refusal.Detail+" "+
			refusal.Hint+" "+refusal.TableName+" "+refusal.ConstraintName)
		require.NoError(t, pool.QueryRow(t.Context(), take, 1, "apple").Scan(&n))
		require.Equal(t, 4, n)
		for range 2 {
			require.ErrorIs(t, pool.QueryRow(t.Context(), take, nil, "pear").Scan(&n), pgx.ErrNoRows)
		}
		statements := server.Statements()
		require.Len(t, statements, server.Stat().Statements)
		last := statements[len(statements)-1]
		require.Equal(t, take, last.SQL)
		require.Equal(t, []any{nil, "pear"}, last.Args)
		require.NotZero(t, last.PID)
		require.True(t, last.At.Equal(time.Now()))
	})
}

func TestAnswersForArguments(t *testing.T) {
	inBubble(t, func(t *testing.T, server *pooltest.Server, pool *poolactor.Pool) {
		const find = "select name from users where id = $1 and key is not distinct from $2::uuid"
		key := "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
		server.Answer(find,
			pooltest.Answer{Args: []any{1, key}, Columns: []string{"name"}, Rows: [][]any{{"Ada"}}},
			pooltest.Answer{Args: []any{int16(2), nil}, Rows: [][]any{{"Grace"}}},
			pooltest.Answer{Args: []any{"2", nil}, Delay: time.Second},
		)
		name := func(args ...any) (string, error) {
			rows, _ := pool.Query(t.Context(), find, args...)
			return pgx.CollectOneRow(rows, pgx.RowTo[string])
		}
		var id pgtype.UUID
		require.NoError(t, id.Scan(key))
		for range 2 {
			got, err := name(1, id)
			require.NoError(t, err)
			require.Equal(t, "Ada", got)
		}
		got, err := name(2, nil)
		require.NoError(t, err)
		require.Equal(t, "Grace", got)
		begun := time.Now()
		_, err = name(2, nil)
		require.ErrorIs(t, err, pgx.ErrNoRows)
		require.GreaterOrEqual(t, time.Since(begun), time.Second)
		_, err = name(3, nil)
		require.ErrorContains(t, err, "there is no answer for the arguments 3, null")
	})
}

func TestTags(t *testing.T) {
	inBubble(t, func(t *testing.T, server *pooltest.Server, pool *poolactor.Pool) {
		for _, c := range []struct {
			sql, tag string
			answer   pooltest.Answer
		}{
			{"update a set b = 1", "UPDATE 3", pooltest.Answer{Tag: "UPDATE 3"}},
			{"delete from a", "DELETE 1", pooltest.Answer{}},
			{"insert into a values (1)", "INSERT 0 1", pooltest.Answer{}},
			{"insert into a values (1), (2) returning b", "INSERT 0 2", pooltest.Answer{Columns: []string{"b"}, Rows: [][]any{{1}, {2}}}},
			{"with x as (select 1) select * from x", "SELECT 1", pooltest.Answer{Columns: []string{"x"}, Rows: [][]any{{1}}}},
			{"call cleanup()", "CALL", pooltest.Answer{}},
			{"set application_name = x", "SET", pooltest.Answer{}},
		} {
			server.Answer(c.sql, c.answer)
			tag, err := pool.Exec(t.Context(), c.sql)
			require.NoError(t, err)
			require.Equal(t, c.tag, tag.String())
		}
	})
}

func TestTransactionsMeetScriptedErrors(t *testing.T) {
	inBubble(t, func(t *testing.T, server *pooltest.Server, pool *poolactor.Pool) {
		server.Answer("commit", pooltest.Answer{Err: &pgconn.PgError{Code: "40001"}}, pooltest.Answer{Disconnect: true}, pooltest.Answer{})
		runs := 0
		work := func(ctx context.Context, tx pgx.Tx) error {
			runs++
			_, err := tx.Exec(ctx, "insert into log values ($1)", runs)
			return err
		}
		requireCode(t, "40001", pool.WithTx(t.Context(), pgx.TxOptions{}, work))
		require.ErrorIs(t, pool.WithTx(t.Context(), pgx.TxOptions{}, work), poolactor.ErrOutcomeUnknown)
		require.NoError(t, pool.WithTx(t.Context(), pgx.TxOptions{}, work))

		server.Answer("update x set y = 1", pooltest.Answer{Err: &pgconn.PgError{Code: "40P01"}}, pooltest.Answer{})
		runs = 0
		require.NoError(t, pool.Retry(t.Context(), poolactor.RetryPolicy{}, func(ctx context.Context, tx pgx.Tx) error {
			runs++
			_, err := tx.Exec(ctx, "update x set y = 1")
			return err
		}))
		require.Equal(t, 2, runs)
	})
}

func TestStatementsEndTheirConnection(t *testing.T) {
	inBubble(t, func(t *testing.T, server *pooltest.Server, pool *poolactor.Pool) {
		server.Answer("select crash()", pooltest.Answer{Disconnect: true},
			pooltest.Answer{Err: &pgconn.PgError{Severity: "FATAL", Code: "57P01"}})
		_, err := pool.Exec(t.Context(), "select crash()")
		require.Error(t, err)
		_, err = pool.Exec(t.Context(), "select crash()")
		requireCode(t, "57P01", err)
		require.NoError(t, pool.Ping(t.Context()))
		require.Equal(t, 3, server.Stat().LogIns)
	})
}

func TestDelaysAreCancelled(t *testing.T) {
	inBubble(t, func(t *testing.T, server *pooltest.Server, pool *poolactor.Pool) {
		server.Answer("select slow()", pooltest.Answer{Delay: time.Hour, Columns: []string{"slow"}, Rows: [][]any{{1}}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := pool.Exec(ctx, "select slow()")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 1, server.Stat().Cancels)
		var n int
		require.NoError(t, pool.QueryRow(t.Context(), "select slow()").Scan(&n), "an hour is nothing in a bubble")
		require.Equal(t, 1, server.Stat().LogIns)
	})
}

func TestMistakesAreTold(t *testing.T) {
	inBubble(t, func(t *testing.T, server *pooltest.Server, pool *poolactor.Pool) {
		for _, c := range []struct {
			sql, mistake string
			answers      []pooltest.Answer
		}{
			{"select a", "row 1 of an answer has 2 values for 1 columns", []pooltest.Answer{{Columns: []string{"a"}, Rows: [][]any{{1, 2}}}}},
			{"select b", "the type of the column b is not known", []pooltest.Answer{{Columns: []string{"b::nothing"}}}},
			{"select c", "an answer is for 1 arguments, the statement has 0", []pooltest.Answer{{Args: []any{1}}}},
			{"select d", "an answer has 2 columns, the first has 1", []pooltest.Answer{
				{Args: []any{}, Columns: []string{"d", "e"}}, {Args: []any{}, Columns: []string{"d"}},
			}},
			{"select e", "column e of the scripted answer", []pooltest.Answer{{Columns: []string{"e::uuid"}, Rows: [][]any{{"no"}}}}},
			{"select f", "column f of the scripted answer", []pooltest.Answer{{Columns: []string{"f"}, Rows: [][]any{{make(chan int)}}}}},
		} {
			server.Answer(c.sql, c.answers...)
			_, err := pool.Exec(t.Context(), c.sql)
			if c.sql == "select d" { // the second one is the mistake
				require.NoError(t, err)
				_, err = pool.Exec(t.Context(), c.sql)
				c.mistake = "an answer has 1 columns, the first has 2"
			}
			require.Contains(t, requireCode(t, "XX000", err).Message, c.mistake)
		}
		server.Answer("select g", pooltest.Answer{Columns: []string{"g"}, Rows: [][]any{{1}}})
		var g, h int
		require.NoError(t, pool.QueryRow(t.Context(), "select g").Scan(&g))
		server.Answer("select g", pooltest.Answer{Columns: []string{"g", "h"}, Rows: [][]any{{1, 2}}})
		requireCode(t, "0A000", pool.QueryRow(t.Context(), "select g").Scan(&g, &h))
		require.NoError(t, pool.QueryRow(t.Context(), "select g").Scan(&g, &h), "pgx prepares it anew")
		server.Answer("select g")
		refusal := requireCode(t, "XX000", pool.QueryRow(t.Context(), "select g").Scan(&g, &h))
		require.Contains(t, refusal.Message, "its answer was taken back")

		server.Answer("select h where $1::int4 = 1", pooltest.Answer{Args: []any{"no"}}, pooltest.Answer{})
		_, err := pool.Exec(t.Context(), "select h where $1::int4 = 1", 1)
		require.NoError(t, err, "a text is compared as one")
		server.Answer("select h where $1::int4 = 1", pooltest.Answer{Args: []any{true}})
		_, err = pool.Exec(t.Context(), "select h where $1::int4 = 1", 1)
		require.ErrorContains(t, err, "argument 1 of an answer")
	})
}
