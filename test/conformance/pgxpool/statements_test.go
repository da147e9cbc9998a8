package pgxpool_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// both runs something on a pool and on a connection of it.
func both(what func(s *side, p pool, q starter)) func(*side) {
	return func(s *side) {
		p := s.pool(settings{params: one})
		what(s, p, p)
		s.say("after the pool's: acquired %d, total %d", p.Stat().AcquiredConns(), p.Stat().TotalConns())
		c := s.acquire(p)
		what(s, p, c)
		c.Release()
		s.say("after the connection's: acquired %d, total %d", p.Stat().AcquiredConns(), p.Stat().TotalConns())
	}
}

type panickingValue struct{}

func (panickingValue) Value() (driver.Value, error) { panic("oh") }

var statementCases = []behaviour{
	{name: "Exec tells what it did", run: both(func(s *side, _ pool, q starter) {
		t := s.table("n int")
		tag, err := q.Exec(s.ctx, "insert into "+t+" select generate_series(1, $1)", 3)
		s.say("%s, %d rows, %s", tag, tag.RowsAffected(), kind(err))
		tag, err = q.Exec(s.ctx, "update "+t+" set n = 7 where n > 1")
		s.say("%s, %s, in the table: %d", tag, kind(err), s.count(t+" where n = 7"))
	})},
	{name: "Exec that fails", run: both(func(s *side, _ pool, q starter) {
		tag, err := q.Exec(s.ctx, "selct 1")
		s.say("%q, %s", tag.String(), kind(err))
		_, err = q.Exec(s.ctx, "select 1/$1::int", 0)
		s.ends(err)
		_, err = q.Exec(s.ctx, "select 1", "too many")
		s.say("an argument too many: %v", err != nil)
		_, err = q.Exec(s.within(0), "select 1")
		s.ends(err)
	})},
	{name: "Exec of several statements", run: both(func(s *side, _ pool, q starter) {
		t := s.table("n int")
		tag, err := q.Exec(s.ctx, "insert into "+t+" values (1); insert into "+t+" values (2), (3)")
		s.say("%s, %s, %d", tag, kind(err), s.count(t))
	})},
	{name: "all exec modes", run: both(func(s *side, _ pool, q starter) {
		for _, mode := range []pgx.QueryExecMode{
			pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
			pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
		} {
			var n int
			err := q.QueryRow(s.ctx, "select $1::int + 1", mode, 6).Scan(&n)
			s.say("%v: %d, %s", mode, n, kind(err))
		}
	})},
	{name: "result formats and named arguments", run: both(func(s *side, _ pool, q starter) {
		var text []byte
		s.ok(q.QueryRow(s.ctx, "select 7::int4", pgx.QueryResultFormats{pgx.BinaryFormatCode}).Scan((*pgtypeBytes)(&text)))
		s.say("%v", text)
		var n int
		s.ok(q.QueryRow(s.ctx, "select @a::int * @b::int", pgx.NamedArgs{"a": 6, "b": 7}).Scan(&n))
		s.say("%d", n)
	})},
	{name: "rows to their end", run: func(s *side) {
		p := s.pool(settings{params: one})
		rows, err := p.Query(s.ctx, "select generate_series(1, $1) as n", 10)
		s.ok(err)
		s.say("acquired %d, column %s", p.Stat().AcquiredConns(), rows.FieldDescriptions()[0].Name)
		sum, n := 0, 0
		for rows.Next() {
			s.ok(rows.Scan(&n))
			sum += n
		}
		s.say("%d, %s, %s, acquired %d", sum, kind(rows.Err()), rows.CommandTag(), p.Stat().AcquiredConns())
		s.say("and then: %v", rows.Next())
		rows.Close()
		rows.Close()
		s.say("acquired %d, total %d", p.Stat().AcquiredConns(), p.Stat().TotalConns())
	}},
	{name: "rows that are closed early", run: func(s *side) {
		p := s.pool(settings{params: one})
		rows, err := p.Query(s.ctx, "select generate_series(1, 1000)")
		s.ok(err)
		s.say("%v", rows.Next())
		rows.Close()
		s.say("%s, more: %v, acquired %d", kind(rows.Err()), rows.Next(), p.Stat().AcquiredConns())
		s.exec(p, "select 1")
		s.say("new: %d", p.Stat().NewConnsCount())
	}},
	{name: "Scan of rows that are closed", run: func(s *side) {
		p := s.pool(settings{params: one})
		rows, err := p.Query(s.ctx, "select 1")
		s.ok(err)
		rows.Close()
		s.say("%s", kind(rows.Err()))
		s.say("fails: %v, and then: %v", rows.Scan(new(int)) != nil, rows.Err() != nil)
	}},
	{name: "rows that fail in the middle", run: func(s *side) {
		p := s.pool(settings{params: one})
		rows, err := p.Query(s.ctx, "select 100 / (10 - n) from generate_series(1, 20) n")
		s.ends(err)
		seen := 0
		for rows.Next() {
			seen++
		}
		s.say("%d, %s, acquired %d", seen, kind(rows.Err()), p.Stat().AcquiredConns())
	}},
	{name: "a query that fails", run: func(s *side) {
		p := s.pool(settings{params: one})
		rows, err := p.Query(s.ctx, "selct 1")
		s.say("%s, %v, %s, %s", kind(err), rows.Next(), kind(rows.Err()), rows.CommandTag())
		s.ends(rows.Scan(new(int)))
		_, err = rows.Values()
		s.ends(err)
		rows.Close()
		s.say("acquired %d, total %d", p.Stat().AcquiredConns(), p.Stat().TotalConns())
		_, err = p.Query(s.within(0), "select 1")
		s.ends(err)
	}},
	{name: "rows whose error is looked at only", run: both(func(s *side, _ pool, q starter) {
		rows, _ := q.Query(s.ctx, "select * from nowhere")
		_, err := pgx.CollectRows(rows, pgx.RowTo[int])
		s.ends(err)
	})},
	{name: "Scan that fails gives the connection back", run: func(s *side) {
		p := s.pool(settings{params: one})
		rows, err := p.Query(s.ctx, "select 'x' from generate_series(1, 3)")
		s.ok(err)
		s.say("%v", rows.Next())
		s.say("fails: %v", rows.Scan(new(int)) != nil)
		s.say("acquired %d, %v, %v", p.Stat().AcquiredConns(), rows.Next(), rows.Err() != nil)
		s.exec(p, "select 1")
		s.say("new: %d", p.Stat().NewConnsCount())
	}},
	{name: "Scan of too few columns", run: both(func(s *side, _ pool, q starter) {
		s.say("fails: %v", q.QueryRow(s.ctx, "select 1, 2").Scan(new(int)) != nil)
	})},
	{name: "values", run: both(func(s *side, _ pool, q starter) {
		rows, err := q.Query(s.ctx, "select 1::int4, 'a'::text, null::int, true, 1.5::float8, array[1, 2]")
		s.ok(err)
		s.say("%v", rows.Next())
		values, err := rows.Values()
		s.say("%v, %s, raw: %d", values, kind(err), len(rows.RawValues()))
		s.say("%v", rows.Conn() != nil)
		rows.Close()
	})},
	{name: "QueryRow", run: both(func(s *side, _ pool, q starter) {
		var what, who string
		s.ends(q.QueryRow(s.ctx, "select 'hello', $1::text", "world").Scan(&what, &who))
		s.say("%s %s", what, who)
	})},
	{name: "QueryRow without a row", run: both(func(s *side, _ pool, q starter) {
		err := q.QueryRow(s.ctx, "select 1 where false").Scan(nil)
		s.say("it is pgx.ErrNoRows itself: %v", err == pgx.ErrNoRows)
	})},
	{name: "QueryRow with several rows", run: both(func(s *side, _ pool, q starter) {
		var n int
		s.ends(q.QueryRow(s.ctx, "select generate_series(5, 9)").Scan(&n))
		s.say("%d", n)
	})},
	{name: "QueryRow that fails", run: both(func(s *side, _ pool, q starter) {
		s.ends(q.QueryRow(s.ctx, "selct 1").Scan(new(int)))
		s.ends(q.QueryRow(s.ctx, "select 1/0").Scan(new(int)))
		s.ends(q.QueryRow(s.within(0), "select 1").Scan(new(int)))
	})},
	{name: "QueryRow that fails after its row", run: both(func(s *side, _ pool, q starter) {
		s.ends(q.QueryRow(s.ctx, "select 1 / (2 - n) from generate_series(1, 2) n").Scan(new(int)))
	})},
	{name: "QueryRow into memory of the driver's", run: both(func(s *side, _ pool, q starter) {
		s.say("fails: %v", q.QueryRow(s.ctx, "select 'a'").Scan(new(pgtype.DriverBytes)) != nil)
	})},
	{name: "a panic in Scan gives the connection back", run: func(s *side) {
		p := s.pool(settings{params: one})
		s.say("panics: %v", panics(func() {
			var nothing *string
			_ = p.QueryRow(s.ctx, "select 'hello'").Scan(nothing)
		}) != "")
		s.until("it is back", func() bool { return p.Stat().AcquiredConns() == 0 })
		s.exec(p, "select 1")
	}},
	{name: "pgx's collectors", run: both(func(s *side, _ pool, q starter) {
		rows, _ := q.Query(s.ctx, "select n, n * n as square from generate_series(1, 3) n")
		type pair struct{ N, Square int }
		pairs, err := pgx.CollectRows(rows, pgx.RowToStructByName[pair])
		s.say("%v, %s", pairs, kind(err))
		rows, _ = q.Query(s.ctx, "select generate_series(1, 2)")
		_, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[int])
		s.ends(err)
		rows, _ = q.Query(s.ctx, "select generate_series(1, 4)")
		n, sum := 0, 0
		_, err = pgx.ForEachRow(rows, []any{&n}, func() error { sum += n; return nil })
		s.say("%d, %s", sum, kind(err))
		rows, _ = q.Query(s.ctx, "select generate_series(1, 4)")
		_, err = pgx.ForEachRow(rows, []any{&n}, func() error { return errHook })
		s.ends(err)
	})},
	{name: "a second statement while rows are unread", run: func(s *side) {
		p := s.pool(settings{params: one})
		c := s.acquire(p)
		rows, err := c.Query(s.ctx, "select generate_series(1, 10)")
		s.ok(err)
		_, err = c.Exec(s.ctx, "select 1")
		s.ends(err)
		rows.Close()
		s.ends(rows.Err())
		s.exec(c, "select 1")
	}},
	{name: "Begin while rows are unread", differs: &difference{
		row:    "`Begin`, `Commit` or `Rollback` while rows are unread",
		theirs: []string{"busy", "the rows go on: false"},
		ours:   []string{"busy", "the rows go on: true"},
	}, run: func(s *side) {
		p := s.pool(settings{params: one})
		c := s.acquire(p)
		rows, err := c.Query(s.ctx, "select generate_series(1, 10)")
		s.ok(err)
		_, err = c.Begin(s.ctx)
		s.ends(err)
		rows.Close()
		s.say("the rows go on: %v", rows.Err() == nil)
		c.Release()
	}},
	{name: "Release with unread rows closes the connection", run: func(s *side) {
		p := s.pool(settings{params: one})
		c := s.acquire(p)
		first := pid(c)
		_, err := c.Query(s.ctx, "select generate_series(1, 10)")
		s.ok(err)
		c.Release()
		s.until("it is closed", func() bool { return p.Stat().TotalConns() == 0 })
		s.say("another: %v", s.pidOf(p) != first)
	}},
	{name: "Release of a closed connection", run: func(s *side) {
		p := s.pool(settings{params: one})
		c := s.acquire(p)
		s.ok(c.Conn().Close(s.ctx))
		s.say("total %d", p.Stat().TotalConns())
		c.Release()
		s.until("it is gone", func() bool { return p.Stat().TotalConns() == 0 })
		s.exec(p, "select 1")
		s.say("new: %d", p.Stat().NewConnsCount())
	}},
	{name: "a connection that dies in a statement", run: func(s *side) {
		p := s.pool(settings{params: one})
		_, err := p.Exec(s.ctx, "select pg_terminate_backend(pg_backend_pid())")
		s.ends(err)
		s.until("it is gone", func() bool { return p.Stat().TotalConns() == 0 })
		s.exec(p, "select 1")
	}},
	{name: "a statement that takes longer than its context", differs: &difference{
		row:    "A statement whose context ends",
		theirs: []string{"deadline, the same connection serves on: false"},
		ours:   []string{"deadline, the same connection serves on: true"},
	}, run: func(s *side) {
		p := s.pool(settings{params: one})
		var err error
		survived := false
		for tries := 0; tries < 20 && !survived; tries++ { // a server that is busy does not always answer in time
			first := s.pidOf(p)
			_, err = p.Exec(s.within(20*time.Millisecond), "select pg_sleep(10)")
			survived = s.pidOf(p) == first
		}
		s.say("%s, the same connection serves on: %v", kind(err), survived)
	}},
	{name: "what the error of a deadline is", differs: &difference{
		row:    "The error of a statement whose context ends",
		theirs: []string{"deadline, a time-out: true, safe to retry: false", "with the server's answer: false"},
		ours:   []string{"deadline, a time-out: true, safe to retry: false", "with the server's answer: true"},
	}, run: func(s *side) {
		p := s.pool(settings{params: one})
		var err error
		answered := false
		for tries := 0; tries < 10 && !answered; tries++ {
			c := s.acquire(p)
			_, err = c.Exec(s.within(100*time.Millisecond), "select pg_sleep(10)")
			c.Release()
			answered = errors.As(err, new(*pgconn.PgError))
		}
		s.say("%s, a time-out: %v, safe to retry: %v", kind(err), pgconn.Timeout(err), pgconn.SafeToRetry(err))
		s.say("with the server's answer: %v", answered)
	}},
	{name: "a statement is canceled", run: func(s *side) {
		p := s.pool(settings{params: one})
		ctx, cancel := context.WithCancel(s.ctx)
		time.AfterFunc(50*time.Millisecond, cancel)
		began := time.Now()
		_, err := p.Exec(ctx, "select pg_sleep(10)")
		s.say("%s, in time: %v", kind(err), time.Since(began) < 5*time.Second)
		s.until("it does not run on", func() bool {
			return s.count("pg_stat_activity where query like 'select pg_sleep(10)%' and state = 'active'") == 0
		})
		s.exec(p, "select 1")
	}},
	{name: "statement_timeout", run: both(func(s *side, _ pool, q starter) {
		_, err := q.Exec(s.ctx, "set local statement_timeout = 20; select pg_sleep(5)")
		s.ends(err)
	})},
	{name: "settings of a session", differs: sessionState("time zone: Asia/Tokyo", "time zone: UTC"), run: func(s *side) {
		p := s.pool(settings{params: one + " timezone=UTC"})
		s.exec(p, "set time zone 'Asia/Tokyo'")
		var zone string
		s.ok(p.QueryRow(s.ctx, "show time zone").Scan(&zone))
		s.say("time zone: %s", zone)
	}},
	{name: "temporary tables", differs: sessionState("none", "PgError 42P01"), run: func(s *side) {
		p := s.pool(settings{params: one})
		s.exec(p, "create temporary table only_here (n int)")
		_, err := p.Exec(s.ctx, "insert into only_here values (1)")
		s.ends(err)
	}},
	{name: "advisory locks", differs: sessionState("held: 1", "held: 0"), run: func(s *side) {
		p := s.pool(settings{params: one})
		n := s.pidOf(p)
		s.exec(p, "select pg_advisory_lock(7)")
		s.exec(p, "select 1")
		var held int
		s.ok(s.direct.QueryRow(s.ctx, "select count(*) from pg_locks where locktype = 'advisory' and pid = $1", n).Scan(&held))
		s.say("held: %d", held)
	}},
	{name: "LISTEN", differs: sessionState("channels: 1", "channels: 0"), run: func(s *side) {
		p := s.pool(settings{params: one})
		s.exec(p, "listen news")
		var n int
		s.ok(p.QueryRow(s.ctx, "select count(*) from pg_listening_channels()").Scan(&n))
		s.say("channels: %d", n)
	}},
	{name: "PREPARE", differs: sessionState("none", "PgError 26000"), run: func(s *side) {
		p := s.pool(settings{params: one})
		s.exec(p, "prepare seven as select 7")
		_, err := p.Exec(s.ctx, "execute seven")
		s.ends(err)
	}},
	{name: "DISCARD ALL", differs: sessionState("PgError 26000", "none"), run: func(s *side) {
		p := s.pool(settings{params: one})
		s.ok(p.QueryRow(s.ctx, "select $1::int + 1", 7).Scan(new(int)))
		s.exec(p, "discard all")
		s.ends(p.QueryRow(s.ctx, "select $1::int + 1", 7).Scan(new(int)))
	}},
	{name: "notifications on a connection that is held", run: func(s *side) {
		p := s.pool(settings{params: one})
		c := s.acquire(p)
		s.exec(c, "listen news")
		s.exec(s.direct, "notify news, 'hello'")
		n, err := c.Conn().WaitForNotification(s.ctx)
		s.ok(err)
		s.say("%s: %s", n.Channel, n.Payload)
		c.Release()
	}},
	{name: "what set up the session stays", run: func(s *side) {
		p := s.pool(settings{params: one, afterConnect: func(ctx context.Context, c *pgx.Conn) error {
			_, err := c.Exec(ctx, "set time zone 'Asia/Tokyo'")
			return err
		}})
		for range 3 {
			var zone string
			s.ok(p.QueryRow(s.ctx, "show time zone").Scan(&zone))
			s.note(zone)
		}
		s.say("new: %d", p.Stat().NewConnsCount())
	}},
	{name: "a change beside what AfterConnect has set up", differs: sessionState(
		"Asia/Tokyo, 1234ms, the same connection: true", "Asia/Tokyo, 0, the same connection: false",
	), run: func(s *side) {
		p := s.pool(settings{params: one, afterConnect: func(ctx context.Context, c *pgx.Conn) error {
			_, err := c.Exec(ctx, "set time zone 'Asia/Tokyo'")
			return err
		}})
		first := s.pidOf(p)
		s.exec(p, "set lock_timeout = 1234")
		var zone, timeout string
		var now uint32
		const all = "select current_setting('timezone'), current_setting('lock_timeout'), pg_backend_pid()"
		s.ok(p.QueryRow(s.ctx, all).Scan(&zone, &timeout, &now))
		s.say("%s, %s, the same connection: %v", zone, timeout, now == first)
	}},
	{name: "SET LOCAL", run: func(s *side) {
		p := s.pool(settings{params: one})
		first := s.pidOf(p)
		s.ok(pgx.BeginFunc(s.ctx, p, func(tx pgx.Tx) error {
			_, err := tx.Exec(s.ctx, "set local lock_timeout = 1234")
			return err
		}))
		var timeout string
		s.ok(p.QueryRow(s.ctx, "show lock_timeout").Scan(&timeout))
		s.say("%s, the same connection: %v", timeout, s.pidOf(p) == first)
	}},
	{name: "parameters of the connection string", run: func(s *side) {
		p := s.pool(settings{params: "application_name=conforms search_path=pg_catalog statement_timeout=12345"})
		for _, name := range []string{"application_name", "search_path", "statement_timeout"} {
			var value string
			s.ok(p.QueryRow(s.ctx, "select current_setting($1)", name).Scan(&value))
			s.say("%s = %s", name, value)
		}
	}},
	{name: "parameters that the pool adds", differs: &difference{
		row:    "Start-up parameters",
		theirs: []string{"client_connection_check_interval = 0"},
		ours:   []string{"client_connection_check_interval = 2s"},
	}, run: func(s *side) {
		p := s.pool(settings{})
		var value string
		s.ok(p.QueryRow(s.ctx, "show client_connection_check_interval").Scan(&value))
		s.say("client_connection_check_interval = %s", value)
	}},
	{name: "CopyFrom", run: both(func(s *side, _ pool, q starter) {
		t := s.table("n int, t text, at timestamptz")
		at := time.Date(2010, 2, 3, 4, 5, 6, 0, time.UTC)
		n, err := q.CopyFrom(s.ctx, pgx.Identifier{t}, []string{"n", "t", "at"}, pgx.CopyFromRows([][]any{{1, "a", at}, {nil, nil, nil}}))
		s.say("%d, %s, %d", n, kind(err), s.count(t))
		var back time.Time
		s.ok(q.QueryRow(s.ctx, "select at from "+t+" where n = 1").Scan(&back))
		s.say("%v", back.Equal(at))
	})},
	{name: "CopyFrom that fails", run: both(func(s *side, _ pool, q starter) {
		t := s.table("n int primary key")
		n, err := q.CopyFrom(s.ctx, pgx.Identifier{t}, []string{"n"}, pgx.CopyFromRows([][]any{{1}, {1}}))
		s.say("%d, %s, %d", n, kind(err), s.count(t))
		_, err = q.CopyFrom(s.ctx, pgx.Identifier{"nowhere"}, []string{"n"}, pgx.CopyFromRows(nil))
		s.ends(err)
		_, err = q.CopyFrom(s.ctx, pgx.Identifier{t}, []string{"n"}, pgx.CopyFromFunc(func() ([]any, error) { return nil, errHook }))
		s.say("%v", err != nil)
		s.say("%d", s.count(t))
	})},
	{name: "a panic of a copy's source", fatal: true, differs: &difference{
		row:    "A panic in a hook, a tracer or a source of rows",
		theirs: []string{"the process ended"},
		ours:   []string{"its caller hears of it: true", "and the pool serves on"},
	}, run: func(s *side) {
		p := s.pool(settings{params: one})
		t := s.table("n int")
		what := panics(func() {
			_, _ = p.CopyFrom(s.ctx, pgx.Identifier{t}, []string{"n"}, pgx.CopyFromFunc(func() ([]any, error) { panic("oh") }))
		})
		s.say("its caller hears of it: %v", what != "")
		s.exec(p, "select 1")
		s.say("and the pool serves on")
	}},
	{name: "a value that CopyFrom encodes panics", fatal: true, run: func(s *side) {
		p, t := s.pool(settings{params: one}), s.table("n text")
		_, err := p.CopyFrom(s.ctx, pgx.Identifier{t}, []string{"n"}, pgx.CopyFromRows([][]any{{panickingValue{}}}))
		s.ends(err)
	}},
	{name: "many callers at once", run: func(s *side) {
		p := s.pool(settings{params: "pool_max_conns=4"})
		var callers sync.WaitGroup
		errs := make(chan error, 100)
		for i := range 100 {
			callers.Go(func() {
				var n int
				err := p.QueryRow(s.ctx, "select $1::int", i).Scan(&n)
				if err == nil && n != i {
					err = errors.New("somebody else's answer")
				}
				errs <- err
			})
		}
		callers.Wait()
		close(errs)
		for err := range errs {
			s.ok(err)
		}
		s.say("acquired %d, at most 4: %v", p.Stat().AcquiredConns(), p.Stat().TotalConns() <= 4)
	}},
	{name: "notices", run: func(s *side) {
		var mu sync.Mutex
		var heard []string
		p := s.pool(settings{conn: func(c *pgx.ConnConfig) {
			c.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
				mu.Lock()
				defer mu.Unlock()
				heard = append(heard, n.Message)
			}
		}})
		s.exec(p, "drop table if exists nowhere_at_all")
		mu.Lock()
		defer mu.Unlock()
		s.say("%v", heard)
	}},
	{name: "a tracer of statements", run: func(s *side) {
		var heard []string
		nothing := func(ctx context.Context) context.Context { return ctx }
		p := s.pool(settings{params: one, trace: &spy{
			start: nothing, end: func(context.Context, *pgx.Conn, error) {}, release: func(*pgx.Conn) {},
			query: func(sql string) { heard = append(heard, sql) },
		}})
		s.exec(p, "select 1")
		s.ok(p.QueryRow(s.ctx, "select $1::int", 2).Scan(new(int)))
		s.ok(pgx.BeginFunc(s.ctx, p, func(tx pgx.Tx) error { _, err := tx.Exec(s.ctx, "select 3"); return err }))
		s.say("%q", heard)
	}},
}

// pgtypeBytes takes a value as it comes.
type pgtypeBytes []byte

func (b *pgtypeBytes) ScanBytes(v []byte) error {
	*b = append((*b)[:0], v...)
	return nil
}

// sessionState is what a session keeps after its lease, and does not here.
func sessionState(theirs, ours string) *difference {
	return &difference{row: "What a lease has changed about its session", theirs: []string{theirs}, ours: []string{ours}}
}
