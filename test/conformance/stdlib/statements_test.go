package stdlib

import (
	"context"
	"errors"
	"sync"
)

var errRewriter = errors.New("not this query")

var statements = []trial{
	{name: "a prepared statement", everyMode: true, run: func(s *side) {
		s.prepares("drop table if exists prepared; create table prepared (n int)")
		insert := s.prepared("insert into prepared values ($1)")
		for n := range 3 {
			result, err := insert.ExecContext(s.ctx(), n)
			if err != nil {
				s.failed("exec", err)
				continue
			}
			affected, err := result.RowsAffected()
			s.saw("exec", affected, err)
		}
		var sum int
		err := s.prepared("select sum(n) from prepared").QueryRowContext(s.ctx()).Scan(&sum)
		s.saw("query", sum, err)
		rows, err := s.prepared("select n from prepared where n > $1 order by n").QueryContext(s.ctx(), 0)
		if err != nil {
			s.failed("query", err)
			return
		}
		defer rows.Close()
		s.columns(rows)
		for rows.Next() {
			var n any
			err := rows.Scan(&n)
			s.saw("row", n, err)
		}
		s.failed("end", rows.Err())
	}},
	{name: "a statement that cannot be prepared", everyMode: true, run: func(s *side) {
		for _, query := range []string{"select 'foo", "select * from nowhere", "select 1; select 2", "select $1", "select $2::int", ""} {
			stmt, err := s.PrepareContext(s.ctx(), query)
			s.failed(query, err)
			if err == nil {
				s.failed("close", stmt.Close())
			}
		}
		s.asks(s, "afterwards", "select 1")
	}},
	{name: "arguments of a prepared statement", everyMode: true, run: func(s *side) {
		stmt := s.prepared("select $1::int + $2::int")
		for _, args := range [][]any{{1, 2}, {1}, {1, 2, 3}, {"1", "2"}, {"x", 2}, {nil, 2}, {1.5, 2}} {
			var n any
			err := stmt.QueryRowContext(s.ctx(), args...).Scan(&n)
			s.saw("query", n, err)
			_, err = stmt.ExecContext(s.ctx(), args...)
			s.failed("exec", err)
		}
	}},
	{name: "a prepared statement that fails", everyMode: true, run: func(s *side) {
		stmt := s.prepared("select 1 / $1::int")
		for _, n := range []int{1, 0, 1} {
			var got any
			err := stmt.QueryRowContext(s.ctx(), n).Scan(&got)
			s.saw("query", got, err)
			_, err = stmt.ExecContext(s.ctx(), n)
			s.failed("exec", err)
		}
	}},
	{name: "two statements with the same text", everyMode: true, run: func(s *side) {
		one, two := s.prepared("select $1::int"), s.prepared("select $1::int")
		s.failed("close", one.Close())
		s.failed("close again", one.Close())
		var n any
		err := two.QueryRowContext(s.ctx(), 7).Scan(&n)
		s.saw("the other", n, err)
		_, err = one.ExecContext(s.ctx(), 7)
		s.failed("the closed one", err)
	}},
	{name: "a prepared statement of many callers", everyMode: true, run: func(s *side) {
		stmt := s.prepared("select $1::int * 2")
		var wg sync.WaitGroup
		got := make([]int, 30)
		errs := make([]error, len(got))
		for i := range got {
			wg.Go(func() {
				for range 5 {
					if err := stmt.QueryRowContext(context.Background(), i).Scan(&got[i]); err != nil {
						errs[i] = err
					}
				}
			})
		}
		wg.Wait()
		s.saw("got", got, nil)
		s.saw("errors", errs, nil)
	}},
	{name: "prepared statements and transactions", everyMode: true, run: func(s *side) {
		s.prepares("drop table if exists stated; create table stated (n int)")
		insert := s.prepared("insert into stated values ($1)")
		tx := s.begin(nil)
		inside := tx.StmtContext(s.ctx(), insert)
		_, err := inside.ExecContext(s.ctx(), 1)
		s.failed("exec", err)
		count, err := tx.PrepareContext(s.ctx(), "select count(*) from stated")
		s.failed("prepare", err)
		var n any
		s.saw("inside", n, count.QueryRowContext(s.ctx()).Scan(&n))
		s.asks(s, "outside", "select count(*) from stated")
		s.failed("rollback", tx.Rollback())
		_, err = inside.ExecContext(s.ctx(), 1)
		s.failed("after the end", err)
		_, err = count.ExecContext(s.ctx())
		s.failed("after the end", err)
		_, err = insert.ExecContext(s.ctx(), 2)
		s.failed("the statement outside", err)
		s.asks(s, "afterwards", "select sum(n) from stated")
	}},
	{name: "prepared statements of a connection", everyMode: true, run: func(s *side) {
		conn := s.hold()
		s.execs(conn, "table", "create temp table mine (n int)")
		stmt, err := conn.PrepareContext(s.ctx(), "insert into mine values ($1)")
		if err != nil {
			s.failed("prepare", err)
			return
		}
		for range 3 {
			_, err = stmt.ExecContext(s.ctx(), 1)
			s.failed("exec", err)
		}
		s.asks(conn, "count", "select count(*) from mine")
		s.failed("close", conn.Close())
		_, err = stmt.ExecContext(s.ctx(), 1)
		s.failed("after its connection", err)
		s.failed("close", stmt.Close())
	}},
	{name: "a prepared statement for other statements", everyMode: true, run: func(s *side) {
		s.prepares("drop table if exists altered; create table altered (n int)")
		conn := s.hold()
		for _, query := range []string{"create temp table other (n int)", "set application_name = 'prepared'", "show application_name", "begin", "rollback", "values (1)"} {
			stmt, err := conn.PrepareContext(s.ctx(), query)
			if err != nil {
				s.failed(query, err)
				continue
			}
			_, err = stmt.ExecContext(s.ctx())
			s.failed(query, err)
			s.failed("close", stmt.Close())
		}
		s.asks(conn, "setting", "show application_name")
	}},
	{name: "the context of a prepared statement", run: func(s *side) {
		stmt := s.prepared("select pg_sleep($1)")
		_, err := stmt.ExecContext(s.within(short), 60)
		s.failed("deadline", err)
		ended, end := context.WithCancel(s.ctx())
		end()
		_, err = stmt.ExecContext(ended, 0)
		s.failed("ended", err)
		_, err = s.PrepareContext(ended, "select 1")
		s.failed("prepare", err)
		_, err = stmt.ExecContext(s.ctx(), 0)
		s.failed("afterwards", err)
	}},
}
