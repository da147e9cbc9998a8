package stdlib

import (
	"database/sql/driver"
	"errors"

	"github.com/jackc/pgx/v5"
)

var connections = []trial{
	{name: "a connection keeps its session", everyMode: true, run: func(s *side) {
		conn := s.hold()
		s.execs(conn, "set", "set application_name = 'mine'")
		s.execs(conn, "table", "create temp table mine (n int)")
		s.execs(conn, "insert", "insert into mine values ($1)", 1)
		s.asks(conn, "setting", "show application_name")
		s.asks(conn, "rows", "select count(*) from mine")
		before := s.number(conn, backend)
		s.saw("the same backend", s.number(conn, backend) == before, nil)
		s.failed("ping", conn.PingContext(s.ctx()))
		s.failed("close", conn.Close())
		s.failed("close again", conn.Close())
		s.asks(conn, "after its close", "select 1")
		s.failed("ping after its close", conn.PingContext(s.ctx()))
	}},
	{name: "transactions of a connection", everyMode: true, run: func(s *side) {
		conn := s.hold()
		s.execs(conn, "table", "create temp table mine (n int)")
		tx, err := conn.BeginTx(s.ctx(), nil)
		if err != nil {
			s.failed("begin", err)
			return
		}
		s.execs(tx, "insert", "insert into mine values ($1)", 1)
		s.failed("rollback", tx.Rollback())
		s.asks(conn, "afterwards", "select count(*) from mine")
	}},
	{name: "raw", everyMode: true, run: func(s *side) {
		conn := s.hold()
		s.execs(conn, "table", "create temp table mine (n int)")
		err := conn.Raw(func(driverConn any) error {
			n, err := s.conn(driverConn).CopyFrom(s.ctx(), pgx.Identifier{"mine"}, []string{"n"}, pgx.CopyFromRows([][]any{{1}, {2}, {3}}))
			s.saw("copied", n, err)
			return err
		})
		s.failed("raw", err)
		s.asks(conn, "rows", "select count(*) from mine")
		own := errors.New("a program's own error")
		s.failed("an error", conn.Raw(func(any) error { return own }))
		s.asks(conn, "afterwards", "select 1")
		s.failed("close", conn.Close())
		s.failed("after its close", conn.Raw(func(any) error { return nil }))
	}},
	{name: "a panic in raw", run: func(s *side) {
		conn := s.hold()
		func() {
			defer func() { s.saw("recovered", recover(), nil) }()
			_ = conn.Raw(func(any) error { panic("oh") })
		}()
		s.asks(conn, "afterwards", "select 1")
		s.asks(s, "others", "select 1")
	}},
	{name: "raw, with a batch", everyMode: true, run: func(s *side) {
		err := s.hold().Raw(func(driverConn any) error {
			var b pgx.Batch
			b.Queue("select $1::int", 7).QueryRow(func(row pgx.Row) error {
				var n any
				err := row.Scan(&n)
				s.saw("one", n, err)
				return err
			})
			b.Queue("select 1 / $1::int", 0)
			return s.conn(driverConn).SendBatch(s.ctx(), &b).Close()
		})
		s.failed("batch", err)
	}},
	{name: "raw, a connection that is called bad", run: func(s *side) {
		conn := s.hold()
		s.failed("raw", conn.Raw(func(any) error { return driver.ErrBadConn }))
		s.asks(conn, "afterwards", "select 1")
		s.asks(s, "others", "select 1")
	}},
	{name: "raw, a connection that is closed", run: func(s *side) {
		conn := s.hold()
		s.failed("raw", conn.Raw(func(driverConn any) error { return s.conn(driverConn).Close(s.ctx()) }))
		s.execs(conn, "afterwards", "select 1")
		s.execs(conn, "and again", "select 1")
		s.asks(s, "others", "select 1")
	}},
	{name: "raw, with notifications", run: func(s *side) {
		conn := s.hold()
		s.execs(conn, "listen", "listen news")
		s.prepares("notify news, 'extra'")
		err := conn.Raw(func(driverConn any) error {
			n, err := s.conn(driverConn).WaitForNotification(s.ctx())
			if err == nil {
				s.saw("heard", n.Channel+" "+n.Payload, nil)
			}
			return err
		})
		s.failed("raw", err)
	}},
	{name: "raw, with a type of one's own", everyMode: true, run: func(s *side) {
		s.prepares("drop type if exists mood; create type mood as enum ('good', 'bad')")
		conn := s.hold()
		err := conn.Raw(func(driverConn any) error {
			for _, name := range []string{"mood", "_mood"} {
				typ, err := s.conn(driverConn).LoadType(s.ctx(), name)
				if err != nil {
					return err
				}
				s.conn(driverConn).TypeMap().RegisterType(typ)
			}
			return nil
		})
		s.failed("raw", err)
		rows, err := conn.QueryContext(s.ctx(), "select 'good'::mood as a, '{bad}'::mood[] as b")
		if err != nil {
			s.failed("query", err)
			return
		}
		s.columns(rows)
		for rows.Next() {
			var a, b any
			s.failed("scan", rows.Scan(&a, &b))
			s.saw("a", a, nil)
			s.saw("b", b, nil)
		}
		s.failed("close", rows.Close())
		s.asks(conn, "an argument", "select $1::mood[] = '{good,bad}'", pgx.QueryExecModeCacheStatement, []string{"good", "bad"})
	}},
	{name: "ping", everyMode: true, run: func(s *side) {
		s.failed("ping", s.PingContext(s.ctx()))
		s.failed("ping of a connection", s.hold().PingContext(s.ctx()))
	}},
	{name: "after its close", run: func(s *side) {
		conn := s.hold()
		stmt := s.prepared("select 1")
		s.failed("close", s.Close())
		s.failed("close again", s.Close())
		s.failed("ping", s.PingContext(s.ctx()))
		s.asks(s, "query", "select 1")
		_, err := s.BeginTx(s.ctx(), nil)
		s.failed("begin", err)
		_, err = s.PrepareContext(s.ctx(), "select 1")
		s.failed("prepare", err)
		_, err = stmt.ExecContext(s.ctx())
		s.failed("statement", err)
		s.asks(conn, "a connection that was held", "select 1")
		s.failed("its close", conn.Close())
	}},
	{name: "a limit on open connections", run: func(s *side) {
		s.SetMaxOpenConns(1)
		conn := s.hold()
		s.failed("the second", s.PingContext(s.within(short)))
		s.saw("open", s.Stats().OpenConnections, nil)
		s.failed("close", conn.Close())
		s.failed("the next", s.PingContext(s.ctx()))
		s.saw("most", s.Stats().MaxOpenConnections, nil)
	}},
	{name: "a connection that was reset at rest", everyMode: true, proxied: true, unasked: true, run: func(s *side) {
		s.prepares("drop table if exists rested; create table rested (n int)")
		s.losesWhatRests()
		s.execs(s, "exec", "insert into rested values (1)")
		s.losesWhatRests()
		s.execs(s, "exec with arguments", "insert into rested values ($1)", 1)
		s.losesWhatRests()
		s.asks(s, "query", "insert into rested values ($1) returning n", pgx.QueryExecModeCacheStatement, 1)
		s.asks(s, "rows", "select count(*) from rested")
	}},
	{name: "a transaction whose connection was reset", everyMode: true, proxied: true, run: func(s *side) {
		s.prepares("drop table if exists torn; create table torn (n int)")
		tx := s.begin(nil)
		s.execs(tx, "insert", "insert into torn values ($1)", 1)
		s.resets()
		_, err := tx.ExecContext(s.ctx(), "insert into torn values ($1)", 2)
		s.saw("exec fails", err != nil, nil)
		s.saw("commit fails", tx.Commit() != nil, nil)
		s.asks(s, "rows", "select count(*) from torn")
	}},
	{name: "a backend that was terminated", everyMode: true, run: func(s *side) {
		conn := s.hold()
		pid := s.number(conn, backend)
		_, err := conn.ExecContext(s.ctx(), "select pg_terminate_backend($1)", pid)
		s.failed("by its own statement", err)
		s.asks(s, "others", "select 1")
	}},
}
