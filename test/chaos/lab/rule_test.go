package lab

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var longAgo = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func instant(ms int) time.Time { return longAgo.Add(time.Duration(ms) * time.Millisecond) }

func TestRule(t *testing.T) {
	lost := errors.New("connection lost")
	faults := []Fault{{At: instant(1000), DeadBy: instant(1100)}}
	one, two := Backend{PID: 1, Socket: "a"}, Backend{PID: 2, Socket: "b"}
	for name, c := range map[string]struct {
		calls     []Call
		kept      bool
		permitted int
	}{
		"nothing failed":                  {[]Call{{Began: instant(0), Granted: instant(1), Ended: instant(2), Backend: one}}, true, 0},
		"held a lease at the fault":       {[]Call{{Began: instant(990), Granted: instant(995), Ended: instant(1050), Backend: one, Err: lost}}, true, 1},
		"got it within the grace":         {[]Call{{Began: instant(1000), Granted: instant(1101), Ended: instant(1103), Backend: one, Err: lost}}, true, 1},
		"got it too late":                 {[]Call{{Began: instant(1000), Granted: instant(1103), Ended: instant(1105), Backend: one, Err: lost}}, false, 0},
		"failed before the fault":         {[]Call{{Began: instant(0), Granted: instant(1), Ended: instant(999), Backend: one, Err: lost}}, false, 0},
		"held none":                       {[]Call{{Began: instant(990), Ended: instant(1050), Err: lost}}, false, 0},
		"a backend fails one call":        {[]Call{{Began: instant(990), Granted: instant(995), Ended: instant(1050), Backend: one, Err: lost}, {Began: instant(990), Granted: instant(995), Ended: instant(1050), Backend: two, Err: lost}}, true, 2},
		"a backend fails a second call":   {[]Call{{Began: instant(990), Granted: instant(995), Ended: instant(1050), Backend: one, Err: lost}, {Began: instant(1051), Granted: instant(1052), Ended: instant(1060), Backend: one, Err: lost}}, false, 1},
		"a PID that came back is another": {[]Call{{Began: instant(990), Granted: instant(995), Ended: instant(1050), Backend: one, Err: lost}, {Began: instant(1051), Granted: instant(1052), Ended: instant(1060), Backend: Backend{PID: 1, Socket: "c"}, Err: lost}}, true, 2},
	} {
		v := Rule(c.calls, faults)
		require.Equal(t, c.kept, v.Kept(), "%s: %s", name, v)
		require.Equal(t, c.permitted, v.Permitted, name)
		require.NotEmpty(t, v.String())
	}
}

func TestRuleCountsWhoWasThere(t *testing.T) {
	v := Rule([]Call{
		{Began: instant(990), Granted: instant(995), Ended: instant(1500)},
		{Began: instant(990), Granted: instant(1400), Ended: instant(1500)},
		{Began: instant(1200), Granted: instant(1400), Ended: instant(1500)},
	}, []Fault{{At: instant(1000), DeadBy: instant(1100)}})
	require.Equal(t, 1, v.Held)
	require.Equal(t, 1, v.Waited)
	require.Equal(t, 510*time.Millisecond, v.Longest)
}
