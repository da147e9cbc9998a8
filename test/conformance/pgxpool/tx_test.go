package pgxpool_test

import (
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

var txCases = []behaviour{
	{name: "Commit", run: both(func(s *side, p pool, q starter) {
		t := s.table("n int")
		tx, err := q.Begin(s.ctx)
		s.ok(err)
		s.exec(tx, "insert into "+t+" values (1)")
		s.say("seen before: %d, acquired %d", s.count(t), p.Stat().AcquiredConns())
		s.ends(tx.Commit(s.ctx))
		s.say("and after: %d", s.count(t))
	})},
	{name: "Rollback", run: both(func(s *side, _ pool, q starter) {
		t := s.table("n int")
		tx, err := q.Begin(s.ctx)
		s.ok(err)
		s.exec(tx, "insert into "+t+" values (1)")
		s.ends(tx.Rollback(s.ctx))
		s.say("%d", s.count(t))
	})},
	{name: "a transaction that is over", run: both(func(s *side, _ pool, q starter) {
		tx, err := q.Begin(s.ctx)
		s.ok(err)
		s.ok(tx.Commit(s.ctx))
		s.ends(tx.Commit(s.ctx))
		s.ends(tx.Rollback(s.ctx))
		_, err = tx.Exec(s.ctx, "select 1")
		s.ends(err)
		s.ends(tx.QueryRow(s.ctx, "select 1").Scan(new(int)))
		_, err = tx.Query(s.ctx, "select 1")
		s.ends(err)
		_, err = tx.Begin(s.ctx)
		s.ends(err)
		_, err = tx.Prepare(s.ctx, "x", "select 1")
		s.ends(err)
		s.ends(tx.SendBatch(s.ctx, &pgx.Batch{}).Close())
		_, err = tx.CopyFrom(s.ctx, pgx.Identifier{"t"}, nil, pgx.CopyFromRows(nil))
		s.ends(err)
	})},
	{name: "Commit of a transaction that has failed", run: both(func(s *side, _ pool, q starter) {
		tx, err := q.Begin(s.ctx)
		s.ok(err)
		_, err = tx.Exec(s.ctx, "select 1/0")
		s.ends(err)
		_, err = tx.Exec(s.ctx, "select 1")
		s.ends(err)
		s.ends(tx.Commit(s.ctx))
	})},
	{name: "Commit that a constraint prevents", run: both(func(s *side, _ pool, q starter) {
		t := s.table("n int unique deferrable initially deferred")
		tx, err := q.Begin(s.ctx)
		s.ok(err)
		s.exec(tx, "insert into "+t+" values (1), (1)")
		s.ends(tx.Commit(s.ctx))
		s.say("%d", s.count(t))
	})},
	{name: "options of a transaction", run: both(func(s *side, _ pool, q starter) {
		t := s.table("n int")
		tx, err := q.BeginTx(s.ctx, pgx.TxOptions{IsoLevel: pgx.Serializable, AccessMode: pgx.ReadOnly, DeferrableMode: pgx.Deferrable})
		s.ok(err)
		var level, deferrable string
		s.ok(tx.QueryRow(s.ctx, "show transaction_isolation").Scan(&level))
		s.ok(tx.QueryRow(s.ctx, "show transaction_deferrable").Scan(&deferrable))
		s.say("%s, deferrable: %s", level, deferrable)
		_, err = tx.Exec(s.ctx, "insert into "+t+" values (1)")
		s.ends(err)
		s.ends(tx.Rollback(s.ctx))
	})},
	{name: "a BEGIN that fails", run: both(func(s *side, _ pool, q starter) {
		tx, err := q.BeginTx(s.ctx, pgx.TxOptions{IsoLevel: "foo"})
		s.say("%s, %v", kind(err), tx == nil)
	})},
	{name: "a BEGIN with a context that is over", run: func(s *side) {
		p := s.pool(settings{params: one})
		tx, err := p.BeginTx(s.within(0), pgx.TxOptions{})
		s.say("%s, %v", kind(err), tx == nil)
	}},
	{name: "a BEGIN that ends the connection", run: func(s *side) {
		p := s.pool(settings{params: one})
		tx, err := p.BeginTx(s.ctx, pgx.TxOptions{BeginQuery: "select pg_terminate_backend(pg_backend_pid())"})
		s.say("%v, %v", err != nil, tx == nil)
		s.until("it is gone", func() bool { return p.Stat().TotalConns() == 0 })
		s.exec(p, "select 1")
	}},
	{name: "transactions inside transactions", run: both(func(s *side, _ pool, q starter) {
		t := s.table("n int")
		tx, err := q.Begin(s.ctx)
		s.ok(err)
		s.exec(tx, "insert into "+t+" values (1)")
		kept, err := tx.Begin(s.ctx)
		s.ok(err)
		s.exec(kept, "insert into "+t+" values (2)")
		deeper, err := kept.Begin(s.ctx)
		s.ok(err)
		s.exec(deeper, "insert into "+t+" values (3)")
		s.ends(deeper.Rollback(s.ctx))
		s.ends(deeper.Rollback(s.ctx))
		s.ends(kept.Commit(s.ctx))
		s.ends(kept.Commit(s.ctx))
		lost, err := tx.Begin(s.ctx)
		s.ok(err)
		_, err = lost.Exec(s.ctx, "select 1/0")
		s.ends(err)
		s.ends(lost.Rollback(s.ctx))
		s.exec(tx, "insert into "+t+" values (4)")
		s.ends(tx.Commit(s.ctx))
		_, err = kept.Exec(s.ctx, "select 1")
		s.ends(err)
		s.say("%d", s.count(t))
	})},
	{name: "pgx.BeginFunc", run: both(func(s *side, _ pool, q starter) {
		t := s.table("n int")
		s.ends(pgx.BeginFunc(s.ctx, q, func(tx pgx.Tx) error {
			s.exec(tx, "insert into "+t+" values (1)")
			return nil
		}))
		s.ends(pgx.BeginFunc(s.ctx, q, func(tx pgx.Tx) error {
			s.exec(tx, "insert into "+t+" values (2)")
			return errHook
		}))
		s.note(panics(func() {
			_ = pgx.BeginFunc(s.ctx, q, func(tx pgx.Tx) error {
				s.exec(tx, "insert into "+t+" values (3)")
				panic("oh")
			})
		}))
		s.ends(pgx.BeginTxFunc(s.ctx, q, pgx.TxOptions{IsoLevel: pgx.Serializable}, func(tx pgx.Tx) error {
			return pgx.BeginFunc(s.ctx, tx, func(tx pgx.Tx) error {
				_, err := tx.Exec(s.ctx, "insert into "+t+" values (4)")
				return err
			})
		}))
		s.say("%d", s.count(t))
	})},
	{name: "what a transaction can do", run: both(func(s *side, _ pool, q starter) {
		t := s.table("n int, t text")
		tx, err := q.Begin(s.ctx)
		s.ok(err)
		n, err := tx.CopyFrom(s.ctx, pgx.Identifier{t}, []string{"n"}, pgx.CopyFromRows([][]any{{1}, {2}}))
		s.say("%d, %s", n, kind(err))
		d, err := tx.Prepare(s.ctx, "sum", "select sum(n)::int from "+t+" where n >= $1")
		s.ok(err)
		s.say("%d parameters", len(d.ParamOIDs))
		var sum int
		s.ok(tx.QueryRow(s.ctx, "sum", 1).Scan(&sum))
		s.say("%d", sum)
		var b pgx.Batch
		b.Queue("insert into "+t+" values ($1)", 3)
		b.Queue("select count(*) from " + t).QueryRow(func(row pgx.Row) error { return row.Scan(&sum) })
		s.ends(tx.SendBatch(s.ctx, &b).Close())
		s.say("%d", sum)
		rows, err := tx.Query(s.ctx, "select n from "+t+" order by n")
		s.ok(err)
		all, err := pgx.CollectRows(rows, pgx.RowTo[int])
		s.say("%v, %s", all, kind(err))
		s.say("status %c", tx.Conn().PgConn().TxStatus())
		s.ok(tx.Commit(s.ctx))
	})},
	{name: "large objects", run: both(func(s *side, _ pool, q starter) {
		tx, err := q.Begin(s.ctx)
		s.ok(err)
		objects := tx.LargeObjects()
		id, err := objects.Create(s.ctx, 0)
		s.ok(err)
		o, err := objects.Open(s.ctx, id, pgx.LargeObjectModeRead|pgx.LargeObjectModeWrite)
		s.ok(err)
		n, err := o.Write([]byte("hello"))
		s.say("%d, %s", n, kind(err))
		s.ok(objects.Unlink(s.ctx, id))
		s.ok(tx.Commit(s.ctx))
	})},
	{name: "Release inside a transaction closes the connection", run: func(s *side) {
		p := s.pool(settings{params: one})
		t := s.table("n int")
		c := s.acquire(p)
		first := pid(c)
		s.exec(c, "begin")
		s.exec(c, "insert into "+t+" values (1)")
		c.Release()
		c = s.acquire(p)
		s.say("another: %v, status %c, %d", pid(c) != first, c.Conn().PgConn().TxStatus(), s.count(t))
		c.Release()
	}},
	{name: "Release inside a transaction that has failed", run: func(s *side) {
		p := s.pool(settings{params: one})
		c := s.acquire(p)
		first := pid(c)
		tx, err := c.Begin(s.ctx)
		s.ok(err)
		_, err = tx.Exec(s.ctx, "selct")
		s.ends(err)
		c.Release()
		c = s.acquire(p)
		s.say("another: %v, status %c", pid(c) != first, c.Conn().PgConn().TxStatus())
		c.Release()
	}},
	{name: "the end of a transaction with a context that is over", differs: &difference{
		row:    "A transaction that is ended with a context that is over",
		theirs: []string{"Rollback: canceled", "the connection lives: false"},
		ours:   []string{"Rollback: none", "the connection lives: true"},
	}, run: func(s *side) {
		p := s.pool(settings{params: one})
		first := s.pidOf(p)
		tx, err := p.Begin(s.ctx)
		s.ok(err)
		s.say("Rollback: %s", ended(tx.Rollback(s.within(0))))
		s.say("the connection lives: %v", s.pidOf(p) == first)
	}},
	{name: "Commit and Rollback of the pool's transaction while rows are unread", run: func(s *side) {
		p := s.pool(settings{params: one})
		for _, end := range []func(pgx.Tx) error{
			func(tx pgx.Tx) error { return tx.Commit(s.ctx) },
			func(tx pgx.Tx) error { return tx.Rollback(s.ctx) },
		} {
			tx, err := p.Begin(s.ctx)
			s.ok(err)
			first := tx.Conn().PgConn().PID()
			rows, err := tx.Query(s.ctx, "select generate_series(1, 10)")
			s.ok(err)
			s.ends(end(tx))
			s.ends(tx.Rollback(s.ctx))
			s.say("another connection serves: %v", s.pidOf(p) != first)
			rows.Close()
		}
	}},
	{name: "Commit of a connection's transaction while rows are unread", differs: &difference{
		row:    "`Begin`, `Commit` or `Rollback` while rows are unread",
		theirs: []string{"busy", "tx closed", "the connection lives: false"},
		ours:   []string{"busy", "none", "the connection lives: true"},
	}, run: func(s *side) {
		p := s.pool(settings{params: one})
		c := s.acquire(p)
		tx, err := c.Begin(s.ctx)
		s.ok(err)
		rows, err := tx.Query(s.ctx, "select generate_series(1, 10)")
		s.ok(err)
		s.ends(tx.Commit(s.ctx))
		rows.Close()
		s.ends(tx.Rollback(s.ctx))
		s.say("the connection lives: %v", c.Ping(s.ctx) == nil)
		c.Release()
	}},
	{name: "a Commit whose answer is lost", differs: &difference{
		row:    "A `COMMIT` whose answer is lost",
		theirs: []string{"PgError 57P01", "says that the outcome is unknown: false"},
		ours:   []string{"PgError 57P01", "says that the outcome is unknown: true"},
	}, run: func(s *side) {
		p := s.pool(settings{params: one})
		tx, err := p.BeginTx(s.ctx, pgx.TxOptions{CommitQuery: "select pg_terminate_backend(pg_backend_pid())"})
		s.ok(err)
		err = tx.Commit(s.ctx)
		s.ends(err)
		s.say("says that the outcome is unknown: %v", errors.Is(err, poolactor.ErrOutcomeUnknown))
	}},
	{name: "a batch", run: both(func(s *side, p pool, q starter) {
		var b pgx.Batch
		b.Queue("select 1")
		b.Queue("select generate_series(1, $1)", 3)
		b.Queue("select 3")
		results := q.SendBatch(s.ctx, &b)
		var n int
		s.ends(results.QueryRow().Scan(&n))
		rows, err := results.Query()
		s.ok(err)
		all, err := pgx.CollectRows(rows, pgx.RowTo[int])
		s.say("%d, %v, %s, acquired %d", n, all, kind(err), p.Stat().AcquiredConns())
		tag, err := results.Exec()
		s.say("%s, %s", tag, kind(err))
		_, err = results.Exec()
		s.say("one too many: %v", err != nil)
		s.say("a transaction: %v", results.Tx() != nil)
		s.ends(results.Close())
		s.ends(results.Close())
	})},
	{name: "a batch that fails", run: both(func(s *side, _ pool, q starter) {
		t := s.table("n int")
		var b pgx.Batch
		b.Queue("insert into " + t + " values (1)")
		b.Queue("select 1/0")
		b.Queue("insert into " + t + " values (2)")
		results := q.SendBatch(s.ctx, &b)
		_, err := results.Exec()
		s.ends(err)
		_, err = results.Exec()
		s.ends(err)
		_, err = results.Exec()
		s.say("%v", err != nil)
		s.ends(results.Close())
		s.ends(results.Close())
		s.say("%d: it is one transaction", s.count(t))
	})},
	{name: "a batch that cannot be prepared", run: both(func(s *side, _ pool, q starter) {
		var b pgx.Batch
		b.Queue("select 1")
		b.Queue("selct $1", 1)
		results := q.SendBatch(s.ctx, &b)
		_, err := results.Exec()
		s.ends(err)
		s.ends(results.Close())
	})},
	{name: "functions of a batch", run: both(func(s *side, _ pool, q starter) {
		var b pgx.Batch
		b.Queue("select 1").QueryRow(func(row pgx.Row) error {
			var n int
			err := row.Scan(&n)
			s.say("row %d", n)
			return err
		})
		b.Queue("select 2").Exec(func(tag pgconn.CommandTag) error { s.say("%s", tag); return nil })
		b.Queue("select generate_series(1, 3)").Query(func(rows pgx.Rows) error {
			all, err := pgx.CollectRows(rows, pgx.RowTo[int])
			s.say("rows %v", all)
			return err
		})
		b.Queue("select 4").Exec(func(pgconn.CommandTag) error { return errHook })
		b.Queue("select 5").Exec(func(pgconn.CommandTag) error { s.note("not after an error"); return nil })
		s.ends(q.SendBatch(s.ctx, &b).Close())
	})},
	{name: "an empty batch", run: both(func(s *side, _ pool, q starter) {
		s.ends(q.SendBatch(s.ctx, &pgx.Batch{}).Close())
	})},
	{name: "a batch that is closed at once", run: both(func(s *side, _ pool, q starter) {
		t := s.table("n int")
		var b pgx.Batch
		for i := range 50 {
			b.Queue("insert into "+t+" values ($1)", i)
		}
		s.say("%s, %d", kind(q.SendBatch(s.ctx, &b).Close()), s.count(t))
	})},
	{name: "a batch that begins a transaction", run: both(func(s *side, p pool, q starter) {
		t := s.table("n int")
		var b pgx.Batch
		b.BeginTx(pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
		b.Queue("insert into " + t + " values (1)")
		results := q.SendBatch(s.ctx, &b)
		tx := results.Tx()
		s.say("%v, the same each time: %v", tx != nil, tx == results.Tx())
		s.ends(results.Close())
		s.say("acquired %d, seen %d", p.Stat().AcquiredConns(), s.count(t))
		var level string
		s.ok(tx.QueryRow(s.ctx, "show transaction_isolation").Scan(&level))
		s.note(level)
		s.ends(tx.Commit(s.ctx))
		s.say("seen %d", s.count(t))
		s.ends(tx.Rollback(s.ctx))
		s.ends(results.Close())
	})},
	{name: "a batch that begins a transaction and fails", run: func(s *side) {
		p := s.pool(settings{params: one})
		var b pgx.Batch
		b.BeginTx(pgx.TxOptions{})
		b.Queue("select 1/0")
		results := p.SendBatch(s.ctx, &b)
		tx := results.Tx()
		s.ends(results.Close())
		s.say("acquired %d", p.Stat().AcquiredConns())
		s.ends(tx.Rollback(s.ctx))
		s.say("acquired %d, total %d", p.Stat().AcquiredConns(), p.Stat().TotalConns())
	}},
	{name: "Rollback of a batch that has failed before its results are closed", differs: &difference{
		row:    "`Begin`, `Commit` or `Rollback` while rows are unread",
		theirs: []string{"PgError 22012", "none", "none", "the same connection: true", "PgError 22012", "none", "none", "the same connection: true"},
		ours: []string{
			"PgError 22012", "busy", "PgError 22012", "the same connection: false",
			"PgError 22012", "busy", "PgError 22012", "the same connection: false",
		},
	}, run: func(s *side) {
		for _, mode := range []string{"exec", "simple_protocol"} {
			p := s.pool(settings{params: one + " default_query_exec_mode=" + mode})
			first := s.pidOf(p)
			var b pgx.Batch
			b.BeginTx(pgx.TxOptions{})
			b.Queue("select 1/0")
			results := p.SendBatch(s.ctx, &b)
			_, err := results.Exec() // BEGIN
			s.ok(err)
			_, err = results.Exec()
			s.ends(err)
			s.ends(results.Tx().Rollback(s.ctx))
			s.ends(results.Close())
			s.say("the same connection: %v", s.pidOf(p) == first)
		}
	}},
	{name: "a batch whose transaction never began", differs: &difference{
		row:    "A batch whose `BEGIN` fails",
		theirs: []string{"PgError 42601", "acquired 1", "tx closed", "acquired 0"},
		ours:   []string{"PgError 42601", "acquired 0", "tx closed", "acquired 0"},
	}, run: func(s *side) {
		p := s.pool(settings{params: one})
		var b pgx.Batch
		b.BeginTx(pgx.TxOptions{BeginQuery: "begin garbage"})
		b.Queue("select 1")
		results := p.SendBatch(s.ctx, &b)
		tx := results.Tx()
		s.ends(results.Close())
		s.say("acquired %d", p.Stat().AcquiredConns())
		s.ends(tx.Rollback(s.ctx))
		s.say("acquired %d", p.Stat().AcquiredConns())
	}},
	{name: "a batch that gets no connection", run: func(s *side) {
		p := s.pool(settings{params: one})
		c := s.acquire(p)
		var b pgx.Batch
		b.BeginTx(pgx.TxOptions{})
		b.Queue("select 1")
		results := p.SendBatch(s.within(0), &b)
		s.ends(results.Tx().Rollback(s.ctx))
		_, err := results.Exec()
		s.ends(err)
		s.ends(results.QueryRow().Scan(new(int)))
		s.ends(results.Close())
		s.say("%v", p.SendBatch(s.within(0), &pgx.Batch{}).Tx() == nil)
		c.Release()
	}},
}

// ended is kind for an end whose error may come from the connection that was closed for it.
func ended(err error) string {
	if err == nil {
		return "none"
	}
	return "canceled"
}
