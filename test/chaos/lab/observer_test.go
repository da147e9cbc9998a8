package lab

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
)

func TestTheObserverKnowsABackendsStart(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	o := &observer{starts: make(map[uint32][]time.Time)}
	o.note([]presence{{7, at(10)}, {8, at(11)}}, true)
	o.note([]presence{{7, at(10)}}, true)
	o.note(nil, false)
	o.note([]presence{{7, at(20)}}, true)
	require.Equal(t, sighting{Looks: 4, Blind: 1, Backends: 3, Most: 2}, o.seen)
	for when, start := range map[int]int{10: 10, 15: 10, 20: 20, 25: 20} {
		require.Equal(t, at(start), o.startOf(7, at(when)), "a PID comes back")
	}
	require.Zero(t, o.startOf(7, at(9)))
	require.Zero(t, o.startOf(9, at(30)))
}

func TestTheObserverOutlivesItsServer(t *testing.T) {
	server := pgtest.Own(t, postgres.Options{})
	o := observe(server.DSN())
	looks := func(enough func(sighting) bool) {
		t.Helper()
		require.True(t, until(t.Context(), eventually, func() bool {
			o.mu.Lock()
			defer o.mu.Unlock()
			return enough(o.seen)
		}))
	}
	looks(func(s sighting) bool { return s.Looks > s.Blind })
	require.NoError(t, server.Kill())
	saw := 0
	looks(func(s sighting) bool { saw = s.Looks - s.Blind; return s.Blind > 0 })
	require.NoError(t, server.StartAgain(t.Context()))
	looks(func(s sighting) bool { return s.Looks-s.Blind > saw })
	o.end()
	o.end()
}

// What each call had is known from outside, too, and what the server has complained about.
func TestAnExperimentIsWatchedFromOutside(t *testing.T) {
	server := pgtest.Own(t, postgres.Options{})
	began := time.Now().Add(-time.Millisecond) // the server's clock has microseconds
	x, err := Begin(t.Context(), Ours, Setup{DSN: server.DSN(), Log: server.Log, Callers: 3, Tuning: Tuning{Size: 2}})
	require.NoError(t, err)
	require.True(t, until(t.Context(), eventually, func() bool {
		x.watch.mu.Lock()
		defer x.watch.mu.Unlock()
		return x.watch.seen.Most >= 2
	}))
	require.Error(t, x.load.run(t.Context(), func(ctx context.Context, s Session) error {
		_, err := s.Exec(ctx, "select 1/0")
		return err
	}))
	r := x.Finish(t.Context())
	require.Contains(t, r.Log, failure{"ERROR: division by zero", 1})
	require.GreaterOrEqual(t, r.Seen.Backends, 2)
	for _, c := range x.load.calls {
		require.WithinRange(t, c.Backend.Started, began, c.Granted)
	}
}
