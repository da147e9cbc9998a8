package stdlib

import (
	"context"
	"time"
)

// short is a time in which nothing that sleeps is ready, and everything else is.
const short = 400 * time.Millisecond

var contexts = []trial{
	{name: "a deadline", everyMode: true, run: func(s *side) {
		s.does("select 1")
		_, err := s.ExecContext(s.within(short), "select pg_sleep(60)")
		s.failed("exec", err)
		_, err = s.ExecContext(s.within(short), "select pg_sleep($1)", 60)
		s.failed("exec with arguments", err)
		s.failed("query", s.QueryRowContext(s.within(short), "select pg_sleep($1)", 60).Scan(new(any)))
		s.asks(s, "afterwards", "select 1")
	}},
	{name: "a context that is cancelled on the way", everyMode: true, run: func(s *side) {
		ctx, cancel := context.WithCancel(s.ctx())
		defer time.AfterFunc(short, cancel).Stop()
		_, err := s.ExecContext(ctx, "select pg_sleep($1)", 60)
		s.failed("exec", err)
		s.asks(s, "afterwards", "select 1")
	}},
	{name: "a context that is cancelled between rows", everyMode: true, run: func(s *side) {
		ctx, cancel := context.WithCancel(s.ctx())
		defer cancel()
		rows, err := s.QueryContext(ctx, "select n, repeat('x', 1000) from generate_series(1, 100000) n")
		if err != nil {
			s.failed("query", err)
			return
		}
		defer rows.Close()
		s.saw("next", rows.Next(), rows.Err())
		cancel()
		for rows.Next() {
		}
		s.failed("end", rows.Err())
		s.asks(s, "afterwards", "select 1")
	}},
	{name: "a context that had ended", everyMode: true, run: func(s *side) {
		ended, end := context.WithCancel(s.ctx())
		end()
		_, err := s.ExecContext(ended, "select 1")
		s.failed("exec", err)
		s.failed("query", s.QueryRowContext(ended, "select 1").Scan(new(any)))
		s.failed("ping", s.PingContext(ended))
		_, err = s.Conn(ended)
		s.failed("connection", err)
		s.asks(s, "afterwards", "select 1")
	}},
	{name: "the server's own time-out", everyMode: true, run: func(s *side) {
		conn := s.hold()
		s.execs(conn, "set", "set statement_timeout = '50ms'")
		s.execs(conn, "exec", "select pg_sleep($1)", 60)
		s.asks(conn, "afterwards", "select 1")
	}},
	{name: "a deadline inside a transaction", everyMode: true, run: func(s *side) {
		tx := s.begin(nil)
		_, err := tx.ExecContext(s.within(short), "select pg_sleep($1)", 60)
		s.failed("exec", err)
		s.saw("commit fails", tx.Commit() != nil, nil)
		s.asks(s, "afterwards", "select 1")
	}},
}
