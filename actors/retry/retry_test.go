package retry

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/messages"
)

func TestOrdersAreDialled(t *testing.T) {
	inWorld(t, 20, nil, func(t *testing.T, w *world) {
		w.order(20, false)
		require.Equal(t, 20, w.pool.count(opened))
		require.Equal(t, 20, w.server.Connections())
		require.Len(t, w.calls.all(), 20)
		require.Empty(t, w.pool.ended())
		require.Empty(t, w.pool.published(), "there was no outage to end")
		require.Empty(t, w.log.String())
	})
}

func TestDialsInFlightAreBounded(t *testing.T) {
	for bound, configured := range map[int]int{4: 0, 2: 2, 20: -1} {
		inWorld(t, 20, func(w *world) { w.cfg.MaxDials = configured }, func(t *testing.T, w *world) {
			w.server.Delay(100 * time.Millisecond)
			w.order(20, false)
			require.Len(t, w.calls.all(), bound)
			w.pass(100 * time.Millisecond)
			require.Equal(t, bound, w.pool.count(opened))
			w.pass(time.Second)
			require.Equal(t, 20, w.pool.count(opened))
		})
	}
}

func TestBackoffGrowsToItsCap(t *testing.T) {
	inWorld(t, 4, func(w *world) { w.cfg.Max = 4 * time.Second }, func(t *testing.T, w *world) {
		w.server.Stop()
		began := time.Now()
		callOff := w.demand(1, false)
		w.pass(20 * time.Second)
		callOff()
		want := []time.Duration{0, 500, 1500, 3500, 7500, 11500, 15500, 19500}
		for i := range want {
			want[i] *= time.Millisecond
		}
		require.Equal(t, want, w.calls.times(began))
		require.Equal(t, len(want), w.pool.known().Attempts)
		require.EqualValues(t, len(want), w.pool.known().Failures)
		require.Equal(t, began, w.pool.known().Since)
	})
}

func TestThreeRetriesOnADeadPortTakeThreeAndAHalfSeconds(t *testing.T) {
	inWorld(t, 4, func(w *world) { w.cfg.MaxRetries = 3 }, func(t *testing.T, w *world) {
		w.server.Stop()
		callOff := w.demand(1, false)
		defer callOff()
		w.pass(3500*time.Millisecond - 1)
		require.EqualValues(t, 3, w.pool.known().Failures)
		w.pass(1)
		o := w.pool.known()
		require.EqualValues(t, 4, o.Failures)
		require.Equal(t, 4, o.Attempts)
		require.ErrorContains(t, o.Cause, "192.0.2.1:5432 (db.test): dial error")
		warnings := w.log.lines(t, zerolog.WarnLevel)
		require.Len(t, warnings, 4)
		last := warnings[3]
		require.EqualValues(t, 4, last["attempt"])
		require.EqualValues(t, 4, last["callers_give_up_after"])
		require.EqualValues(t, 4000, last["wait"])
		require.Equal(t, "dial_failed", last["event"])
		require.Equal(t, "unreachable", last["class"])
		require.Equal(t, "db.test", last["host"])
		require.EqualValues(t, 5432, last["port"])
		require.Equal(t, "app", last["database"])
		require.Equal(t, "app", last["user"])
		require.Contains(t, last["cause"], "connection refused")
	})
}

func TestDialsThatFailTogetherAreOneAttempt(t *testing.T) {
	inWorld(t, 20, nil, func(t *testing.T, w *world) {
		w.server.Stop()
		w.order(20, false)
		require.Len(t, w.calls.all(), 4)
		require.EqualValues(t, 1, w.pool.known().Failures)
		require.Len(t, w.log.lines(t, zerolog.WarnLevel), 1)
		ended := w.pool.ended()
		require.Len(t, ended, 20)
		given := 0
		for _, e := range ended {
			require.False(t, e.known.Since.IsZero(), "the failure is known before the order ends, so nothing is ordered anew")
			if e.err == nil {
				given++
			}
		}
		require.Equal(t, 16, given, "the others are given back undialled")

		w.order(1, false)
		require.Len(t, w.calls.all(), 4, "it is too early for another attempt")
	})
}

func TestAScoutEndsTheOutage(t *testing.T) {
	inWorld(t, 8, nil, func(t *testing.T, w *world) {
		w.server.Stop()
		w.order(1, false)
		w.pass(100 * time.Millisecond)
		w.order(1, true)
		require.Equal(t, 1, w.pool.known().Attempts, "a scout counts as no attempt")
		require.Len(t, w.log.lines(t, zerolog.WarnLevel), 1)
		require.Len(t, w.log.lines(t, zerolog.DebugLevel), 1)

		w.server.Start()
		w.pass(100 * time.Millisecond)
		w.order(1, true)
		require.Equal(t, 1, w.pool.count(opened))
		require.Equal(t, messages.Outage{Failures: 1}, w.pool.known())
		require.Empty(t, w.log.lines(t, zerolog.InfoLevel), "the pool tells of the end")
	})
}

func TestAFailureFromBeforeALogInSaysNothing(t *testing.T) {
	inWorld(t, 2, nil, func(t *testing.T, w *world) {
		w.server.StopBehindProxy()
		w.order(1, false)
		w.server.Start()
		w.order(1, false)
		require.Equal(t, 1, w.pool.count(opened), "the second, while the first hangs")
		w.pass(10 * time.Second)
		require.Zero(t, w.pool.known())
		require.Len(t, w.pool.ended(), 1)
		require.ErrorContains(t, w.pool.ended()[0].err, "no log-in within 10s")
	})
}

func TestASlowDialOpensAnOutageAndMayStillEndIt(t *testing.T) {
	inWorld(t, 4, nil, func(t *testing.T, w *world) {
		w.server.Delay(3 * time.Second)
		w.order(1, false)
		w.pass(500*time.Millisecond - 1)
		require.Zero(t, w.pool.known())
		w.pass(1)
		o := w.pool.known()
		require.False(t, o.Since.IsZero())
		require.Zero(t, o.Attempts)
		require.Len(t, w.log.lines(t, zerolog.WarnLevel), 1)
		w.pass(2500 * time.Millisecond)
		require.Equal(t, 1, w.pool.count(opened))
		require.Zero(t, w.pool.known())

		w.order(1, false)
		w.pass(3 * time.Second)
		require.Equal(t, 2, w.pool.count(opened))
		require.Len(t, w.log.lines(t, zerolog.WarnLevel), 1, "it is known by now that a log-in takes that long")
	})
}

func TestAConnectTimeoutFailsTheAttempt(t *testing.T) {
	inWorld(t, 4, func(w *world) { w.cfg.ConnectTimeout = time.Second }, func(t *testing.T, w *world) {
		w.server.Freeze()
		w.order(1, false)
		w.pass(time.Second)
		require.EqualValues(t, 1, w.pool.known().Failures)
		require.EqualError(t, w.pool.known().Cause, "192.0.2.1:5432 (db.test): no log-in within 1s")
	})
}

func TestTheConnectTimeoutOfTheConnectionStringIsNotUsed(t *testing.T) {
	inWorld(t, 4, func(w *world) {
		w.cfg.ConnConfig = parsed(w.t, "host=db.test user=app sslmode=disable connect_timeout=1")
		w.server.Delay(3 * time.Second)
	}, func(t *testing.T, w *world) {
		w.order(1, false)
		w.pass(3 * time.Second)
		require.Equal(t, 1, w.pool.count(opened))
	})
}

func TestASilentServerIsNotAskedInTheOtherMode(t *testing.T) {
	inWorld(t, 4, func(w *world) {
		w.cfg.ConnConfig = parsed(w.t, "host=db.test user=app sslmode=prefer")
		w.cfg.ConnectTimeout = time.Second
		w.server.StopBehindProxy()
	}, func(t *testing.T, w *world) {
		w.order(1, false)
		w.pass(time.Second)
		require.EqualValues(t, 1, w.pool.known().Failures)
		require.Len(t, w.calls.all(), 1)
	})
}

func TestCancelRequestsAreDialledApart(t *testing.T) {
	var cancels calls
	inWorld(t, 4, func(w *world) { w.cfg.CancelDial = cancels.counted(w.cfg.CancelDial) }, func(t *testing.T, w *world) {
		w.order(1, false)
		require.NoError(t, w.pool.conns[0].Cancel(w.t.Context()))
		require.Len(t, w.calls.all(), 1)
		require.Len(t, cancels.all(), 1)
	})
}

func TestWithoutAConnectTimeoutADialIsNotBounded(t *testing.T) {
	inWorld(t, 4, func(w *world) { w.cfg.ConnectTimeout = -1 }, func(t *testing.T, w *world) {
		w.server.Freeze()
		w.order(1, false)
		w.pass(time.Hour)
		w.server.Thaw()
		synctest.Wait()
		require.Equal(t, 1, w.pool.count(opened))
	})
}

func TestPatienceOfTheServerIsNoFailure(t *testing.T) {
	for _, code := range []string{"57P03", "53300"} {
		inWorld(t, 20, nil, func(t *testing.T, w *world) {
			w.server.Refuse(code, "not now")
			callOff := w.demand(10, false)
			defer callOff()
			w.pass(10 * time.Second)
			o := w.pool.known()
			require.False(t, o.Since.IsZero())
			require.Zero(t, o.Attempts)
			require.Zero(t, o.Failures)
			require.False(t, o.Refused)
			require.Len(t, w.calls.all(), 4+10, "once a second, after those in flight at first")
			require.Len(t, w.log.lines(t, zerolog.WarnLevel), 1)
			w.server.Refuse("", "")
			w.pass(time.Second)
			require.Equal(t, 10, w.pool.count(opened))
		})
	}
}

func TestNoConfigurationIsAnErrorOfEachLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		require.ErrorContains(t, New(Config{}, newPool(1)).Serve(t.Context()), "ConnConfig is missing")
	})
}
