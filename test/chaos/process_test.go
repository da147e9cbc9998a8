package chaos

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/judge"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// kill kills the postmaster, keeps it down, and starts it again. It returns the fault and when the server accepted.
func (w *workload) kill(t *testing.T, server *postgres.Server, down time.Duration) (*judge.Fault, time.Time) {
	t.Helper()
	f := w.strike(t, server.Kill)
	wait(down)
	require.NoError(t, server.StartAgain(t.Context()))
	return f, server.AcceptedAt()
}

// kill -9 of the postmaster under 32 callers, again and again: the failure rule, and a first success within 100 ms of
// the server accepting again (the median of five, plus how late this machine was meanwhile, if it was).
func TestKillsOfALocalServer(t *testing.T) {
	server := pgtest.Own(t, postgres.Options{})
	w := begin(t, server.DSN(), 32)
	var waits, late []time.Duration
	for range 5 {
		w.untilBusy(t)
		var took time.Duration
		late = append(late, lateness(func() {
			f, accepted := w.kill(t, server, time.Second)
			took = w.firstSuccess(t, onServerAfter(f)).Sub(accepted)
		}))
		waits = append(waits, took)
	}
	w.judged(t)
	t.Logf("first success after the server accepted: %v; the machine was late by %v", waits, late)
	require.LessOrEqual(t, median(waits), 100*time.Millisecond+excuse(late))
}

// An outage of five seconds, however many callers wait: no storm of dials.
func TestAnOutageCausesNoStorm(t *testing.T) {
	for name, callers := range map[string]int{"32 callers": 32, "1000 callers": 1000} {
		t.Run(name, func(t *testing.T) {
			server := pgtest.Own(t, postgres.Options{})
			w := begin(t, server.DSN(), callers)
			f, accepted := w.kill(t, server, 5*time.Second)
			w.firstSuccess(t, onServerAfter(f))
			w.judged(t)
			dials := w.meter.most(f.At, accepted)
			t.Logf("%d dials in the busiest 5 s of the outage", dials)
			require.LessOrEqual(t, dials, 80)
		})
	}
}

// A fast and an immediate stop end like a kill for those who held a lease, and for nobody else.
func TestStopsOfALocalServer(t *testing.T) {
	server := pgtest.Own(t, postgres.Options{})
	w := begin(t, server.DSN(), 32)
	for _, mode := range []postgres.StopMode{postgres.Fast, postgres.Immediate} {
		w.untilBusy(t)
		f := w.strike(t, func() error { return server.Stop(t.Context(), mode) })
		wait(time.Second)
		require.NoError(t, server.StartAgain(t.Context()))
		w.firstSuccess(t, onServerAfter(f))
	}
	w.judged(t)
}
