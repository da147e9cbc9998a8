package poolactor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
	"github.com/seed-4ff2b7b9/supervised/internal/secret/canary"
)

// panics collects what a pool tells of panics.
func panics(t *testing.T, p *Pool) func() []string {
	events := p.Events(t.Context())
	return func() (told []string) {
		synctest.Wait()
		for {
			select {
			case e := <-events:
				if e.Kind == EventPanicked {
					told = append(told, fmt.Sprintf("%s: %v", e.What, e.Err))
				}
			default:
				return told
			}
		}
	}
}

func TestHooksMakeConnectionsReady(t *testing.T) {
	var greeted, closed []uint32
	inMemory(t, func(c *Config) {
		c.BeforeConnect = func(_ context.Context, cc *pgx.ConnConfig) error {
			require.Contains(t, cc.RuntimeParams, "tcp_keepalives_idle", "what the pool adds is there")
			cc.Password = canary.Password
			cc.RuntimeParams["application_name"] = "hooked"
			return nil
		}
		c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
			greeted = append(greeted, conn.PgConn().PID())
			_, err := conn.Exec(ctx, "set timezone = 'Europe/Vienna'")
			return err
		}
		c.BeforeClose = func(conn *pgx.Conn) {
			require.Equal(t, len(closed) > 0, conn.IsClosed(), "the second was lost before")
			closed = append(closed, conn.PgConn().PID())
		}
	}, func(t *testing.T, p *Pool, server *fakepg.Server) {
		server.RequirePassword(canary.Password)
		l := acquired(t, p)
		pid := l.conn.PID()
		var zone string
		require.NoError(t, l.QueryRow(t.Context(), "show timezone").Scan(&zone))
		require.Equal(t, "Europe/Vienna", zone)
		require.Equal(t, "hooked", server.Parameters(pid)["application_name"])
		l.Release()
		require.NoError(t, p.Evict(t.Context(), 0))
		require.Equal(t, []uint32{pid}, greeted)
		require.Equal(t, greeted, closed)

		l = acquired(t, p)
		server.Kill(l.conn.PID())
		require.Error(t, l.Ping(t.Context()))
		l.Release()
		require.NoError(t, p.Evict(t.Context(), 0))
		require.Len(t, closed, 2, "its holder has given it back")
	})
}

// Whatever a hook does wrong costs one dial; who waits is served by the next.
func TestAHookThatFailsIsWaitedOut(t *testing.T) {
	errVault := errors.New("the vault is sealed")
	for name, fail := range map[string]func() error{
		"error":  func() error { return errVault },
		"panic":  func() error { panic("oh: " + canary.Password) },
		"goexit": func() error { runtime.Goexit(); return nil },
	} {
		for _, hook := range []string{"BeforeConnect", "AfterConnect"} {
			var log bytes.Buffer
			logger := zerolog.New(&log)
			var failures atomic.Int64
			failures.Store(2)
			run := func() error {
				if failures.Add(-1) >= 0 {
					return fail()
				}
				return nil
			}
			inMemory(t, func(c *Config) {
				c.Logger = &logger
				c.BeforeConnect = func(_ context.Context, cc *pgx.ConnConfig) error {
					cc.Password = canary.Password
					if hook == "BeforeConnect" {
						return run()
					}
					return nil
				}
				if hook == "AfterConnect" {
					c.AfterConnect = func(context.Context, *pgx.Conn) error { return run() }
				}
			}, func(t *testing.T, p *Pool, _ *fakepg.Server) {
				told := panics(t, p)
				require.Equal(t, 7, one(t, within(t, 5*time.Second), p, "select 7"), name)
				if name == "panic" {
					require.Equal(t, []string{
						hook + ": panic in " + hook + ": oh: [redacted]", hook + ": panic in " + hook + ": oh: [redacted]",
					}, told())
				}
				failures.Store(1 << 30)
				require.NoError(t, p.Evict(t.Context(), 0))
				_, err := p.Exec(within(t, time.Second), "select 1")
				var down *UnavailableError
				require.ErrorAs(t, err, &down)
				if name == "error" {
					require.ErrorIs(t, err, errVault)
				}
				require.Empty(t, canary.Find(fmt.Sprintf("%v %+v %#v", err, err, down.Err)))
			})
			require.Empty(t, canary.Find(log.String()), name)
		}
	}
}

func TestBeforeCloseKeepsNothingFromBeingClosed(t *testing.T) {
	for name, end := range map[string]func(){"oh": func() { panic("oh") }, "Goexit": runtime.Goexit} {
		inMemory(t, func(c *Config) {
			c.MaxSize = 1
			c.BeforeClose = func(*pgx.Conn) { end() }
		}, func(t *testing.T, p *Pool, server *fakepg.Server) {
			told := panics(t, p)
			for range 3 {
				acquired(t, p).Discard()
			}
			synctest.Wait()
			require.Zero(t, server.Connections())
			require.Zero(t, p.Stat().Total())
			all := told()
			require.Len(t, all, 3)
			require.Contains(t, all[0], "BeforeClose: ")
			require.Contains(t, all[0], name)
		})
	}
}

// witness is a Tracer that notes everything. What it finds in fail it does at that moment.
type witness struct {
	mu       sync.Mutex
	contexts []context.Context
	acquired []AcquireEnd
	released []Released
	fail     map[string]func()
}

type startedKey struct{}

func (w *witness) hit(at string) {
	w.mu.Lock()
	f := w.fail[at]
	w.mu.Unlock()
	if f != nil {
		f()
	}
}

func (w *witness) AcquireStart(ctx context.Context) context.Context {
	w.hit("start")
	return context.WithValue(ctx, startedKey{}, true)
}

func (w *witness) AcquireEnd(ctx context.Context, end AcquireEnd) {
	w.mu.Lock()
	w.contexts, w.acquired = append(w.contexts, ctx), append(w.acquired, end)
	w.mu.Unlock()
	w.hit("end")
}

func (w *witness) Released(r Released) {
	w.mu.Lock()
	w.released = append(w.released, r)
	w.mu.Unlock()
	w.hit("released")
}

func (w *witness) last(t *testing.T) Released {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	require.Len(t, w.released, len(w.acquired), "each lease has one end")
	return w.released[len(w.released)-1]
}

// What the tracer is told of a lease's end is what became of it.
func TestTheTracerIsToldTheTruth(t *testing.T) {
	w := &witness{}
	inMemory(t, func(c *Config) { c.Tracer = w; c.MaxSize = 2 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		take := func() *Lease {
			l, err := p.Acquire(WithLabel(t.Context(), "report"))
			require.NoError(t, err)
			pass(time.Second)
			return l
		}
		for name, c := range map[string]struct {
			end       func(l *Lease)
			discarded bool
		}{
			"released":       {(*Lease).Release, false},
			"cleaned":        {func(l *Lease) { _, _ = l.Exec(t.Context(), "set timezone = 'UTC'"); l.Release() }, false},
			"discarded":      {(*Lease).Discard, true},
			"rows unread":    {func(l *Lease) { _, _ = l.Query(t.Context(), "select 1"); l.Release() }, true},
			"lost":           {func(l *Lease) { server.Kill(l.conn.PID()); _ = l.Ping(t.Context()); l.Release() }, true},
			"to be replaced": {func(l *Lease) { _ = p.Evict(within(t, time.Millisecond), 0); l.Release() }, true},
			"changed, to be replaced": {func(l *Lease) {
				_, _ = l.Exec(t.Context(), "set timezone = 'UTC'")
				_ = p.Evict(within(t, time.Millisecond), 0)
				l.Release()
			}, true},
			"hijacked": {func(l *Lease) {
				conn, err := l.Hijack()
				require.NoError(t, err)
				require.NoError(t, conn.Close(t.Context()))
			}, true},
		} {
			l := take()
			pid := l.conn.PID()
			c.end(l)
			over := w.last(t)
			require.Equal(t, c.discarded, over.Discarded, name)
			require.Equal(t, pid, over.PID, name)
			require.Equal(t, "report", over.Label, name)
			require.GreaterOrEqual(t, over.Held, time.Second, name)
			l.Release()
			l.Discard()
			_ = w.last(t)
			synctest.Wait()
		}
		require.Equal(t, 1, one(t, t.Context(), p, "select 1"))
		require.Equal(t, w.released[len(w.released)-1].PID, w.acquired[len(w.acquired)-1].PID, "of the pool's own calls, too")
		require.Empty(t, w.last(t).Label)
		require.Equal(t, true, w.contexts[0].Value(startedKey{}))
	})
}

func TestTheTracerIsNotToldTwice(t *testing.T) {
	w := &witness{}
	inMemory(t, func(c *Config) { c.Tracer = w; c.MaxSize = 1; c.LeaseMaxAge = time.Second }, func(t *testing.T, p *Pool, _ *fakepg.Server) {
		l := acquired(t, p)
		pass(3 * time.Second)
		require.EqualValues(t, 1, p.Stat().Revoked)
		l.Release()
		_, err := l.Hijack()
		require.ErrorIs(t, err, ErrReleased)
		require.Empty(t, w.released, "EventRevoked has told")
		l = acquired(t, p)
		_, err = p.Acquire(within(t, time.Millisecond))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, w.acquired[2].Err, context.DeadlineExceeded)
		require.Zero(t, w.acquired[2].PID)
		require.Equal(t, time.Millisecond, w.acquired[2].Waited)
		l.Release()
		require.Len(t, w.released, 1)
	})
}

// Whatever the tracer does, each lease ends and the next caller is served.
func TestATracerThatFailsLeavesNoLeaseBehind(t *testing.T) {
	for _, at := range []string{"start", "end", "released"} {
		for name, end := range map[string]func(){"oh": func() { panic("oh") }, "Goexit": runtime.Goexit} {
			w := &witness{}
			inMemory(t, func(c *Config) { c.Tracer = w; c.MaxSize = 1 }, func(t *testing.T, p *Pool, _ *fakepg.Server) {
				told := panics(t, p)
				w.fail = map[string]func(){at: end}
				var err error
				var caller sync.WaitGroup
				for range 3 {
					caller.Go(func() { _, err = p.Exec(t.Context(), "select 1") })
					caller.Wait()
				}
				w.fail = nil
				synctest.Wait()
				require.Zero(t, p.Stat().Leased, at)
				require.Equal(t, 1, one(t, t.Context(), p, "select 1"))
				switch {
				case at == "released":
					require.NoError(t, err)
					require.Len(t, told(), 3, name)
				case name == "oh":
					require.ErrorContains(t, err, "poolactor: the tracer: ")
					require.ErrorContains(t, err, "oh")
				}
			})
		}
	}
}

func TestATracerOfNothingCostsNothing(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, _ *fakepg.Server) {
		acquired(t, p).Release()
		once := func() {
			l, err := p.Acquire(t.Context())
			if err != nil {
				panic(err)
			}
			l.Release()
		}
		require.LessOrEqual(t, testing.AllocsPerRun(100, once), 1.0, "the lease itself")
	})
}
