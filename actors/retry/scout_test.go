package retry

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/messages"
)

func TestOnlyOneScoutAtATimeIsFresh(t *testing.T) {
	inWorld(t, 20, nil, func(t *testing.T, w *world) {
		w.server.Stop()
		w.order(1, false)
		w.server.StopBehindProxy()
		w.pass(100 * time.Millisecond)
		w.order(1, true)
		require.Len(t, w.calls.all(), 2)
		w.pass(500*time.Millisecond - 1)
		w.order(3, true)
		require.Len(t, w.calls.all(), 2, "given back beside a younger one")
		require.Equal(t, 1, w.pool.count(wanted, dialing))
		w.pass(1)
		w.order(3, true)
		require.Len(t, w.calls.all(), 3, "the first blocks no more, the second does")
	})
}

func TestBehindABlackHoleTheOldestButOneMakesRoom(t *testing.T) {
	inWorld(t, 20, nil, func(t *testing.T, w *world) {
		w.server.Stop()
		w.order(1, false)
		w.server.Freeze()
		w.server.Start()
		w.server.Freeze()
		began := time.Now()
		for range 6 {
			w.order(1, true)
			w.pass(500 * time.Millisecond)
		}
		require.Len(t, w.calls.all(), 1+6)
		require.Equal(t, 4, w.pool.count(dialing), "four in flight: the oldest and the three youngest")
		ended := w.pool.ended()[1:]
		require.Len(t, ended, 2)
		for i, e := range ended {
			require.True(t, e.order.Scout)
			require.Equal(t, 1+i, e.order.Slot, "the second and the third scout")
			require.Equal(t, time.Duration(4+i)*500*time.Millisecond, e.at.Sub(began))
			require.ErrorContains(t, e.err, "no log-in within 500ms: gave way to a newer dial")
		}
		require.Equal(t, 1, w.pool.known().Attempts)

		w.pass(7 * time.Second)
		require.Equal(t, 3, w.pool.count(dialing), "the oldest had its connect time-out")
		w.server.Thaw()
		synctest.Wait()
		require.Equal(t, 3, w.pool.count(opened))
	})
}

func TestScheduledAttemptsTakeTheirTurnBehindABlackHole(t *testing.T) {
	inWorld(t, 20, nil, func(t *testing.T, w *world) {
		w.server.Freeze()
		began := time.Now()
		callOff := w.demand(10, true)
		defer callOff()
		w.pass(time.Minute)
		o := w.pool.known()
		require.Equal(t, began.Add(500*time.Millisecond), o.Since, "when the first dials were overdue")
		require.GreaterOrEqual(t, o.Attempts, 5)
		require.LessOrEqual(t, o.Attempts, 8, "no more than the schedule says")
		require.LessOrEqual(t, w.calls.most(5*time.Second), 20)
		w.server.Thaw()
		synctest.Wait()
		require.GreaterOrEqual(t, w.pool.count(opened), 1)
		require.True(t, w.pool.known().Since.IsZero())
	})
}

func TestAScheduledOrderWaitsForItsTurn(t *testing.T) {
	inWorld(t, 20, func(w *world) { w.cfg.MaxDials = 2 }, func(t *testing.T, w *world) {
		w.server.Stop()
		w.order(1, false)
		w.server.StopBehindProxy()
		w.pass(500 * time.Millisecond)
		w.order(1, false)
		w.order(1, false)
		w.order(1, false)
		require.Len(t, w.calls.all(), 3)
		require.Equal(t, 3, w.pool.count(dialing), "one of them is kept")
		w.order(1, true)
		require.Equal(t, 1, w.pool.count(wanted), "nothing else is taken meanwhile")
		w.pass(500 * time.Millisecond)
		w.hint()
		require.Len(t, w.calls.all(), 4)
		require.Equal(t, 2, w.pool.known().Attempts, "the one that made room has failed")
	})
}

func TestOneDialInFlightIsNeverReplaced(t *testing.T) {
	inWorld(t, 20, func(w *world) { w.cfg.MaxDials = 1 }, func(t *testing.T, w *world) {
		w.server.Freeze()
		w.order(1, false)
		for range 10 {
			w.pass(600 * time.Millisecond)
			w.order(1, true)
		}
		require.Len(t, w.calls.all(), 1)
		require.Len(t, w.pool.ended(), 10)
	})
}

func TestARefusedOutageEndsWithin100ms(t *testing.T) {
	for _, c := range []struct {
		name       string
		stop, back func(*world)
	}{
		{"dead port", func(w *world) { w.server.Stop() }, func(w *world) { w.server.Start() }},
		{
			"57P03", func(w *world) { w.server.Refuse("57P03", "the database system is starting up") },
			func(w *world) { w.server.Refuse("", "") },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, down := range []time.Duration{900 * time.Millisecond, 5 * time.Second, 29 * time.Second} {
				inWorld(t, 20, nil, func(t *testing.T, w *world) {
					c.stop(w)
					callOff := w.demand(20, true)
					defer callOff()
					w.pass(down + 3*time.Millisecond)
					c.back(w)
					w.pass(75 * time.Millisecond)
					require.Equal(t, 20, w.pool.count(opened))
				})
			}
		})
	}
}

func TestAnOutageBehindAProxyEndsWithin600ms(t *testing.T) {
	for _, down := range []time.Duration{900 * time.Millisecond, 5 * time.Second, 29 * time.Second} {
		inWorld(t, 20, nil, func(t *testing.T, w *world) {
			w.server.StopBehindProxy()
			callOff := w.demand(20, true)
			defer callOff()
			w.pass(down + 3*time.Millisecond)
			w.server.Start()
			w.pass(575 * time.Millisecond)
			require.Positive(t, w.pool.count(opened))
			require.True(t, w.pool.known().Since.IsZero())
		})
	}
}

func TestNoStorm(t *testing.T) {
	for _, where := range []string{
		"host=db.test sslmode=disable", "host=db.test sslmode=prefer", "host=db.test sslmode=allow", "host=a,b sslmode=prefer",
	} {
		for _, c := range []struct {
			name string
			stop func(*world)
		}{
			{"dead port", func(w *world) { w.server.Stop() }},
			{"57P03", func(w *world) { w.server.Refuse("57P03", "the database system is starting up") }},
			{"53300", func(w *world) { w.server.Refuse("53300", "sorry, too many clients already") }},
			{"28P01", func(w *world) { w.server.Refuse("28P01", "password authentication failed") }},
			{"28000", func(w *world) { w.server.Refuse("28000", "no pg_hba.conf entry") }},
			{"black hole", func(w *world) { w.server.Freeze() }},
			{"hanging proxy", func(w *world) { w.server.StopBehindProxy() }},
			{"closing proxy", func(w *world) { w.cfg.Dial = closedAtOnce }},
		} {
			for need, initial := range map[int]time.Duration{1: 500 * time.Millisecond, 1000: 100 * time.Millisecond} {
				t.Run(fmt.Sprintf("%s, %s, %d callers", where, c.name, need), func(t *testing.T) {
					inWorld(t, 1000, func(w *world) {
						w.cfg.ConnConfig = parsed(w.t, "user=app "+where)
						w.cfg.Initial = initial
						c.stop(w)
					}, func(t *testing.T, w *world) {
						callOff := w.demand(need, true)
						w.pass(12 * time.Second)
						callOff()
						require.LessOrEqual(t, w.calls.most(5*time.Second), 80)
						require.False(t, w.pool.known().Since.IsZero())
					})
				})
			}
		}
	}
}

func TestThePoolsOwnStormIsHeldBack(t *testing.T) {
	inWorld(t, 4, func(w *world) { w.cfg.Initial = -1 }, func(t *testing.T, w *world) {
		w.server.Stop()
		callOff := w.demand(1, false)
		w.pass(time.Second)
		callOff()
		require.Equal(t, scoutBudget, w.calls.most(5*time.Second), "no wait was asked for, and yet")
	})
	inWorld(t, 4, nil, func(t *testing.T, w *world) {
		w.server.Stop()
		w.order(1, false)
		for range 1000 {
			w.pass(time.Millisecond)
			w.order(1, true)
		}
		require.Equal(t, scoutBudget, w.calls.most(5*time.Second))
	})
}

func TestGrowthBeforeAnOutageCostsNoScouts(t *testing.T) {
	inWorld(t, 200, nil, func(t *testing.T, w *world) {
		w.order(100, false)
		w.server.Stop()
		w.order(1, false)
		before := len(w.calls.all())
		for range 10 {
			w.pass(75 * time.Millisecond)
			w.order(1, true)
		}
		require.Len(t, w.calls.all(), before+10)
	})
}

func TestManyHostsCostNoScouts(t *testing.T) {
	inWorld(t, 1000, func(w *world) {
		w.cfg.ConnConfig = parsed(w.t, "host=a,b,c,d,e,f,g,h user=app sslmode=disable")
		w.cfg.Lookup = func(_ context.Context, name string) ([]string, error) {
			return []string{"192.0.2." + strconv.Itoa(int(name[0]))}, nil
		}
		w.server.Stop()
	}, func(t *testing.T, w *world) {
		callOff := w.demand(1, true)
		w.pass(10 * time.Second)
		callOff()
		perAddress := map[string]int{}
		for _, address := range w.calls.addresses() {
			perAddress[address]++
		}
		first := w.calls.addresses()[0]
		require.InDelta(t, 138, perAddress[first], 2, "133 scouts and the schedule")
		for address, n := range perAddress {
			if address != first {
				require.InDelta(t, 11, n, 1, "once a second")
			}
		}
	})
}

func TestAHangingDialMakesPlaceWhenThePoolIsFull(t *testing.T) {
	inWorld(t, 3, nil, func(t *testing.T, w *world) {
		full := func() {
			_ = w.actor.Ref().TryTell(messages.PlaceWanted{})
			synctest.Wait()
		}
		w.server.StopBehindProxy()
		w.order(3, false)
		full()
		require.Equal(t, 3, w.pool.count(dialing), "none of them hangs yet")
		w.pass(500 * time.Millisecond)
		full()
		require.Equal(t, 2, w.pool.count(dialing))
		ended := w.pool.ended()
		require.Len(t, ended, 1)
		require.Equal(t, 1, ended[0].order.Slot, "the oldest but one")
		require.Equal(t, 1, w.pool.known().Attempts)
		w.order(1, true)
		full()
		full()
		require.Equal(t, 2, w.pool.count(dialing), "the scout may log in any moment")
		w.server.Start()
		w.pass(500 * time.Millisecond)
		w.order(1, true)
		require.Equal(t, 1, w.pool.count(opened))
		full()
		require.Equal(t, 2, w.pool.count(dialing), "there is no outage any more")
	})
}

// A victim that takes its time is waited for: neither is another one cancelled, nor is the scout lost.
func TestRoomIsMadeOnce(t *testing.T) {
	inWorld(t, 20, func(w *world) {
		w.cfg.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			time.Sleep(300 * time.Millisecond)
			return nil, ctx.Err()
		}
	}, func(t *testing.T, w *world) {
		w.order(4, false)
		w.pass(500 * time.Millisecond)
		require.False(t, w.pool.known().Since.IsZero())
		w.order(1, true)
		w.hint()
		w.pass(100 * time.Millisecond)
		w.hint()
		require.Len(t, w.calls.all(), 4)
		require.Equal(t, 5, w.pool.count(dialing))
		w.pass(200 * time.Millisecond)
		require.Len(t, w.calls.all(), 5)
		require.Equal(t, 4, w.pool.count(dialing))
		require.Len(t, w.pool.ended(), 1)
	})
}

func TestAScoutWithoutAnOutageOpensNone(t *testing.T) {
	inWorld(t, 4, nil, func(t *testing.T, w *world) {
		w.server.Freeze()
		w.order(1, true)
		w.pass(time.Second)
		w.hint()
		require.Equal(t, messages.Outage{}, w.pool.known(), "not by silence either")
	})
	inWorld(t, 4, nil, func(t *testing.T, w *world) {
		w.server.Stop()
		w.order(1, true)
		require.Equal(t, messages.Outage{}, w.pool.known())
		require.Error(t, w.pool.ended()[0].err)
		require.Empty(t, w.log.lines(t, zerolog.WarnLevel))
	})
}
