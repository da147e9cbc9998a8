package retry

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// fresh is what a hook has fetched: another secret than the configuration has.
const fresh = canary

// withToken is a BeforeConnect that has fetched a password, and then does something.
func withToken(then func(*pgx.ConnConfig) error) func(context.Context, *pgx.ConnConfig) error {
	return func(_ context.Context, c *pgx.ConnConfig) error {
		c.Password = fresh
		return then(c)
	}
}

func TestEachDialHasAPasswordOfItsOwn(t *testing.T) {
	inWorld(t, 10, func(w *world) {
		w.server.RequirePassword("token-1")
		issued := 0
		w.cfg.BeforeConnect = func(ctx context.Context, c *pgx.ConnConfig) error {
			issued++
			require.Equal(t, "secret", c.Password, "each gets a fresh copy")
			_, bounded := ctx.Deadline()
			require.True(t, bounded)
			c.Password = fmt.Sprintf("token-%d", issued)
			return nil
		}
	}, func(t *testing.T, w *world) {
		w.order(1, false)
		w.server.RequirePassword("token-2")
		w.order(1, false)
		require.Equal(t, 2, w.pool.count(opened))
		require.Empty(t, w.pool.published())
	})
}

// What hooks fetch is as secret as what the configuration says, however the dial ends.
func TestNothingTellsWhatAHookHasFetched(t *testing.T) {
	for name, leak := range map[string]func(w *world){
		"error": func(w *world) {
			w.cfg.BeforeConnect = withToken(func(*pgx.ConnConfig) error { return errors.New("not this: " + fresh) })
		},
		"panic": func(w *world) {
			w.cfg.BeforeConnect = withToken(func(*pgx.ConnConfig) error { panic(fresh) })
		},
		"refused": func(w *world) {
			w.cfg.BeforeConnect = withToken(func(*pgx.ConnConfig) error { return nil })
			w.server.Refuse("28P01", "your password "+fresh+" is wrong")
		},
		"dialler": func(w *world) {
			w.cfg.BeforeConnect = withToken(func(c *pgx.ConnConfig) error {
				c.DialFunc = failingDial(errors.New("tunnel with " + fresh))
				return nil
			})
		},
		"lookup": func(w *world) {
			w.cfg.BeforeConnect = withToken(func(c *pgx.ConnConfig) error {
				c.LookupFunc = func(context.Context, string) ([]string, error) { panic("with " + fresh) }
				return nil
			})
		},
		"connection string": func(w *world) {
			w.cfg.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
				*c = *parsed(t, canaryDSN("sslmode=disable"))
				return fmt.Errorf("cannot use %s", c.ConnString())
			}
		},
		"greeting": func(w *world) {
			w.cfg.BeforeConnect = withToken(func(*pgx.ConnConfig) error { return nil })
			w.cfg.AfterConnect = func(_ context.Context, c *pgx.Conn) error {
				return errors.New("it was let in with " + c.Config().Password)
			}
		},
		"greeting panics": func(w *world) {
			w.cfg.BeforeConnect = withToken(func(*pgx.ConnConfig) error { return nil })
			w.cfg.AfterConnect = func(_ context.Context, c *pgx.Conn) error { panic(c.Config()) }
		},
	} {
		var told []error
		inWorld(t, 10, func(w *world) {
			leak(w)
			w.cfg.MaxDials = 1
			w.cfg.Panicked = func(_ string, err error, _ string) { told = append(told, err) }
		}, func(t *testing.T, w *world) {
			callOff := w.demand(2, true)
			w.pass(3 * time.Second)
			callOff()
			require.NotEmpty(t, w.log.String(), name)
			require.NotEmpty(t, w.pool.published(), name)
			require.Empty(t, betrays(w.log.String()), name)
			for _, o := range w.pool.published() {
				require.Empty(t, betrays(fmt.Sprintf("%v %+v %#v", o, o, o.Cause)), name)
				for _, cause := range o.Cause.(*failure).Unwrap() {
					require.Empty(t, betrays(fmt.Sprintf("%v %+v %#v", cause, cause, cause)), name)
				}
			}
			for _, err := range told {
				require.Empty(t, betrays(fmt.Sprintf("%v %+v %#v", err, err, err)), name)
			}
		})
	}
}

type expired struct{ token string }

func (e *expired) Error() string { return "expired: " + e.token }

func TestAHooksErrorIsFoundInTheCause(t *testing.T) {
	errVault := errors.New("the vault is sealed")
	for name, install := range map[string]func(*Config, error){
		"BeforeConnect": func(c *Config, err error) {
			c.BeforeConnect = func(context.Context, *pgx.ConnConfig) error { return err }
		},
		"AfterConnect": func(c *Config, err error) {
			c.AfterConnect = func(context.Context, *pgx.Conn) error { return err }
		},
	} {
		cause := func(err error) (cause error) {
			inWorld(t, 1, func(w *world) { install(&w.cfg, err) }, func(t *testing.T, w *world) {
				w.order(1, false)
				require.Zero(t, w.server.Connections(), name)
				cause = w.pool.known().Cause
			})
			return cause
		}
		err := cause(fmt.Errorf("%w: %w", errVault, &expired{"t"}))
		require.ErrorIs(t, err, errVault, name)
		require.ErrorContains(t, err, name+": the vault is sealed: expired: t")
		var own *expired
		require.ErrorAs(t, err, &own, name)
		require.Equal(t, Transient, Classify(err), name)

		require.NotErrorIs(t, cause(context.DeadlineExceeded), context.DeadlineExceeded, "a caller's own has not ended")

		err = cause(&pgconn.PgError{Severity: "ERROR", Code: "42501", Message: "permission denied"})
		want := Transient // it was another server that answered
		if name == "AfterConnect" {
			want = Refused
		}
		require.Equal(t, want, Classify(err), name)
		var server *pgconn.PgError
		require.ErrorAs(t, err, &server, name)
	}
}

func TestAHookThatPanicsFailsOneDial(t *testing.T) {
	for name, install := range map[string]func(*Config, func()){
		"BeforeConnect": func(c *Config, fail func()) {
			c.BeforeConnect = func(context.Context, *pgx.ConnConfig) error { fail(); return nil }
		},
		"AfterConnect": func(c *Config, fail func()) {
			c.AfterConnect = func(context.Context, *pgx.Conn) error { fail(); return nil }
		},
		"connecting": func(c *Config, fail func()) {
			c.ConnConfig.AfterConnect = func(context.Context, *pgconn.PgConn) error { fail(); return nil }
		},
	} {
		for end, how := range map[string]func(){"oh": func() { panic("oh") }, "runtime.Goexit": runtime.Goexit} {
			var told []string
			inWorld(t, 10, func(w *world) {
				calls := 0
				install(&w.cfg, func() {
					if calls++; calls == 1 {
						how()
					}
				})
				w.cfg.Panicked = func(where string, err error, _ string) {
					require.ErrorContains(t, err, "oh")
					told = append(told, where)
				}
			}, func(t *testing.T, w *world) {
				w.order(1, false)
				require.ErrorContains(t, w.pool.known().Cause, end, name)
				require.Zero(t, w.server.Connections(), name)
				require.Zero(t, w.actor.Inspect().Crashes, name)
				w.pass(500 * time.Millisecond)
				w.order(1, false)
				require.Equal(t, 1, w.pool.count(opened), name)
			})
			if end == "oh" {
				require.Equal(t, []string{name}, told)
			}
		}
	}
}

// A hook may send a dial elsewhere: the other TLS mode goes with it, and a cancel request takes the same way.
func TestAHookMayChooseTheServer(t *testing.T) {
	served := new(calls)
	inWorld(t, 4, func(w *world) {
		b := twoHosts(w, "sslmode=prefer")
		w.cfg.ConnConfig = parsed(w.t, "host=a user=app sslmode=prefer")
		w.cfg.CancelDial = nil
		w.server.Stop()
		w.cfg.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
			c.Host = "b"
			c.DialFunc = served.counted(c.DialFunc)
			return nil
		}
		w.t.Cleanup(func() { require.Equal(w.t, 2, b.LogIns()) })
	}, func(t *testing.T, w *world) {
		w.order(2, false)
		require.Equal(t, 2, w.pool.count(opened))
		before := len(served.addresses())
		require.NoError(t, w.pool.conns[0].Cancel(t.Context()))
		require.Len(t, served.addresses(), before+1)
		require.Subset(t, []string{"192.0.2.2:5432"}, served.addresses())
		require.Subset(t, []string{"192.0.2.2:5432"}, w.calls.addresses(), "nobody went to the host that the hook has left")
	})
}

// A hook may put the hosts into another order, as stdlib.RandomizeHostOrderFunc of pgx does: none of them is lost.
func TestAHookMayReorderTheHosts(t *testing.T) {
	inWorld(t, 4, func(w *world) {
		twoHosts(w, "sslmode=disable").Stop()
		w.cfg.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
			first := c.Fallbacks[0]
			c.Fallbacks = []*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port, TLSConfig: c.TLSConfig}}
			c.Host, c.Port, c.TLSConfig = first.Host, first.Port, first.TLSConfig
			return nil
		}
	}, func(t *testing.T, w *world) {
		w.order(1, false)
		require.Equal(t, 1, w.pool.count(opened))
		require.Equal(t, []string{"192.0.2.2:5432", "192.0.2.1:5432"}, w.calls.addresses())
		require.Empty(t, w.pool.published(), "there was no outage")
	})
}

// What a hook takes its time for is not held against the server: no outage, no scouts.
func TestASlowHookIsNoOutage(t *testing.T) {
	var calls atomic.Int64
	inWorld(t, 8, func(w *world) {
		w.cfg.BeforeConnect = func(ctx context.Context, _ *pgx.ConnConfig) error {
			calls.Add(1)
			select {
			case <-time.After(4 * time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}, func(t *testing.T, w *world) {
		callOff := w.demand(2, true)
		w.pass(2 * time.Second)
		w.hint()
		w.pass(4 * time.Second)
		callOff()
		require.Equal(t, 2, w.pool.count(opened))
		require.Empty(t, w.pool.published())
		require.EqualValues(t, 2, calls.Load())
	})
	inWorld(t, 8, func(w *world) {
		w.cfg.BeforeConnect = func(ctx context.Context, _ *pgx.ConnConfig) error { <-ctx.Done(); return ctx.Err() }
	}, func(t *testing.T, w *world) {
		w.order(1, false)
		w.pass(10 * time.Second)
		require.ErrorContains(t, w.pool.known().Cause, "BeforeConnect: context deadline exceeded")
	})
}

// While a hook fails it is not asked by every scout, and once it works again the outage ends within a second or so.
func TestAHookThatFailsIsAskedSeldom(t *testing.T) {
	var calls, broken atomic.Int64
	broken.Store(1)
	inWorld(t, 8, func(w *world) {
		w.cfg.BeforeConnect = func(context.Context, *pgx.ConnConfig) error {
			calls.Add(1)
			if broken.Load() > 0 {
				return errors.New("the vault is sealed")
			}
			return nil
		}
	}, func(t *testing.T, w *world) {
		callOff := w.demand(2, true)
		w.pass(20 * time.Second)
		require.Less(t, calls.Load(), int64(30))
		broken.Store(0)
		w.pass(1100 * time.Millisecond)
		require.Equal(t, 2, w.pool.count(opened))
		callOff()
	})
}

// A greeting that takes too long says so, and is not taken for a silent server.
func TestASlowGreetingIsNamed(t *testing.T) {
	inWorld(t, 8, func(w *world) {
		w.cfg.AfterConnect = func(ctx context.Context, _ *pgx.Conn) error { <-ctx.Done(); return ctx.Err() }
	}, func(t *testing.T, w *world) {
		w.order(1, false)
		w.pass(10 * time.Second)
		require.ErrorContains(t, w.pool.known().Cause, "AfterConnect: context deadline exceeded")
		w.pass(time.Second)
		require.Zero(t, w.server.Connections())
	})
}
