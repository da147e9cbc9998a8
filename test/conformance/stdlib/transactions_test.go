package stdlib

import (
	"context"
	"database/sql"
)

var transactions = []trial{
	{name: "commit and rollback", everyMode: true, run: func(s *side) {
		s.prepares("drop table if exists settled; create table settled (n int)")
		for _, commit := range []bool{false, true} {
			tx := s.begin(nil)
			s.execs(tx, "insert", "insert into settled values ($1)", 1)
			s.asks(tx, "inside", "select count(*) from settled")
			s.asks(s, "outside", "select count(*) from settled")
			if commit {
				s.failed("commit", tx.Commit())
			} else {
				s.failed("rollback", tx.Rollback())
			}
			s.asks(s, "afterwards", "select count(*) from settled")
			s.failed("commit again", tx.Commit())
			s.failed("rollback again", tx.Rollback())
			s.execs(tx, "exec after the end", "insert into settled values (2)")
			s.asks(tx, "query after the end", "select 1")
			_, err := tx.PrepareContext(s.ctx(), "select 1")
			s.failed("prepare after the end", err)
		}
	}},
	{name: "levels of isolation", everyMode: true, run: func(s *side) {
		for level := sql.LevelDefault; level <= sql.LevelLinearizable; level++ {
			tx, err := s.BeginTx(s.ctx(), &sql.TxOptions{Isolation: level})
			if err != nil {
				s.saw(level.String(), "is refused", nil) // each in words of its own
				continue
			}
			s.asks(tx, level.String(), "show transaction_isolation")
			s.failed("commit", tx.Commit())
		}
		s.asks(s, "afterwards", "show transaction_isolation")
	}},
	{name: "a transaction that only reads", everyMode: true, run: func(s *side) {
		s.prepares("drop table if exists readonly; create table readonly (n int)")
		tx := s.begin(&sql.TxOptions{ReadOnly: true, Isolation: sql.LevelSerializable})
		s.asks(tx, "read only", "show transaction_read_only")
		s.asks(tx, "isolation", "show transaction_isolation")
		s.execs(tx, "insert", "insert into readonly values ($1)", 1)
		s.failed("rollback", tx.Rollback())
		s.asks(s, "afterwards", "show transaction_read_only")
	}},
	{name: "a transaction with an error in it", everyMode: true, run: func(s *side) {
		tx := s.begin(nil)
		s.asks(tx, "error", "select 1 / $1::int", 0)
		s.asks(tx, "after it", "select $1::int", 1)
		s.execs(tx, "exec after it", "select 1")
		s.failed("commit", tx.Commit())
		s.asks(s, "afterwards", "select 1")
	}},
	{name: "savepoints", everyMode: true, run: func(s *side) {
		tx := s.begin(nil)
		s.execs(tx, "savepoint", "savepoint a")
		s.asks(tx, "error", "select 1 / $1::int", 0)
		s.execs(tx, "rollback to it", "rollback to savepoint a")
		s.asks(tx, "after it", "select $1::int", 1)
		s.failed("commit", tx.Commit())
	}},
	{name: "a constraint that is deferred", everyMode: true, run: func(s *side) {
		s.prepares("drop table if exists deferred; create table deferred (n int unique deferrable initially deferred)")
		tx := s.begin(nil)
		s.execs(tx, "insert", "insert into deferred values ($1)", 1)
		s.execs(tx, "again", "insert into deferred values ($1)", 1)
		s.failed("commit", tx.Commit())
		s.execs(s, "outside", "insert into deferred values (1), (1)")
		s.asks(s, "outside, a query", "insert into deferred values (1), ($1) returning n", 1)
		s.asks(s, "afterwards", "select count(*) from deferred")
	}},
	{name: "transactions in each other's way", run: func(s *side) {
		s.prepares("drop table if exists contested; create table contested (n int); insert into contested values (1)")
		serializable := &sql.TxOptions{Isolation: sql.LevelSerializable}
		one, two := s.begin(serializable), s.begin(serializable)
		s.execs(one, "one", "update contested set n = n + 1")
		s.asks(two, "two reads", "select n from contested")
		s.failed("one commits", one.Commit())
		s.execs(two, "two", "update contested set n = n + 1")
		s.failed("two commits", two.Commit())
		s.asks(s, "afterwards", "select n from contested")
	}},
	{name: "the end of a transaction's context", everyMode: true, run: func(s *side) {
		s.prepares("drop table if exists cancelled; create table cancelled (n int)")
		ctx, cancel := context.WithCancel(s.ctx())
		defer cancel()
		tx, err := s.BeginTx(ctx, nil)
		if err != nil {
			s.failed("begin", err)
			return
		}
		s.execs(tx, "insert", "insert into cancelled values ($1)", 1)
		cancel()
		err = tx.Commit()
		s.saw("one of the two that may come", err == context.Canceled || err == sql.ErrTxDone, nil) //nolint:errorlint // nothing else
		s.execs(s, "the table is free", "alter table cancelled add m int")
		s.asks(s, "afterwards", "select count(*) from cancelled")
	}},
	{name: "rows beside the end of their transaction", everyMode: true, run: func(s *side) {
		tx := s.begin(nil)
		rows, err := tx.QueryContext(s.ctx(), "select n from generate_series(1, 10000) n")
		if err != nil {
			s.failed("query", err)
			return
		}
		s.saw("next", rows.Next(), rows.Err())
		s.failed("rollback", tx.Rollback())
		s.saw("next", rows.Next(), nil)
		s.failed("close", rows.Close())
		s.asks(s, "afterwards", "select 1")
	}},
	{name: "statements of transactions by hand", everyMode: true, run: func(s *side) {
		conn := s.hold()
		s.execs(conn, "begin", "begin")
		s.asks(conn, "inside", "select now() = transaction_timestamp()")
		tx, err := conn.BeginTx(s.ctx(), nil)
		s.failed("begin inside", err)
		if err == nil {
			s.failed("commit", tx.Commit())
		}
		s.execs(conn, "commit", "commit")
		tx, err = s.BeginTx(s.ctx(), nil)
		s.failed("begin", err)
		s.execs(tx, "commit by hand", "commit")
		s.failed("commit", tx.Commit())
	}},
	{name: "a transaction that cannot begin", run: func(s *side) {
		ended, end := context.WithCancel(s.ctx())
		end()
		_, err := s.BeginTx(ended, nil)
		s.failed("begin", err)
		s.asks(s, "afterwards", "select 1")
	}},
}
