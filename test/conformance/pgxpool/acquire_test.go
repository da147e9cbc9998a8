package pgxpool_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/jackc/puddle/v2"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// one is a pool of one connection.
const one = "pool_max_conns=1"

var acquireCases = []behaviour{
	{name: "a connection is used again", run: func(s *side) {
		p := s.pool(settings{})
		c := s.acquire(p)
		first := pid(c)
		c.Release()
		c = s.acquire(p)
		s.say("same: %v", pid(c) == first)
		c.Release()
		s.say("again: %v", s.pidOf(p) == first)
	}},
	{name: "AcquireFunc gives a connection and takes it back", run: func(s *side) {
		p := s.pool(settings{params: one})
		var n int
		err := p.AcquireFunc(s.ctx, func(c conn) error {
			s.say("acquired %d", p.Stat().AcquiredConns())
			return c.QueryRow(s.ctx, "select 7").Scan(&n)
		})
		s.say("%d, %s, acquired %d", n, kind(err), p.Stat().AcquiredConns())
	}},
	{name: "AcquireFunc returns the function's error", run: func(s *side) {
		p := s.pool(settings{params: one})
		s.say("%v", errors.Is(p.AcquireFunc(s.ctx, func(conn) error { return errHook }), errHook))
		s.say("acquired %d", p.Stat().AcquiredConns())
	}},
	{name: "AcquireFunc releases when the function panics", run: func(s *side) {
		p := s.pool(settings{params: one})
		s.note(panics(func() { _ = p.AcquireFunc(s.ctx, func(conn) error { panic("oh") }) }))
		s.say("acquired %d", p.Stat().AcquiredConns())
	}},
	{name: "AcquireFunc with a context that has ended", run: func(s *side) {
		p := s.pool(settings{})
		called := false
		err := p.AcquireFunc(s.within(0), func(conn) error { called = true; return nil })
		s.say("%s, called: %v", kind(err), called)
	}},
	{name: "Acquire with a context that has ended", run: func(s *side) {
		p := s.pool(settings{})
		ctx, cancel := context.WithCancel(s.ctx)
		cancel()
		_, err := p.Acquire(ctx)
		s.say("canceled: %v", err == context.Canceled)
		_, err = p.Acquire(s.within(0))
		s.say("deadline: %v", err == context.DeadlineExceeded)
		s.say("dialled: %d, canceled: %d", p.Stat().NewConnsCount(), p.Stat().CanceledAcquireCount())
	}},
	{name: "Acquire waits until its deadline", run: func(s *side) {
		p := s.pool(settings{params: one})
		c := s.acquire(p)
		began := time.Now()
		_, err := p.Acquire(s.within(50 * time.Millisecond))
		s.say("%s, waited: %v", kind(err), time.Since(began) >= 50*time.Millisecond)
		c.Release()
		s.say("canceled: %d", p.Stat().CanceledAcquireCount())
	}},
	{name: "the error of a wait in vain is the context's own", differs: &difference{
		row:    "The error of an `Acquire` whose context ends while it waits",
		theirs: []string{"equal: true", "says who holds the connections: false"},
		ours:   []string{"equal: false", "says who holds the connections: true"},
	}, run: func(s *side) {
		p := s.pool(settings{params: one})
		c := s.acquire(p)
		defer c.Release()
		_, err := p.Acquire(s.within(20 * time.Millisecond))
		s.say("equal: %v", err == context.DeadlineExceeded)
		var exhausted *poolactor.ExhaustedError
		s.say("says who holds the connections: %v", errors.As(err, &exhausted) && len(exhausted.Holders) == 1)
	}},
	{name: "Acquire is canceled while it waits", run: func(s *side) {
		p := s.pool(settings{params: one})
		c := s.acquire(p)
		defer c.Release()
		ctx, cancel := context.WithCancel(s.ctx)
		time.AfterFunc(20*time.Millisecond, cancel)
		_, err := p.Acquire(ctx)
		s.ends(err)
	}},
	{name: "a release serves who waits", run: func(s *side) {
		p := s.pool(settings{params: one})
		c := s.acquire(p)
		first := pid(c)
		time.AfterFunc(20*time.Millisecond, c.Release)
		c = s.acquire(p)
		s.say("same: %v", pid(c) == first)
		c.Release()
		s.say("waited: %v", p.Stat().EmptyAcquireCount())
	}},
	{name: "there are no more connections than allowed", run: func(s *side) {
		p := s.pool(settings{params: "pool_max_conns=3"})
		var most, now atomic.Int32
		var callers sync.WaitGroup
		for range 20 {
			callers.Go(func() {
				c, err := p.Acquire(s.ctx)
				if err != nil {
					return
				}
				defer c.Release()
				for n := now.Add(1); ; {
					if m := most.Load(); n <= m || most.CompareAndSwap(m, n) {
						break
					}
				}
				_, _ = c.Exec(s.ctx, "select pg_sleep(0.005)")
				now.Add(-1)
			})
		}
		callers.Wait()
		s.say("at most 3: %v, acquires: %d, total: %d", most.Load() <= 3, p.Stat().AcquireCount(), p.Stat().TotalConns())
	}},
	{name: "Release twice", run: func(s *side) {
		p := s.pool(settings{params: one})
		c := s.acquire(p)
		c.Release()
		other := s.acquire(p)
		c.Release()
		s.say("acquired %d", p.Stat().AcquiredConns())
		s.exec(other, "select 1")
		other.Release()
		s.say("acquired %d", p.Stat().AcquiredConns())
	}},
	{name: "Release by another goroutine", run: func(s *side) {
		p := s.pool(settings{params: one})
		c := s.acquire(p)
		done := make(chan struct{})
		go func() { c.Release(); close(done) }()
		<-done
		s.exec(p, "select 1")
		s.say("acquired %d, total %d", p.Stat().AcquiredConns(), p.Stat().TotalConns())
	}},
	{name: "a connection after Release", differs: &difference{
		row:    "An acquired connection after its `Release`",
		theirs: []string{"Exec panics: true", "Conn panics: true", "Ping panics: true"},
		ours:   []string{"Exec panics: false", "released", "Conn panics: false", "Ping panics: false", "released"},
	}, run: func(s *side) {
		p := s.pool(settings{params: one})
		c := s.acquire(p)
		c.Release()
		var err error
		note := func(what string, f func()) {
			err = nil
			s.say("%s panics: %v", what, panics(f) != "")
			if err != nil {
				s.ends(err)
			}
		}
		note("Exec", func() { _, err = c.Exec(s.ctx, "select 1") })
		note("Conn", func() { _ = c.Conn() })
		note("Ping", func() { err = c.Ping(s.ctx) })
	}},
	{name: "AcquireAllIdle takes what is idle", run: func(s *side) {
		p := s.pool(settings{params: "pool_max_conns=4"})
		var all []conn
		for range 3 {
			all = append(all, s.acquire(p))
		}
		for _, c := range all[1:] {
			c.Release()
		}
		before := p.Stat().AcquireCount()
		idle := p.AcquireAllIdle(s.ctx)
		s.say("%d, acquired %d, counted %d", len(idle), p.Stat().AcquiredConns(), p.Stat().AcquireCount()-before)
		s.say("and then: %d", len(p.AcquireAllIdle(s.ctx)))
		for _, c := range append(idle, all[0]) {
			s.exec(c, "select 1")
			c.Release()
		}
		s.say("acquired %d", p.Stat().AcquiredConns())
	}},
	{name: "AcquireAllIdle opens nothing", run: func(s *side) {
		p := s.pool(settings{})
		s.say("%d, new: %d", len(p.AcquireAllIdle(s.ctx)), p.Stat().NewConnsCount())
	}},
	{name: "AcquireAllIdle asks PrepareConn", run: func(s *side) {
		calls := 0
		p := s.pool(settings{params: "pool_max_conns=4", prepareConn: func(context.Context, *pgx.Conn) (bool, error) {
			switch calls++; calls {
			case 5: // the first three are for the acquires
				return false, nil
			case 6:
				return true, errHook
			default:
				return true, nil
			}
		}})
		var all []conn
		for range 3 {
			all = append(all, s.acquire(p))
		}
		for _, c := range all {
			c.Release()
		}
		idle := p.AcquireAllIdle(s.ctx)
		s.say("%d of 3, asked %d times", len(idle), calls-3)
		for _, c := range idle {
			c.Release()
		}
		s.until("the others are closed", func() bool { return p.Stat().TotalConns() == 1 })
	}},
	{name: "Hijack takes a connection out", run: func(s *side) {
		p := s.pool(settings{params: one})
		c := s.acquire(p)
		before := p.Stat().TotalConns()
		raw := c.Hijack()
		s.say("%d fewer", before-p.Stat().TotalConns())
		var n int
		s.say("%s, %d", kind(raw.QueryRow(s.ctx, "select 7").Scan(&n)), n)
		s.exec(p, "select 1")
		s.say("the pool has another: %v", s.pidOf(p) != raw.PgConn().PID())
		c.Release()
		s.ok(raw.Ping(s.ctx))
		s.say("closes: %s", kind(raw.Close(s.ctx)))
	}},
	{name: "Hijack twice or after Release", run: func(s *side) {
		p := s.pool(settings{})
		c := s.acquire(p)
		raw := c.Hijack()
		s.note(panics(func() { c.Hijack() }))
		s.ok(raw.Close(s.ctx))
		c = s.acquire(p)
		c.Release()
		s.note(panics(func() { c.Hijack() }))
	}},
	{name: "Hijack in the middle of a result", differs: &difference{
		row:    "`Hijack` while rows are unread",
		theirs: []string{"panics: false"},
		ours:   []string{"panics: true", "and works when they are closed"},
	}, run: func(s *side) {
		p := s.pool(settings{})
		c := s.acquire(p)
		rows, err := c.Query(s.ctx, "select generate_series(1, 10)")
		s.ok(err)
		var raw *pgx.Conn
		s.say("panics: %v", panics(func() { raw = c.Hijack() }) != "")
		rows.Close()
		if raw == nil {
			raw = c.Hijack()
			s.say("and works when they are closed")
		}
		s.ok(raw.Close(s.ctx))
	}},
	{name: "Conn is pgx's own", run: func(s *side) {
		p := s.pool(settings{})
		c := s.acquire(p)
		defer c.Release()
		raw := c.Conn()
		s.say("same each time: %v, types: %v", raw == c.Conn(), raw.TypeMap() != nil)
		_, err := raw.Prepare(s.ctx, "seven", "select 7")
		s.ok(err)
		var n int
		s.ok(c.QueryRow(s.ctx, "seven").Scan(&n))
		s.say("prepared there, used here: %d", n)
		s.say("config: %v", raw.Config().Database != "")
	}},
	{name: "the server is down", differs: &difference{
		row:    "A server that is down",
		theirs: []string{"another", "at once: true"},
		ours:   []string{"deadline", "at once: false", "says since when: true", "and serves who still waits when it is back"},
	}, run: func(s *side) {
		down, conn := unreachable()
		down.Store(true)
		p := s.pool(settings{conn: conn})
		began := time.Now()
		_, err := p.Acquire(s.within(500 * time.Millisecond))
		s.ends(err)
		s.say("at once: %v", time.Since(began) < 400*time.Millisecond)
		var unavailable *poolactor.UnavailableError
		if errors.As(err, &unavailable) {
			s.say("says since when: %v", !unavailable.Since.IsZero())
			time.AfterFunc(50*time.Millisecond, func() { down.Store(false) })
			s.ok(p.Ping(s.ctx))
			s.say("and serves who still waits when it is back")
		}
	}},
	{name: "two servers in the connection string", differs: &difference{
		row:    "Several servers in the connection string",
		theirs: []string{"second", "the first is back: first", "by chance: both", "one at a time: both"},
		ours:   []string{"second", "the first is back: second", "by chance: one", "one at a time: both"},
	}, run: func(s *side) {
		var served atomic.Value
		down, two := twoHosts(&served)
		down.Store(true)
		next := func(p pool) any {
			p.Reset()
			s.until("a server answers", func() bool { return p.Ping(s.ctx) == nil })
			return served.Load()
		}
		spread := func(hook func(context.Context, *pgx.ConnConfig) error) string {
			p, hosts := s.pool(settings{params: one, conn: two, beforeConnect: hook}), map[any]bool{}
			for range 20 {
				hosts[next(p)] = true
			}
			if len(hosts) == 1 {
				return "one"
			}
			return "both"
		}
		p := s.pool(settings{params: one, conn: two})
		s.say("%v", next(p))
		down.Store(false)
		s.say("the first is back: %v", next(p))
		s.say("by chance: %s", spread(stdlib.RandomizeHostOrderFunc))
		var turn atomic.Int32
		s.say("one at a time: %s", spread(func(_ context.Context, c *pgx.ConnConfig) error {
			if turn.Add(1)%2 == 0 {
				c.Host = "second"
			}
			c.Fallbacks = nil
			return nil
		}))
	}},
	{name: "a database that does not exist", run: func(s *side) {
		p := s.pool(settings{conn: func(c *pgx.ConnConfig) { c.Database = "nowhere" }})
		_, err := p.Acquire(s.ctx)
		s.ends(err)
		_, err = p.Exec(s.ctx, "select 1")
		s.ends(err)
	}},
	{name: "a role that does not exist", run: func(s *side) {
		p := s.pool(settings{conn: func(c *pgx.ConnConfig) { c.User = "nobody_at_all" }})
		s.ends(p.Ping(s.ctx))
	}},
	{name: "an idle connection that was terminated", differs: &difference{
		row:    "A connection that died while nobody used it",
		theirs: []string{"the next statement fails"},
		ours:   []string{"the next statement works"},
	}, run: func(s *side) {
		p := s.pool(settings{params: one})
		s.terminate(s.pidOf(p))
		if _, err := p.Exec(s.ctx, "select 1"); err != nil {
			s.say("the next statement fails")
		} else {
			s.say("the next statement works")
		}
	}},
	{name: "an idle connection that nobody asks for was terminated", differs: &difference{
		row:    "A connection that died while nobody used it",
		theirs: []string{"noticed: false"},
		ours:   []string{"noticed: true"},
	}, run: func(s *side) {
		p := s.pool(settings{params: one})
		s.terminate(s.pidOf(p))
		end := time.Now().Add(2 * time.Second)
		for p.Stat().TotalConns() > 0 && time.Now().Before(end) {
			<-time.After(5 * time.Millisecond)
		}
		s.say("noticed: %v", p.Stat().TotalConns() == 0)
	}},
	{name: "idle connections that were terminated a second ago", run: func(s *side) {
		p := s.pool(settings{params: "pool_max_conns=3"})
		var all []conn
		var pids []uint32
		for range 3 {
			c := s.acquire(p)
			all, pids = append(all, c), append(pids, pid(c))
		}
		for _, c := range all {
			c.Release()
		}
		s.terminate(pids...)
		<-time.After(1100 * time.Millisecond)
		s.say("%s, left: %d", kind(p.Ping(s.ctx)), p.Stat().TotalConns())
	}},
	{name: "Ping", run: func(s *side) {
		p := s.pool(settings{})
		s.ends(p.Ping(s.ctx))
		s.ends(p.Ping(s.within(0)))
		s.say("acquired %d", p.Stat().AcquiredConns())
	}},
	{name: "Close twice", run: func(s *side) {
		p := s.pool(settings{})
		s.exec(p, "select 1")
		p.Close()
		p.Close()
		s.say("total %d", p.Stat().TotalConns())
	}},
	{name: "a closed pool refuses everything", run: func(s *side) {
		p := s.pool(settings{})
		p.Close()
		_, err := p.Acquire(s.ctx)
		s.ends(err)
		s.ends(p.AcquireFunc(s.ctx, func(conn) error { return nil }))
		_, err = p.Exec(s.ctx, "select 1")
		s.ends(err)
		rows, err := p.Query(s.ctx, "select 1")
		s.say("%s, %s, %v", kind(err), kind(rows.Err()), rows.Next())
		s.ends(p.QueryRow(s.ctx, "select 1").Scan(new(int)))
		s.ends(p.Ping(s.ctx))
		_, err = p.Begin(s.ctx)
		s.ends(err)
		_, err = p.CopyFrom(s.ctx, pgx.Identifier{"t"}, nil, pgx.CopyFromRows(nil))
		s.ends(err)
		var b pgx.Batch
		b.BeginTx(pgx.TxOptions{})
		results := p.SendBatch(s.ctx, &b)
		s.say("%s, %s", kind(results.Close()), kind(results.Tx().Rollback(s.ctx)))
		s.say("idle: %d", len(p.AcquireAllIdle(s.ctx)))
		p.Reset()
		s.say("total %d", p.Stat().TotalConns())
	}},
	{name: "which error a closed pool has", differs: &difference{
		row:    "The error of a closed pool",
		theirs: []string{"puddle's: true, poolactor's: false"},
		ours:   []string{"puddle's: false, poolactor's: true"},
	}, run: func(s *side) {
		p := s.pool(settings{})
		p.Close()
		_, err := p.Acquire(s.ctx)
		s.say("puddle's: %v, poolactor's: %v", errors.Is(err, puddle.ErrClosedPool), errors.Is(err, poolactor.ErrClosed))
	}},
	{name: "Close closes the connections", run: func(s *side) {
		p := s.pool(settings{params: "pool_max_conns=2 application_name=closing"})
		a, b := s.acquire(p), s.acquire(p)
		a.Release()
		b.Release()
		s.say("before: %d", s.count("pg_stat_activity where application_name = 'closing'"))
		p.Close()
		s.until("the server has seen them go", func() bool {
			return s.count("pg_stat_activity where application_name = 'closing'") == 0
		})
	}},
	{name: "Close waits for a connection that is out", run: func(s *side) {
		p := s.pool(settings{params: "pool_max_conns=2"})
		c := s.acquire(p)
		closed := make(chan struct{})
		go func() { p.Close(); close(closed) }()
		s.until("it has begun", func() bool {
			_, err := p.Acquire(s.within(time.Millisecond))
			return kind(err) == "closed pool"
		})
		_, err := c.Exec(s.ctx, "select 1")
		s.say("it can still be used: %s", kind(err))
		c.Release()
		<-closed
		s.say("total %d", p.Stat().TotalConns())
	}},
	{name: "Close while a connection is never released", differs: &difference{
		row:    "`Close` while connections are out",
		theirs: []string{"it waits on", "the connection: none"},
		ours:   []string{"it returns", "the connection: revoked"},
	}, run: func(s *side) {
		p := s.pool(settings{params: one, drain: 50 * time.Millisecond})
		c := s.acquire(p)
		closed := make(chan struct{})
		go func() { p.Close(); close(closed) }()
		select {
		case <-closed:
			s.say("it returns")
		case <-time.After(time.Second):
			s.say("it waits on")
		}
		_, err := c.Exec(s.ctx, "select 1")
		s.say("the connection: %s", kind(err))
		c.Release()
		<-closed
	}},
	{name: "who waits when the pool is closed", differs: &difference{
		row:    "Calls that wait when the pool is closed",
		theirs: []string{"told before the connection is back: false"},
		ours:   []string{"told before the connection is back: true"},
	}, run: func(s *side) {
		p := s.pool(settings{params: one})
		c := s.acquire(p)
		told, closed := make(chan error, 1), make(chan struct{})
		go func() { _, err := p.Acquire(s.ctx); told <- err }()
		<-time.After(20 * time.Millisecond)
		go func() { p.Close(); close(closed) }()
		select {
		case err := <-told:
			s.say("told before the connection is back: %v", kind(err) == "closed pool")
		case <-time.After(300 * time.Millisecond):
			s.say("told before the connection is back: false")
		}
		c.Release()
		<-closed
	}},
	{name: "Reset closes what is idle", run: func(s *side) {
		p := s.pool(settings{params: one})
		first := s.pidOf(p)
		p.Reset()
		s.say("another: %v", s.pidOf(p) != first)
		s.until("one is left", func() bool { return p.Stat().TotalConns() == 1 })
		s.say("new: %d", p.Stat().NewConnsCount())
	}},
	{name: "Reset closes what is acquired when it comes back", run: func(s *side) {
		p := s.pool(settings{params: "pool_max_conns=2"})
		a, b := s.acquire(p), s.acquire(p)
		p.Reset()
		s.exec(a, "select 1")
		s.say("acquired %d", p.Stat().AcquiredConns())
		a.Release()
		b.Release()
		s.until("all are closed", func() bool { return p.Stat().TotalConns() == 0 })
		s.exec(p, "select 1")
		s.say("total %d", p.Stat().TotalConns())
	}},
	{name: "Reset in an outage", differs: &difference{
		row:    "`Reset` in an outage",
		theirs: []string{"a statement: another"},
		ours:   []string{"a statement: none"},
	}, run: func(s *side) {
		down, conn := unreachable()
		p := s.pool(settings{params: "pool_max_conns=3", conn: conn})
		c := s.acquire(p)
		down.Store(true)
		_, err := p.Acquire(s.within(100 * time.Millisecond))
		s.say("a second one: %v", err != nil)
		s.notes = nil // each in its own way
		c.Release()
		p.Reset()
		_, err = p.Exec(s.within(200*time.Millisecond), "select 1")
		s.say("a statement: %s", kind(err))
	}},
}
