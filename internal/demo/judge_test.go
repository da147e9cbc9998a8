package demo

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// at is a time of the story that each test tells: the first kill is at 10 s.
func at(seconds float64) time.Time { return t0.Add(time.Duration(seconds * float64(time.Second))) }

// one is a backend of the first server, which died 50 ms after the kill.
func one() *backend {
	b := &backend{pid: 4711, postmaster: at(0), started: at(1)}
	b.died.Store(at(10.05).UnixNano())
	return b
}

func TestTheRule(t *testing.T) {
	kills := []*kill{{at: at(10)}, {at: at(20), lag: 30 * time.Millisecond}}
	second := &backend{pid: 4712, postmaster: at(11), started: at(12)}
	second.died.Store(at(20.01).UnixNano())
	immortal := &backend{pid: 4713, postmaster: at(0), started: at(1)}
	young := &backend{pid: 4714, postmaster: at(0), started: at(10.001)}
	for name, c := range map[string]struct {
		failure failure
		breach  string
	}{
		"it held a lease":                       {failure{backend: one(), granted: at(9.9), at: at(10.06)}, ""},
		"it got one while the backend lived on": {failure{backend: one(), granted: at(10.04), at: at(10.06)}, ""},
		"it got one within the grace":           {failure{backend: one(), granted: at(10.052), at: at(10.06)}, ""},
		"it got one after the grace":            {failure{backend: one(), granted: at(10.0521), at: at(10.06)}, "a call got a backend that was dead for longer than the grace"},
		"it held none":                          {failure{at: at(10.06)}, "a call failed that held no lease"},
		"before the kill":                       {failure{backend: one(), granted: at(9), at: at(9.5)}, "a call failed on a server that nobody had killed"},
		"the second server lives":               {failure{backend: second, granted: at(15), at: at(16)}, "a call failed on a server that nobody had killed"},
		"on the second server":                  {failure{backend: second, granted: at(15), at: at(20.02)}, ""},
		"within what the machine added":         {failure{backend: second, granted: at(20.04), at: at(20.05)}, ""},
		"on a server that was never killed":     {failure{backend: &backend{postmaster: at(21), started: at(22)}, granted: at(23), at: at(24)}, "a call failed on a server that nobody had killed"},
		"its backend is not known to have died": {failure{backend: immortal, granted: at(10.5), at: at(13)}, ""},
		"its backend was not there at the kill": {failure{backend: young, granted: at(10.5), at: at(13)}, "a call failed on a backend that was not there at the kill"},
	} {
		t.Run(name, func(t *testing.T) {
			r := judge(kills, []failure{c.failure})
			if c.breach == "" {
				require.Equal(t, ruling{allowed: 1}, r)
				return
			}
			require.Equal(t, 1, r.broken())
			require.Equal(t, c.breach, r.breaches[0].what)
		})
	}
}

func TestABackendFailsOneCallAndNoMore(t *testing.T) {
	b := one()
	r := judge([]*kill{{at: at(10)}}, []failure{
		{backend: b, granted: at(10.04), at: at(10.08), text: "second"},
		{backend: b, granted: at(9), at: at(10.06), text: "first"},
		{backend: b, granted: at(10.05), at: at(10.09), text: "third"},
	})
	require.Equal(t, 1, r.allowed)
	require.Equal(t, 2, r.broken())
	require.Len(t, r.breaches, 1)
	require.Contains(t, r.breaches[0].first, "backend 4711, granted 10ms before it was seen dead: second")
}

func TestFailuresAreTold(t *testing.T) {
	require.Equal(t, "text", failure{text: "text"}.String())
	require.Equal(t, "backend 1, which lives: text", failure{backend: &backend{pid: 1}, text: "text"}.String())
	require.Equal(t, "backend 4711, granted 150ms after it was seen dead: text",
		failure{backend: one(), granted: at(10.2), text: "text"}.String())
}
