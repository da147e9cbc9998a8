package pgxpool_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/tracelog"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// pids are server processes that hooks have seen.
type pids struct {
	mu  sync.Mutex
	all []uint32
}

func (p *pids) see(c *pgx.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, c.PgConn().PID())
}

func (p *pids) seen() []uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.all)
}

type valueKey struct{}

const abandonedPing = "A ping whose caller has left"

// pinged is a pool that pings its one connection before it hands it out, and its server, which is silent from now on.
func (s *side) pinged(params string) (pool, *silent) {
	server := &silent{farewell: make(chan string, 16)}
	p := s.pool(settings{
		params: one + " " + params, conn: server.config, drain: 100 * time.Millisecond,
		shouldPing: func(context.Context, *pgx.Conn, time.Duration) bool { return true },
	})
	s.after = append(s.after, server.cut) // Close would wait for what waits for the server
	s.acquire(p).Release()
	server.on.Store(true)
	return p, server
}

var hookCases = []behaviour{
	{name: "BeforeConnect changes what is dialled", run: func(s *side) {
		var calls atomic.Int32
		p := s.pool(settings{params: one, beforeConnect: func(_ context.Context, c *pgx.ConnConfig) error {
			calls.Add(1)
			_, there := c.RuntimeParams["application_name"]
			if there {
				return errors.New("this is no copy")
			}
			c.RuntimeParams["application_name"] = "changed"
			return nil
		}})
		for range 2 {
			var name string
			s.ok(p.QueryRow(s.ctx, "show application_name").Scan(&name))
			s.note(name)
			p.Reset()
		}
		s.say("called %d times", calls.Load())
	}},
	{name: "BeforeConnect sends the dial elsewhere", run: func(s *side) {
		p := s.pool(settings{conn: func(c *pgx.ConnConfig) { c.Host, c.Port = "192.0.2.1", 1 }, beforeConnect: func(_ context.Context, c *pgx.ConnConfig) error {
			right, err := pgx.ParseConfig(s.dsn)
			if err == nil {
				c.Host, c.Port = right.Host, right.Port
			}
			return err
		}})
		s.ends(p.Ping(s.ctx))
	}},
	{name: "BeforeConnect fails", differs: &difference{
		row:    "A hook that fails while a connection is opened",
		theirs: []string{"the hook's", "it was asked again: false"},
		ours:   []string{"deadline", "it is the hook's, too: true", "it was asked again: true"},
	}, run: func(s *side) {
		var calls atomic.Int32
		p := s.pool(settings{beforeConnect: func(context.Context, *pgx.ConnConfig) error { calls.Add(1); return errHook }})
		_, err := p.Acquire(s.within(1200 * time.Millisecond))
		s.ends(err)
		if s.ours {
			s.say("it is the hook's, too: %v", errors.Is(err, errHook))
		}
		s.say("it was asked again: %v", calls.Load() > 1)
	}},
	{name: "BeforeConnect in an outage", differs: &difference{
		row:    "How often `BeforeConnect` is called",
		theirs: []string{"several times for one call: false", "for nobody: false"},
		ours:   []string{"several times for one call: true", "for nobody: true"},
	}, run: func(s *side) {
		var calls atomic.Int32
		down, conn := unreachable()
		down.Store(true)
		p := s.pool(settings{params: one, conn: conn, beforeConnect: func(context.Context, *pgx.ConnConfig) error { calls.Add(1); return nil }})
		if _, err := p.Acquire(s.within(700 * time.Millisecond)); err == nil {
			s.ok(errors.New("the server was to be down"))
		}
		s.say("several times for one call: %v", calls.Load() > 2)
		calls.Store(0)
		for end := time.Now().Add(2500 * time.Millisecond); calls.Load() < 2 && time.Now().Before(end); {
			<-time.After(10 * time.Millisecond)
		}
		s.say("for nobody: %v", calls.Load() > 1)
	}},
	{name: "AfterConnect makes a connection ready", run: func(s *side) {
		var calls atomic.Int32
		p := s.pool(settings{params: one, afterConnect: func(ctx context.Context, c *pgx.Conn) error {
			calls.Add(1)
			_, err := c.Prepare(ctx, "seven", "select 7")
			return err
		}})
		for range 3 {
			var n int
			s.ok(p.QueryRow(s.ctx, "seven").Scan(&n))
			s.say("%d", n)
		}
		s.say("called %d times", calls.Load())
	}},
	{name: "AfterConnect registers a type", run: func(s *side) {
		s.exec(s.direct, "drop type if exists mood")
		s.exec(s.direct, "create type mood as enum ('sad', 'ok')")
		p := s.pool(settings{afterConnect: func(ctx context.Context, c *pgx.Conn) error {
			t, err := c.LoadType(ctx, "mood")
			if err == nil {
				c.TypeMap().RegisterType(t)
			}
			return err
		}})
		var mood string
		s.say("%s, %s", kind(p.QueryRow(s.ctx, "select $1::mood", "ok").Scan(&mood)), mood)
		p.Close()
		s.exec(s.direct, "drop type mood")
	}},
	{name: "AfterConnect fails once", differs: &difference{
		row:    "A hook that fails while a connection is opened",
		theirs: []string{"the hook's", "none"},
		ours:   []string{"none", "none"},
	}, run: func(s *side) {
		var calls atomic.Int32
		p := s.pool(settings{params: one, afterConnect: func(context.Context, *pgx.Conn) error {
			if calls.Add(1) == 1 {
				return errHook
			}
			return nil
		}})
		s.ends(p.Ping(s.ctx))
		s.ends(p.Ping(s.ctx))
	}},
	{name: "AfterConnect leaves a transaction open", differs: &difference{
		row:    "A hook that fails while a connection is opened",
		theirs: []string{"none"},
		ours:   []string{"deadline"},
	}, run: func(s *side) {
		p := s.pool(settings{params: one, afterConnect: func(ctx context.Context, c *pgx.Conn) error {
			_, err := c.Exec(ctx, "begin")
			return err
		}})
		_, err := p.Exec(s.within(300*time.Millisecond), "select 1")
		s.ends(err)
	}},
	{name: "AfterConnect hears a refusal", run: func(s *side) {
		p := s.pool(settings{afterConnect: func(ctx context.Context, c *pgx.Conn) error {
			_, err := c.Exec(ctx, "set role nobody_at_all")
			return err
		}})
		s.ends(p.Ping(s.ctx))
	}},
	{name: "a panic in AfterConnect", fatal: true, differs: &difference{
		row:    "A panic in a hook, a tracer or a source of rows",
		theirs: []string{"the process ended"},
		ours:   []string{"deadline", "and the pool serves on"},
	}, run: func(s *side) {
		var broken atomic.Bool
		broken.Store(true)
		p := s.pool(settings{afterConnect: func(context.Context, *pgx.Conn) error {
			if broken.Load() {
				panic("oh")
			}
			return nil
		}})
		s.ends(p.Ping(s.within(50 * time.Millisecond)))
		broken.Store(false)
		s.ok(p.Ping(s.ctx))
		s.note("and the pool serves on")
	}},
	{name: "a panic in AfterRelease", fatal: true, differs: &difference{
		row:    "A panic in a hook, a tracer or a source of rows",
		theirs: []string{"the process ended"},
		ours:   []string{"and the pool serves on"},
	}, run: func(s *side) {
		p := s.pool(settings{params: one, afterRelease: func(*pgx.Conn) bool { panic("oh") }})
		s.exec(p, "select 1")
		s.exec(p, "select 1")
		s.note("and the pool serves on")
	}},
	{name: "a panic in PrepareConn", fatal: true, differs: &difference{
		row:    "A panic in a hook, a tracer or a source of rows",
		theirs: []string{"its caller: a panic", "the connection is lost to the pool: true"},
		ours:   []string{"its caller: an error", "the connection is lost to the pool: false"},
	}, run: func(s *side) {
		broken := true
		p := s.pool(settings{params: "pool_max_conns=2", prepareConn: func(context.Context, *pgx.Conn) (bool, error) {
			if broken {
				broken = false
				panic("oh")
			}
			return true, nil
		}})
		var err error
		if panics(func() { _, err = p.Acquire(s.ctx) }) != "" {
			s.note("its caller: a panic")
		} else if err != nil {
			s.note("its caller: an error")
		}
		<-time.After(50 * time.Millisecond)
		lost := p.Stat().AcquiredConns()
		s.say("the connection is lost to the pool: %v", lost > 0)
		if !s.ours { // its Close would wait for ever
			s.after = nil
		}
	}},
	{name: "BeforeAcquire turns connections away", run: func(s *side) {
		calls := 0
		var seen pids
		p := s.pool(settings{params: "pool_max_conns=4", beforeAcquire: func(_ context.Context, c *pgx.Conn) bool {
			calls++
			seen.see(c)
			return calls%2 == 0
		}})
		var all []conn
		for range 4 {
			all = append(all, s.acquire(p))
		}
		s.say("asked %d times about %d connections", calls, len(slices.Compact(slices.Sorted(slices.Values(seen.seen())))))
		for _, c := range all {
			c.Release()
		}
		idle := p.AcquireAllIdle(s.ctx)
		s.say("idle: %d, asked %d times", len(idle), calls)
		for _, c := range idle {
			c.Release()
		}
	}},
	{name: "PrepareConn, true and no error", run: prepareCase(true, nil)},
	{name: "PrepareConn, true and an error", run: prepareCase(true, errHook)},
	{name: "PrepareConn, false and no error", run: prepareCase(false, nil)},
	{name: "PrepareConn, false and an error", run: prepareCase(false, errHook)},
	{name: "PrepareConn goes before BeforeAcquire", run: func(s *side) {
		var before, prepare int
		p := s.pool(settings{
			beforeAcquire: func(context.Context, *pgx.Conn) bool { before++; return true },
			prepareConn:   func(context.Context, *pgx.Conn) (bool, error) { prepare++; return true, nil },
		})
		s.exec(p, "select 1")
		s.say("%d, %d", before, prepare)
	}},
	{name: "PrepareConn has the context of the call", run: func(s *side) {
		var value any
		p := s.pool(settings{prepareConn: func(ctx context.Context, c *pgx.Conn) (bool, error) {
			value = ctx.Value(valueKey{})
			_, err := c.Exec(ctx, "select set_config('my.tenant', $1, false)", "a tenant")
			return true, err
		}})
		var tenant string
		s.ok(p.QueryRow(context.WithValue(s.ctx, valueKey{}, "mine"), "select current_setting('my.tenant')").Scan(&tenant))
		s.say("%v, %s", value, tenant)
	}},
	{name: "PrepareConn turns everything away", run: func(s *side) {
		calls := 0
		p := s.pool(settings{params: "pool_max_conns=3", prepareConn: func(context.Context, *pgx.Conn) (bool, error) { calls++; return false, nil }})
		_, err := p.Acquire(s.ctx)
		s.say("%s, asked %d times", kind(err), calls)
	}},
	{name: "AfterRelease keeps or closes", run: func(s *side) {
		var calls atomic.Int32
		p := s.pool(settings{params: one, afterRelease: func(*pgx.Conn) bool { return calls.Add(1)%2 == 1 }})
		distinct := map[uint32]bool{}
		for range 6 {
			c := s.acquire(p)
			distinct[pid(c)] = true
			c.Release()
		}
		s.say("%d connections", len(distinct))
	}},
	{name: "AfterRelease runs beside its caller", run: func(s *side) {
		hold := make(chan struct{})
		p := s.pool(settings{params: one, afterRelease: func(*pgx.Conn) bool { <-hold; return true }})
		s.exec(p, "select 1")
		s.say("acquired %d", p.Stat().AcquiredConns())
		_, err := p.Acquire(s.within(20 * time.Millisecond))
		s.ends(err)
		close(hold)
		s.exec(p, "select 1")
	}},
	{name: "AfterRelease is not asked about what is broken", run: func(s *side) {
		var calls atomic.Int32
		p := s.pool(settings{params: one, afterRelease: func(*pgx.Conn) bool { calls.Add(1); return true }})
		c := s.acquire(p)
		s.ok(c.Conn().Close(s.ctx))
		c.Release()
		c = s.acquire(p)
		s.exec(c, "begin")
		c.Release()
		s.exec(p, "select 1")
		s.until("once", func() bool { return calls.Load() > 0 })
		s.say("%d", calls.Load())
	}},
	{name: "BeforeClose sees every connection that is closed", run: func(s *side) {
		var closed pids
		p := s.pool(settings{params: one, beforeClose: closed.see})
		var want []uint32
		for range 3 {
			c := s.acquire(p)
			want = append(want, pid(c))
			c.Release()
			p.Reset()
		}
		want = append(want, s.pidOf(p))
		p.Close()
		s.say("%v", slices.Equal(want, closed.seen()))
	}},
	{name: "BeforeClose sees one that was closed by its holder", run: func(s *side) {
		var closed pids
		p := s.pool(settings{params: one, beforeClose: closed.see})
		c := s.acquire(p)
		s.ok(c.Conn().Close(s.ctx))
		c.Release()
		s.until("it is gone", func() bool { return p.Stat().TotalConns() == 0 && len(closed.seen()) > 0 })
		s.say("%d", len(closed.seen()))
	}},
	{name: "BeforeClose of what is released with unread rows", differs: &difference{
		row:    "`BeforeClose` of a connection that is released while rows are unread",
		theirs: []string{"called: true"},
		ours:   []string{"called: false"},
	}, run: func(s *side) {
		var called atomic.Bool
		p := s.pool(settings{params: one, beforeClose: func(*pgx.Conn) { called.Store(true) }})
		c := s.acquire(p)
		_, err := c.Query(s.ctx, "select generate_series(1, 10)")
		s.ok(err)
		c.Release()
		s.until("it is closed", func() bool { return p.Stat().TotalConns() == 0 })
		s.say("called: %v", called.Load())
	}},
	{name: "ShouldPing is told what it decides about", run: func(s *side) {
		var told *pgx.Conn
		var idle time.Duration
		p := s.pool(settings{params: one, shouldPing: func(_ context.Context, c *pgx.Conn, d time.Duration) bool {
			told, idle = c, d
			return false
		}})
		c := s.acquire(p)
		s.say("new: %v", idle < time.Second)
		c.Release()
		<-time.After(700 * time.Millisecond)
		c = s.acquire(p)
		s.say("%v, %v", told == c.Conn(), idle >= 700*time.Millisecond)
		c.Release()
	}},
	{name: "ShouldPing finds what is dead", run: func(s *side) {
		var asked atomic.Int32
		p := s.pool(settings{params: one, shouldPing: func(context.Context, *pgx.Conn, time.Duration) bool { asked.Add(1); return true }})
		s.terminate(s.pidOf(p))
		s.ends(p.Ping(s.ctx))
		s.say("asked: %v", asked.Load() >= 2)
	}},
	{name: "a ping that is too slow", run: func(s *side) {
		var first atomic.Pointer[pgx.Conn]
		slow := new(atomic.Bool)
		p := s.pool(settings{params: one + " pool_ping_timeout=50ms", conn: slowly(slow, 300*time.Millisecond), shouldPing: func(_ context.Context, c *pgx.Conn, _ time.Duration) bool {
			return c == first.Load()
		}})
		c := s.acquire(p)
		first.Store(c.Conn())
		c.Release()
		slow.Store(true)
		time.AfterFunc(100*time.Millisecond, func() { slow.Store(false) })
		c = s.acquire(p)
		s.say("another: %v", c.Conn() != first.Load())
		c.Release()
	}},
	{name: "a ping whose caller gives up", run: func(s *side) {
		slow := new(atomic.Bool)
		p := s.pool(settings{params: one, conn: slowly(slow, 100*time.Millisecond), shouldPing: func(context.Context, *pgx.Conn, time.Duration) bool { return slow.Load() }})
		first := s.pidOf(p)
		slow.Store(true)
		ctx, cancel := context.WithCancel(s.ctx)
		time.AfterFunc(20*time.Millisecond, cancel)
		_, err := p.Acquire(ctx)
		slow.Store(false)
		s.say("%s, the connection lives: %v", kind(err), s.pidOf(p) == first)
	}},
	{name: "a ping that is never answered", differs: &difference{
		row:    abandonedPing,
		theirs: []string{"deadline", "it goes on: false", "Terminate", "closed soon: false"},
		ours:   []string{"deadline", "it goes on: true", "Terminate", "closed soon: true"},
	}, run: func(s *side) {
		p, server := s.pinged("pool_ping_timeout=700ms")
		_, err := p.Acquire(s.within(50 * time.Millisecond))
		s.ends(err)
		<-time.After(300 * time.Millisecond)
		s.say("it goes on: %v", len(server.farewell) == 0)
		s.note(<-server.farewell)
		select {
		case <-server.farewell:
			s.note("closed soon: true")
		case <-time.After(3 * time.Second):
			s.note("closed soon: false")
		}
	}},
	{name: "a ping that is never answered while the pool is closed", differs: &difference{
		row:    abandonedPing,
		theirs: []string{"canceled", "Terminate", "Close returns: false"},
		ours:   []string{"canceled", "closed", "Close returns: true"},
	}, run: func(s *side) {
		p, server := s.pinged("pool_ping_timeout=1s")
		ctx, cancel := context.WithCancel(s.ctx)
		time.AfterFunc(50*time.Millisecond, cancel)
		_, err := p.Acquire(ctx)
		s.ends(err)
		over := make(chan struct{})
		go func() {
			defer close(over)
			p.Close()
		}()
		s.note(<-server.farewell)
		select {
		case <-over:
			s.note("Close returns: true")
		case <-time.After(2 * time.Second):
			s.note("Close returns: false")
		}
	}},
	{name: "what tracers are told", run: func(s *side) {
		var starts, ends, releases int
		var last *pgx.Conn
		var lastErr error
		var value any
		p := s.pool(settings{params: one, trace: &spy{
			start: func(ctx context.Context) context.Context {
				starts++
				return context.WithValue(ctx, valueKey{}, "marked")
			},
			end: func(ctx context.Context, c *pgx.Conn, err error) {
				ends++
				last, lastErr, value = c, err, ctx.Value(valueKey{})
			},
			release: func(c *pgx.Conn) { releases++; last = c },
		}})
		c := s.acquire(p)
		s.say("%d %d %d, %v, %v, %v", starts, ends, releases, last == c.Conn(), lastErr, value)
		_, err := p.Acquire(s.within(20 * time.Millisecond))
		s.say("%d %d %d, %v, %v", starts, ends, releases, last, lastErr == err && err != nil)
		raw := c.Conn()
		c.Release()
		c.Release()
		s.say("%d %d %d, %v", starts, ends, releases, last == raw)
		s.exec(p, "select 1")
		s.ok(p.QueryRow(s.ctx, "select 1").Scan(new(int)))
		s.say("%d %d %d", starts, ends, releases)
		_, err = p.Acquire(s.within(0))
		s.say("%d %d, %s", starts, ends, kind(err))
	}},
	{name: "what a tracer is told that was written for the other package", differs: &difference{
		row:    "A tracer whose methods name pgx's own `*pgxpool.Pool` (`tracelog.TraceLog`, `multitracer.Tracer`)",
		theirs: []string{"Acquire: 1", "Release: 1", "Query: 1"},
		ours:   []string{"Acquire: 0", "Release: 0", "Query: 1"},
	}, run: func(s *side) {
		told := map[string]int{}
		count := tracelog.LoggerFunc(func(_ context.Context, _ tracelog.LogLevel, what string, _ map[string]any) { told[what]++ })
		p := s.pool(settings{params: one, conn: func(c *pgx.ConnConfig) {
			c.Tracer = &tracelog.TraceLog{Logger: count, LogLevel: tracelog.LogLevelDebug}
		}})
		c := s.acquire(p)
		s.exec(c, "select 1")
		c.Release()
		for _, what := range []string{"Acquire", "Release", "Query"} {
			s.say("%s: %d", what, told[what])
		}
	}},
	{name: "PrepareConn has the tracer's context", run: func(s *side) {
		var value any
		p := s.pool(settings{params: one, trace: &spy{
			start:   func(ctx context.Context) context.Context { return context.WithValue(ctx, valueKey{}, "marked") },
			end:     func(context.Context, *pgx.Conn, error) {},
			release: func(*pgx.Conn) {},
		}, prepareConn: func(ctx context.Context, _ *pgx.Conn) (bool, error) { value = ctx.Value(valueKey{}); return true, nil }})
		s.exec(p, "select 1")
		s.say("%v", value)
	}},
	{name: "values of the context of NewWithConfig", run: func(s *side) {
		ctx, cancel := context.WithCancel(context.WithValue(s.ctx, valueKey{}, "of the pool"))
		cancel()
		values := make(chan any, 10)
		p := s.pool(settings{params: one + " pool_min_conns=1", ctx: ctx, beforeConnect: func(ctx context.Context, _ *pgx.ConnConfig) error {
			values <- ctx.Value(valueKey{})
			return ctx.Err()
		}})
		s.say("%v", <-values)
		s.until("it is there", func() bool { return p.Stat().IdleConns() == 1 })
	}},
	{name: "values of the context of Acquire", differs: &difference{
		row:    "The context of `BeforeConnect` and `AfterConnect`",
		theirs: []string{"the caller's: true"},
		ours:   []string{"the caller's: false"},
	}, run: func(s *side) {
		values := make(chan any, 10)
		p := s.pool(settings{beforeConnect: func(ctx context.Context, _ *pgx.ConnConfig) error {
			values <- ctx.Value(valueKey{})
			return nil
		}})
		s.ok(p.Ping(context.WithValue(s.ctx, valueKey{}, "of the call")))
		s.say("the caller's: %v", <-values != nil)
	}},
	{name: "the time that a dial has", differs: &difference{
		row:    "How long opening a connection may take",
		theirs: []string{"bounded for hooks: false"},
		ours:   []string{"bounded for hooks: true", "10 s: true"},
	}, run: func(s *side) {
		left := make(chan time.Duration, 10)
		p := s.pool(settings{beforeConnect: func(ctx context.Context, _ *pgx.ConnConfig) error {
			at, bounded := ctx.Deadline()
			s.say("bounded for hooks: %v", bounded)
			left <- time.Until(at)
			return nil
		}})
		s.ok(p.Ping(context.Background()))
		if d := <-left; d > 0 {
			s.say("10 s: %v", d > 9*time.Second && d <= 10*time.Second)
		}
	}},
	{name: "a dial outlives the caller for whom it began", run: func(s *side) {
		ctx, cancel := context.WithCancel(s.ctx)
		p := s.pool(settings{params: one, beforeConnect: func(context.Context, *pgx.ConnConfig) error { cancel(); return nil }})
		_, err := p.Exec(ctx, "select 1")
		s.ends(err)
		s.until("its connection is there for the next", func() bool { return p.Stat().IdleConns() == 1 })
		s.say("new: %d", p.Stat().NewConnsCount())
	}},
	{name: "a tracer that panics", differs: &difference{
		row:    "A panic in a hook, a tracer or a source of rows",
		theirs: []string{"its caller: a panic"},
		ours:   []string{"its caller: an error", "an *actors.PanicError by its text: true"},
	}, run: func(s *side) {
		broken := true
		p := s.pool(settings{params: one, trace: &spy{
			start: func(ctx context.Context) context.Context {
				if broken {
					panic("oh")
				}
				return ctx
			},
			end: func(context.Context, *pgx.Conn, error) {}, release: func(*pgx.Conn) {},
		}})
		var err error
		if panics(func() { _, err = p.Acquire(s.ctx) }) != "" {
			s.note("its caller: a panic")
		} else {
			s.note("its caller: an error")
			s.say("an *actors.PanicError by its text: %v", err.Error() == "pgxpool: TraceAcquireStart: panic: oh")
		}
		broken = false
		s.exec(p, "select 1")
	}},
	{name: "a server that refuses is told apart from one that is down", run: func(s *side) {
		p := s.pool(settings{conn: func(c *pgx.ConnConfig) { c.RuntimeParams["no_such_setting"] = "1" }})
		err := p.Ping(s.ctx)
		s.ends(err)
		var unavailable *poolactor.UnavailableError
		s.say("%v", !s.ours || errors.As(err, &unavailable) && unavailable.Refused)
	}},
}

// prepareCase is one of the four outcomes of PrepareConn, on a connection that was used before.
func prepareCase(fit bool, answer error) func(*side) {
	return func(s *side) {
		calls := 0
		var closed pids
		p := s.pool(settings{params: one, beforeClose: closed.see, prepareConn: func(context.Context, *pgx.Conn) (bool, error) {
			if calls++; calls == 2 {
				return fit, answer
			}
			return true, nil
		}})
		first := s.pidOf(p)
		var now uint32
		err := p.QueryRow(s.ctx, "select pg_backend_pid()").Scan(&now)
		s.say("%s, same: %v, asked %d times", kind(err), now == first, calls)
		s.say("later the same: %v", s.pidOf(p) == first)
		s.say("closed: %d", len(closed.seen())) // before the next was opened: there is room for one
	}
}
