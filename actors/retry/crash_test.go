package retry

import (
	"context"
	"math/rand/v2"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// story is a run in which everything happens: growth, an outage with scheduled attempts and scouts, silence, recovery.
func story(w *world) {
	callOff := w.demand(6, true)
	defer callOff()
	w.pass(time.Second)
	w.pool.closeAll()
	w.server.Stop()
	w.pool.want(4, false)
	w.hint()
	w.pass(2 * time.Second)
	w.server.StopBehindProxy()
	w.pass(3 * time.Second)
	w.server.Start()
	w.pass(12 * time.Second) // what hangs in the proxy goes on doing so for its connect time-out
}

// intact is what holds at the end of the story, whatever crashed.
func intact(w *world) {
	w.t.Helper()
	require.Zero(w.t, w.pool.count(wanted, dialing), "no order is lost")
	require.Equal(w.t, 6, w.pool.count(opened))
	require.Equal(w.t, 6, w.server.Connections(), "no connection is lost")
	require.True(w.t, w.pool.known().Since.IsZero())
	failures := uint64(0)
	for _, o := range w.pool.published() {
		require.GreaterOrEqual(w.t, o.Failures, failures)
		failures = o.Failures
	}
}

func TestACrashLosesNothing(t *testing.T) {
	var places []string
	for _, method := range []string{"Reclaim", "Next", "Announce", "Failed", "Outage", "SetOutage"} {
		places = append(places, "before "+method, "after "+method)
	}
	places = append(places, "before Opened")
	for _, place := range places {
		for hit := 1; hit <= 12; hit++ {
			inWorld(t, 10, func(w *world) { w.pool.crash = crashOn(place, hit) }, func(t *testing.T, w *world) {
				story(w)
				intact(w)
				require.LessOrEqual(t, w.calls.most(5*time.Second), 80)
				if hit == 1 {
					require.EqualValues(t, 1, w.actor.Inspect().Crashes, "%s was never reached", place)
					require.Contains(t, w.actor.Inspect().LastErr, place)
				}
			})
		}
	}
}

func TestManyCrashesLoseNothing(t *testing.T) {
	for seed := range uint64(20) {
		chance := rand.New(rand.NewPCG(seed, 1))
		calm := false
		inWorld(t, 10, func(w *world) {
			w.pool.crash = func(place string) {
				w.pool.mu.Lock()
				defer w.pool.mu.Unlock()
				if !calm && chance.IntN(10) == 0 {
					panic(errInjected)
				}
			}
		}, func(t *testing.T, w *world) {
			story(w)
			w.pool.mu.Lock()
			calm = true
			w.pool.mu.Unlock()
			callOff := w.demand(6, true)
			w.pass(time.Minute)
			callOff()
			require.Greater(t, w.actor.Inspect().Crashes, uint64(3))
			intact(w)
		})
	}
}

func TestTheOutageOutlivesACrash(t *testing.T) {
	inWorld(t, 10, nil, func(t *testing.T, w *world) {
		w.server.Stop()
		callOff := w.demand(1, false)
		w.pass(2 * time.Second)
		callOff()
		before := w.pool.known()
		require.Equal(t, 3, before.Attempts)
		w.pool.crash = crashOn("before Next", 1)
		w.hint()
		w.pass(20 * time.Millisecond)
		require.EqualValues(t, 2, w.actor.Inspect().Lives)
		require.Equal(t, before, w.pool.known())
		w.order(1, false)
		require.Len(t, w.calls.all(), 3, "the new life keeps to the schedule of the old")
		require.Zero(t, w.pool.count(wanted, dialing))
		w.pass(1480 * time.Millisecond)
		w.order(1, false)
		require.Equal(t, 4, w.pool.known().Attempts)
	})
}

func TestStopJoinsEveryDial(t *testing.T) {
	inWorld(t, 10, nil, func(t *testing.T, w *world) {
		w.server.Freeze()
		w.order(6, false)
		require.Equal(t, 4, w.pool.count(dialing))
		began := time.Now()
		w.stop()
		require.Equal(t, began, time.Now(), "at once")
		require.Zero(t, w.pool.count(dialing))
		require.Equal(t, 2, w.pool.count(wanted))
		for _, e := range w.pool.ended() {
			require.NoError(t, e.err)
		}
		require.Zero(t, w.pool.known())
		w.server.Thaw()
		w.start()
		synctest.Wait()
		require.Equal(t, 2, w.pool.count(opened), "it can be served again")
	})
}

func TestALateConnectionIsClosed(t *testing.T) {
	letIn, cancelled := make(chan struct{}), make(chan struct{})
	inWorld(t, 10, func(w *world) {
		w.cfg.ConnConfig.AfterConnect = func(ctx context.Context, _ *pgconn.PgConn) error {
			close(letIn)
			<-ctx.Done()
			close(cancelled)
			return nil // logged in, too late
		}
	}, func(t *testing.T, w *world) {
		letIn, cancelled = make(chan struct{}), make(chan struct{})
		w.order(1, false)
		<-letIn
		w.stop()
		<-cancelled
		synctest.Wait()
		require.Zero(t, w.server.Connections())
		require.Zero(t, w.pool.count(opened, dialing, wanted))
		require.Len(t, w.pool.ended(), 1)
		require.NoError(t, w.pool.ended()[0].err)
	})
}

func TestAKeptOrderIsGivenBackAtTheEnd(t *testing.T) {
	inWorld(t, 10, func(w *world) { w.cfg.MaxDials = 1 }, func(t *testing.T, w *world) {
		w.server.Freeze()
		w.order(1, false)
		w.pass(600 * time.Millisecond)
		w.pass(400 * time.Millisecond)
		w.order(1, false)
		require.Equal(t, 2, w.pool.count(dialing), "one of them is kept")
		w.stop()
		require.Zero(t, w.pool.count(dialing, wanted))
	})
}

// A panic, and even the end of the goroutine, in what the user supplied fails that attempt only.
func TestForeignCodeMayPanic(t *testing.T) {
	for name, breakIt := range map[string]func(w *world, fail func()){
		"DialFunc": func(w *world, fail func()) {
			dial := w.cfg.Dial
			w.cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				fail()
				return dial(ctx, network, address)
			}
		},
		"LookupFunc": func(w *world, fail func()) {
			lookup := w.cfg.Lookup
			w.cfg.Lookup = func(ctx context.Context, name string) ([]string, error) {
				fail()
				return lookup(ctx, name)
			}
		},
		"AfterConnect": func(w *world, fail func()) {
			w.cfg.ConnConfig.AfterConnect = func(context.Context, *pgconn.PgConn) error {
				fail()
				return nil
			}
		},
	} {
		for end, how := range map[string]func(){
			"panic while connecting":                        func() { panic(canary) },
			"runtime.Goexit":                                func() { runtime.Goexit() },
			"panic while connecting: panic called with nil": func() { panic(nil) }, //nolint:govet // on purpose
		} {
			inWorld(t, 10, func(w *world) {
				w.cfg.ConnConfig = parsed(w.t, canaryDSN("sslmode=disable"))
				calls := 0
				breakIt(w, func() {
					if calls++; calls == 1 {
						how()
					}
				})
			}, func(t *testing.T, w *world) {
				w.order(1, false)
				require.EqualValues(t, 1, w.pool.known().Failures, name)
				require.ErrorContains(t, w.pool.known().Cause, end, name)
				require.Zero(t, w.server.Connections(), name)
				require.Zero(t, w.pool.count(dialing, wanted), name)
				require.Zero(t, w.actor.Inspect().Crashes, name)
				require.Empty(t, betrays(w.log.String()), name)
				require.Empty(t, betrays(w.pool.known().Cause.Error()), name)
				w.pass(500 * time.Millisecond)
				w.order(1, false)
				require.Equal(t, 1, w.pool.count(opened), name)
			})
		}
	}
}

func TestAPanickingLogIsOneDialsFailureOrACrash(t *testing.T) {
	inWorld(t, 10, func(w *world) {
		panics := 0
		logger := zerolog.New(w.log).Hook(zerolog.HookFunc(func(*zerolog.Event, zerolog.Level, string) {
			if panics++; panics <= 2 {
				panic("the log is full")
			}
		}))
		w.cfg.Logger = &logger
		w.cfg.ConnConfig.RuntimeParams["tcp_keepalives_idle"] = "30"
		w.server.RefuseParameter("tcp_keepalives_idle", "42704")
	}, func(t *testing.T, w *world) {
		callOff := w.demand(1, true)
		w.pass(5 * time.Second)
		callOff()
		require.Equal(t, 1, w.pool.count(opened))
		require.Equal(t, 1, w.server.Connections())
	})
}
