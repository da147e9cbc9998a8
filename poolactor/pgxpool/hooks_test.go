package pgxpool

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/actors"
	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

var errHook = errors.New("not today")

// spy is a tracer of everything that calls what it is given.
type spy struct {
	start   func(context.Context, *Pool) context.Context
	end     func(context.Context, *Pool, TraceAcquireEndData)
	release func(*Pool, TraceReleaseData)
}

func (*spy) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

func (*spy) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (s *spy) TraceAcquireStart(ctx context.Context, p *Pool, _ TraceAcquireStartData) context.Context {
	if s.start != nil {
		return s.start(ctx, p)
	}
	return ctx
}

func (s *spy) TraceAcquireEnd(ctx context.Context, p *Pool, data TraceAcquireEndData) {
	if s.end != nil {
		s.end(ctx, p, data)
	}
}

func (s *spy) TraceRelease(p *Pool, data TraceReleaseData) {
	if s.release != nil {
		s.release(p, data)
	}
}

func TestTheFourOutcomesOfPrepareConn(t *testing.T) {
	var fit bool
	var answer error
	var seen []uint32
	inMemory(t, func(c *Config) {
		c.PrepareConn = func(_ context.Context, conn *pgx.Conn) (bool, error) {
			seen = append(seen, conn.PgConn().PID())
			nowFit, now := fit, answer
			fit, answer = true, nil
			return nowFit, now
		}
	}, func(t *testing.T, p *Pool, server *fakepg.Server) {
		next := func(f bool, err error) (*Conn, error) {
			synctest.Wait()
			seen, fit, answer = nil, f, err
			return p.Acquire(t.Context())
		}
		c, err := next(true, nil)
		require.NoError(t, err)
		first := seen[0]
		c.Release()

		_, err = next(true, errHook)
		require.ErrorIs(t, err, errHook)
		require.Equal(t, []uint32{first}, seen)
		synctest.Wait()
		require.Equal(t, []uint32{first}, server.PIDs(), "it went back")

		c, err = next(false, nil)
		require.NoError(t, err)
		require.Len(t, seen, 2)
		synctest.Wait()
		require.NotContains(t, server.PIDs(), first, "it was closed, and another taken")
		second := seen[1]
		c.Release()

		_, err = next(false, errHook)
		require.ErrorIs(t, err, errHook)
		require.Equal(t, []uint32{second}, seen)
		synctest.Wait()
		require.Empty(t, server.PIDs())
		works(t, p)
	})
}

func TestHooksThatRefuseEverything(t *testing.T) {
	asked := 0
	inMemory(t, func(c *Config) {
		c.MaxConns = 3
		c.BeforeAcquire = func(context.Context, *pgx.Conn) bool { asked++; return false }
	}, func(t *testing.T, p *Pool, _ *fakepg.Server) {
		_, err := p.Acquire(t.Context())
		require.ErrorContains(t, err, "too many failed attempts acquiring connection")
		require.Equal(t, 4, asked)
		require.Empty(t, p.AcquireAllIdle(t.Context()))
	})
}

// A hook that panics, or ends the goroutine, fails the call that it was for and leaves nothing behind.
func TestAHookMayPanic(t *testing.T) {
	for name, end := range map[string]func(){"panic": func() { panic(errHook) }, "goexit": runtime.Goexit} {
		for hook, install := range map[string]func(c *Config, trace *spy, fail func()){
			"PrepareConn": func(c *Config, _ *spy, fail func()) {
				c.PrepareConn = func(context.Context, *pgx.Conn) (bool, error) { fail(); return true, nil }
			},
			"BeforeAcquire": func(c *Config, _ *spy, fail func()) {
				c.BeforeAcquire = func(context.Context, *pgx.Conn) bool { fail(); return true }
			},
			"ShouldPing": func(c *Config, _ *spy, fail func()) {
				c.ShouldPing = func(context.Context, ShouldPingParams) bool { fail(); return false }
			},
			"TraceAcquireStart": func(_ *Config, trace *spy, fail func()) {
				trace.start = func(ctx context.Context, _ *Pool) context.Context { fail(); return ctx }
			},
			"TraceAcquireEnd": func(_ *Config, trace *spy, fail func()) {
				trace.end = func(context.Context, *Pool, TraceAcquireEndData) { fail() }
			},
		} {
			broken := false
			fail := func() {
				if broken {
					end()
				}
			}
			inMemory(t, func(c *Config) {
				trace := &spy{}
				c.ConnConfig.Tracer = trace
				install(c, trace, fail)
			}, func(t *testing.T, p *Pool, _ *fakepg.Server) {
				works(t, p)
				for range 3 {
					broken = true
					var err error
					var caller sync.WaitGroup
					caller.Go(func() { _, err = p.Exec(t.Context(), "select 1") })
					caller.Wait()
					caller.Go(func() {
						for _, c := range p.AcquireAllIdle(t.Context()) {
							c.Release()
						}
					})
					caller.Wait()
					broken = false
					if name == "panic" {
						require.ErrorIs(t, err, errHook, hook)
						var panicked *actors.PanicError
						require.ErrorAs(t, err, &panicked)
						require.Contains(t, string(panicked.Stack), "hooks_test.go")
					}
					works(t, p)
				}
			})
		}
	}
}

// A hook of the end of a lease that panics is nobody's error, but an event.
func TestAHookOfTheEndMayPanic(t *testing.T) {
	for hook, install := range map[string]func(c *Config, trace *spy){
		"AfterRelease": func(c *Config, _ *spy) { c.AfterRelease = func(*pgx.Conn) bool { panic(errHook) } },
		"TraceRelease": func(_ *Config, trace *spy) { trace.release = func(*Pool, TraceReleaseData) { panic(errHook) } },
		"BeforeClose":  func(c *Config, _ *spy) { c.BeforeClose = func(*pgx.Conn) { panic(errHook) } },
	} {
		inMemory(t, func(c *Config) {
			trace := &spy{}
			c.ConnConfig.Tracer = trace
			install(c, trace)
		}, func(t *testing.T, p *Pool, _ *fakepg.Server) {
			events := p.Supervised().Events(t.Context())
			works(t, p)
			p.Reset()
			synctest.Wait()
			for e := range events {
				if e.Kind == poolactor.EventPanicked {
					require.Equal(t, hook, e.What)
					require.ErrorIs(t, e.Err, errHook)
					break
				}
			}
			works(t, p)
		})
	}
	for _, end := range []func(){func() { panic(errHook) }, runtime.Goexit} {
		inMemory(t, func(c *Config) {
			c.ConnConfig.Tracer = &spy{release: func(*Pool, TraceReleaseData) { end() }}
		}, func(t *testing.T, p *Pool, server *fakepg.Server) {
			c := acquired(t, p)
			var caller sync.WaitGroup
			caller.Go(c.Release)
			caller.Wait()
			synctest.Wait()
			require.Empty(t, server.PIDs(), "in what state it is, nobody knows")
		})
	}
	inMemory(t, func(c *Config) {
		c.AfterRelease = func(*pgx.Conn) bool { runtime.Goexit(); return true }
	}, func(t *testing.T, p *Pool, server *fakepg.Server) {
		works(t, p)
		synctest.Wait()
		require.Empty(t, server.PIDs(), "in what state it is, nobody knows")
	})
}

func TestAfterReleaseDecidesBesideItsCaller(t *testing.T) {
	var verdict chan bool
	inMemory(t, func(c *Config) {
		verdict = make(chan bool)
		c.AfterRelease = func(*pgx.Conn) bool { return <-verdict }
	}, func(t *testing.T, p *Pool, server *fakepg.Server) {
		c := acquired(t, p)
		pid := c.Conn().PgConn().PID()
		c.Release()
		require.EqualValues(t, 1, p.Stat().AcquiredConns(), "it is not back yet")
		_, err := p.Acquire(within(t, time.Second))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		verdict <- true
		c = acquired(t, p)
		require.Equal(t, pid, c.Conn().PgConn().PID())
		c.Release()
		verdict <- false
		c = acquired(t, p)
		require.NotEqual(t, pid, c.Conn().PgConn().PID())
		require.NoError(t, c.Conn().Close(t.Context()))
		c.Release() // nobody is asked about one that is closed
		synctest.Wait()
		require.Empty(t, server.PIDs())
	})
}

// Close waits for AfterRelease as for everybody who holds a connection, and not for ever.
func TestCloseJoinsAfterRelease(t *testing.T) {
	for _, slow := range []time.Duration{5 * time.Second, 10500 * time.Millisecond} {
		returned := false
		inMemory(t, func(c *Config) {
			c.AfterRelease = func(*pgx.Conn) bool { time.Sleep(slow); returned = true; return true }
		}, func(t *testing.T, p *Pool, _ *fakepg.Server) {
			acquired(t, p).Release()
			began := time.Now()
			p.Close()
			require.Equal(t, slow, time.Since(began))
			require.True(t, returned)
		})
	}
	inMemory(t, func(c *Config) {
		c.AfterRelease = func(*pgx.Conn) bool { time.Sleep(time.Hour); return true }
	}, func(t *testing.T, p *Pool, _ *fakepg.Server) {
		acquired(t, p).Release()
		began := time.Now()
		p.Close()
		require.Equal(t, 11*time.Second, time.Since(began))
		time.Sleep(time.Hour)
	})
}

func TestShouldPingIsToldHowLongNobodyUsedTheConnection(t *testing.T) {
	var told ShouldPingParams
	inMemory(t, func(c *Config) {
		c.MinConns = 1
		c.ShouldPing = func(_ context.Context, params ShouldPingParams) bool { told = params; return false }
	}, func(t *testing.T, p *Pool, server *fakepg.Server) {
		synctest.Wait()
		c := acquired(t, p)
		require.Same(t, c.Conn(), told.Conn)
		pass(time.Minute)
		c.Release()
		pass(1700 * time.Millisecond)
		c = acquired(t, p)
		require.Equal(t, 1700*time.Millisecond, told.IdleDuration, "whatever the pool has asked the server meanwhile")
		c.Release()
		p.Reset()
		synctest.Wait()
		kept := 0
		p.rest.Range(func(any, any) bool { kept++; return true })
		require.Zero(t, kept)
	})
}

func TestAPingThatFailsTakesAnother(t *testing.T) {
	ask := false
	inMemory(t, func(c *Config) {
		c.PingTimeout = 200 * time.Millisecond
		c.ShouldPing = func(context.Context, ShouldPingParams) bool { now := ask; ask = false; return now }
		tune := c.Tune
		c.Tune = func(s *poolactor.Config) { tune(s); s.Health.Interval = -1 }
	}, func(t *testing.T, p *Pool, server *fakepg.Server) {
		taken := func() uint32 {
			c := acquired(t, p)
			defer c.Release()
			return c.Conn().PgConn().PID()
		}
		first := taken()
		ask = true
		require.Equal(t, first, taken(), "a good one stays")

		server.Kill(first)
		ask = true
		second := taken()
		require.NotEqual(t, first, second)

		began := time.Now()
		server.Delay(150 * time.Millisecond)
		ask = true
		require.Equal(t, second, taken())
		server.Delay(0)
		require.GreaterOrEqual(t, time.Since(began), 150*time.Millisecond)
	})
}

// A caller who gives up leaves the ping to itself, and the connection survives.
func TestAPingOutlivesItsCaller(t *testing.T) {
	inMemory(t, func(c *Config) {
		c.ShouldPing = func(context.Context, ShouldPingParams) bool { return true }
		tune := c.Tune
		c.Tune = func(s *poolactor.Config) { tune(s); s.Health.Interval = -1 }
	}, func(t *testing.T, p *Pool, server *fakepg.Server) {
		c := acquired(t, p)
		pid := c.Conn().PgConn().PID()
		c.Release()
		server.Delay(200 * time.Millisecond)
		_, err := p.Acquire(within(t, 50*time.Millisecond))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.EqualValues(t, 1, p.Stat().AcquiredConns())
		c = acquired(t, p)
		require.Equal(t, pid, c.Conn().PgConn().PID())
		c.Release()
		require.EqualValues(t, 1, p.Stat().NewConnsCount())

		server.Delay(0)
		server.Freeze()
		_, err = p.Acquire(within(t, 50*time.Millisecond))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		pass(59 * time.Second)
		require.EqualValues(t, 1, p.Stat().AcquiredConns())
		pass(2 * time.Second)
		require.Zero(t, p.Stat().AcquiredConns(), "a minute is enough")
		server.Thaw()
	})
}

func TestTheTracersAreTold(t *testing.T) {
	type mark struct{}
	trace := &spy{}
	inMemory(t, func(c *Config) { c.ConnConfig.Tracer = trace }, func(t *testing.T, p *Pool, _ *fakepg.Server) {
		var ends []TraceAcquireEndData
		var released []*pgx.Conn
		trace.start = func(ctx context.Context, in *Pool) context.Context {
			require.Same(t, p, in)
			return context.WithValue(ctx, mark{}, true)
		}
		trace.end = func(ctx context.Context, _ *Pool, data TraceAcquireEndData) {
			require.Equal(t, true, ctx.Value(mark{}))
			ends = append(ends, data)
		}
		trace.release = func(_ *Pool, data TraceReleaseData) { released = append(released, data.Conn) }
		works(t, p)
		require.Len(t, ends, 1)
		require.Equal(t, []*pgx.Conn{ends[0].Conn}, released)
		c := acquired(t, p)
		_, err := p.Acquire(within(t, time.Second))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Nil(t, ends[2].Conn)
		require.Equal(t, err, ends[2].Err)
		c.Release()
		c.Release()
		require.Len(t, released, 2)
	})
}
