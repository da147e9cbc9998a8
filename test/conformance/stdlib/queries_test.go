package stdlib

import (
	"context"
	"database/sql"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// numbers reads a column to its end.
func (s *side) numbers(q querier, what, query string, args ...any) {
	rows, err := q.QueryContext(s.ctx(), query, args...)
	if err != nil {
		s.failed(what, err)
		return
	}
	defer rows.Close()
	var all []int
	for rows.Next() {
		var n int
		if err := rows.Scan(&n); err != nil {
			s.failed(what+", scan", err)
		}
		all = append(all, n)
	}
	s.saw(what, all, nil)
	s.failed(what+", end", rows.Err())
}

var queries = []trial{
	{name: "rows", everyMode: true, run: func(s *side) {
		s.numbers(s, "some", "select n from generate_series(1, $1::int) n", 5)
		s.numbers(s, "none", "select 1 where false")
		s.numbers(s, "null", "select null::int")
		s.asks(s, "no row", "select 1 where $1", false)
		s.asks(s, "the first of two", "select n from generate_series(1, 2) n")
	}},
	{name: "rows that fail on the way", everyMode: true, run: func(s *side) {
		s.numbers(s, "the third", "select 1 / (3 - n) from generate_series(1, 5) n")
		s.numbers(s, "the first", "select 1 / (1 - n) from generate_series(1, 5) n")
		s.asks(s, "one", "select 1 / $1::int", 0)
		s.asks(s, "afterwards", "select 1")
	}},
	{name: "rows that nobody reads to their end", everyMode: true, run: func(s *side) {
		conn := s.hold()
		for range 2 {
			rows, err := conn.QueryContext(s.ctx(), "select n from generate_series(1, 100000) n")
			if err != nil {
				s.failed("query", err)
				return
			}
			s.saw("next", rows.Next(), rows.Err())
			s.failed("close", rows.Close())
			s.saw("next", rows.Next(), rows.Err())
			s.failed("scan", rows.Scan(new(int)))
		}
		s.asks(conn, "afterwards", "select 1")
	}},
	{name: "more results than one", everyMode: true, run: func(s *side) {
		rows, err := s.QueryContext(s.ctx(), "select 1")
		if err != nil {
			s.failed("query", err)
			return
		}
		defer rows.Close()
		s.saw("next set", rows.NextResultSet(), rows.Err())
		s.execs(s, "several without arguments", "select 1; select 2")
		s.execs(s, "several with arguments", "select $1::int; select 2", 1)
		s.asks(s, "query of several", "select 1; select 2")
		s.asks(s, "query of none", "create table if not exists queried (n int)")
		s.asks(s, "query of an insert", "insert into queried values (1)")
	}},
	{name: "queries that are wrong", everyMode: true, run: func(s *side) {
		s.asks(s, "syntax", "select 'foo")
		s.asks(s, "table", "select * from nowhere")
		s.execs(s, "exec, syntax", "insert nothing")
		s.execs(s, "exec with arguments, table", "insert into nowhere values ($1)", 1)
		s.asks(s, "nothing", "")
		s.execs(s, "exec of nothing", "")
		s.execs(s, "exec of a comment", "-- nothing")
		s.asks(s, "too many arguments", "select $1::int", 1, 2)
		s.asks(s, "too few arguments", "select $1::int, $2::int", 1)
		s.execs(s, "exec, too many arguments", "select $1::int", 1, 2)
		s.execs(s, "exec, too few arguments", "select $1::int, $2::int", 1)
		s.asks(s, "an argument and no place", "select 1", 1)
		s.asks(s, "a place and no argument", "select $1::int")
		s.asks(s, "no type", "select $1", "a")
	}},
	{name: "rows affected", everyMode: true, run: func(s *side) {
		s.prepares("drop table if exists affected; create table affected (n int primary key)")
		s.execs(s, "insert", "insert into affected select generate_series(1, 5)")
		s.execs(s, "update", "update affected set n = -n where n > $1", 2)
		s.execs(s, "delete", "delete from affected where n < 0")
		s.execs(s, "again", "insert into affected values ($1)", 1)
		s.execs(s, "select", "select * from affected")
		s.execs(s, "table", "create index on affected (n)")
		s.numbers(s, "returning", "insert into affected values (10), ($1) returning n", 11)
		result, err := s.ExecContext(s.ctx(), "insert into affected values (20)")
		if err != nil {
			s.failed("insert", err)
			return
		}
		_, err = result.LastInsertId()
		s.saw("last id", 0, err)
	}},
	{name: "constraints", everyMode: true, run: func(s *side) {
		s.prepares("drop table if exists bound; create table bound (n int primary key, m int not null check (m > 0))")
		s.execs(s, "null", "insert into bound values (1, $1)", nil)
		s.execs(s, "check", "insert into bound values (1, $1)", 0)
		s.execs(s, "good", "insert into bound values (1, $1)", 1)
		s.execs(s, "unique", "insert into bound values (1, $1)", 1)
		s.execs(s, "unique, without arguments", "insert into bound values (1, 1)")
		s.numbers(s, "unique, returning", "insert into bound values (1, $1) returning n", 1)
		s.execs(s, "too large", "insert into bound values (2, $1)", int64(1)<<40)
	}},
	{name: "modes among the arguments", everyMode: true, run: func(s *side) {
		for _, mode := range modes {
			s.asks(s, mode.String(), "select $1::int", mode, 7)
			s.execs(s, "exec, "+mode.String(), "select $1::int", mode, 7)
			s.asks(s, mode.String()+" and a text", "select $1::text", mode, "it's")
		}
		s.asks(s, "none such", "select $1::int", pgx.QueryExecMode(99), 7)
	}},
	{name: "formats of results among the arguments", everyMode: true, run: func(s *side) {
		s.asks(s, "text", "select $1::int", pgx.QueryResultFormats{pgx.TextFormatCode}, 7)
		s.asks(s, "binary", "select $1::int", pgx.QueryResultFormats{pgx.BinaryFormatCode}, 7)
		s.asks(s, "by type", "select $1::bool", pgx.QueryResultFormatsByOID{pgtype.BoolOID: pgx.TextFormatCode}, true)
		s.asks(s, "an array in binary", "select '{1,2}'::int4[]", pgx.QueryResultFormats{pgx.BinaryFormatCode})
	}},
	{name: "named arguments", everyMode: true, run: func(s *side) {
		s.asks(s, "of pgx", "select @a::int + @b::int", pgx.NamedArgs{"a": 3, "b": 4})
		s.asks(s, "of pgx, one missing", "select @a::int is null", pgx.NamedArgs{"b": 4})
		s.asks(s, "of pgx, strict", "select @a::int is null", pgx.StrictNamedArgs{"b": 4})
		s.asks(s, "of database/sql", "select $1::int", sql.Named("a", 7))
		s.execs(s, "exec", "select @a::int", pgx.NamedArgs{"a": 3})
		s.asks(s, "a rewriter that fails", "select 1", rewriter{})
	}},
	{name: "an output parameter", run: func(s *side) {
		_, err := s.ExecContext(s.ctx(), "select $1::int", sql.Out{})
		s.failed("exec", err)
	}},
	{name: "callers at the same time", everyMode: true, run: func(s *side) {
		var wg sync.WaitGroup
		sums := make([]int, 20)
		errs := make([]error, len(sums))
		for i := range sums {
			wg.Go(func() {
				for range 10 {
					var n int
					if err := s.QueryRowContext(context.Background(), "select coalesce(sum(n), 0) from generate_series(1, $1::int) n", i).Scan(&n); err != nil {
						errs[i] = err
					}
					sums[i] += n
				}
			})
		}
		wg.Wait()
		s.saw("sums", sums, nil)
		s.saw("errors", fmt.Sprint(errs), nil)
	}},
	{name: "a function's notices and its exception", everyMode: true, run: func(s *side) {
		s.execs(s, "notice", "do $$ begin raise notice 'hear, hear'; end $$")
		s.execs(s, "exception", "do $$ begin raise exception using errcode = 'ZX001'; end $$")
		s.asks(s, "afterwards", "select 1")
	}},
	{name: "what a tracer sees", everyMode: true, traced: true, run: func(s *side) {
		s.execs(s, "exec", "select 1")
		s.execs(s, "exec with arguments", "select $1::int", 7)
		s.asks(s, "query", "select $1::text", "a")
		s.asks(s, "wrong", "select nothing from nowhere")
		tx := s.begin(&sql.TxOptions{Isolation: sql.LevelSerializable, ReadOnly: true})
		s.asks(tx, "inside", "select 2")
		s.failed("commit", tx.Commit())
		s.failed("rollback", s.begin(nil).Rollback())
	}},
	{name: "a copy has no place here", everyMode: true, run: func(s *side) {
		s.prepares("drop table if exists copied; create table copied (n int)")
		_, err := s.ExecContext(s.within(short), "copy copied from stdin")
		s.failed("from", err) // pgx waits for rows that nobody sends
		s.execs(s, "to", "copy (select 1) to stdout")
		s.asks(s, "afterwards", "select count(*) from copied")
	}},
}

// rewriter refuses every query.
type rewriter struct{}

func (rewriter) RewriteQuery(context.Context, *pgx.Conn, string, []any) (string, []any, error) {
	return "", nil, errRewriter
}
