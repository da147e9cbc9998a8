package judge

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	t0      = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	errLost = errors.New("connection lost")
)

// at is a time of the story that each test tells: the first fault is at 10 s, the second at 20 s.
func at(seconds float64) time.Time { return t0.Add(time.Duration(seconds * float64(time.Second))) }

func story() []*Fault { return []*Fault{{At: at(10)}, {At: at(20), Lag: 30 * time.Millisecond}} }

// one is a backend of the first server, which died 50 ms after the fault.
func one() *Backend {
	return &Backend{PID: 4711, Postmaster: at(0), Started: at(1), Died: at(10.05)}
}

// two is a backend of the second server, which died 10 ms after the fault.
func two() *Backend {
	return &Backend{PID: 4712, Postmaster: at(11), Started: at(12), Died: at(20.01)}
}

func TestTheRule(t *testing.T) {
	const noLease = "a call failed that held no lease"
	for name, c := range map[string]struct {
		call   Call
		breach string
	}{
		"it held a lease":                       {Call{Backend: one(), Granted: at(9.9), Ended: at(10.06)}, ""},
		"it held a lease and failed much later": {Call{Backend: one(), Granted: at(9.9), Ended: at(20.02)}, ""},
		"it got one while the backend lived on": {Call{Backend: one(), Granted: at(10.04), Ended: at(10.06)}, ""},
		"it got one within the grace":           {Call{Backend: one(), Granted: at(10.052), Ended: at(10.06)}, ""},
		"it got one after the grace":            {Call{Backend: one(), Granted: at(10.0521), Ended: at(10.06)}, tooLate},
		"the grace is that of its own fault":    {Call{Backend: one(), Granted: at(10.06), Ended: at(20.02)}, tooLate},
		"it held none":                          {Call{Ended: at(10.06)}, noLease},
		"it failed at the very fault":           {Call{Backend: one(), Granted: at(9), Ended: at(10)}, ""},
		"before the fault":                      {Call{Backend: one(), Granted: at(9), Ended: at(9.5)}, notHit},
		"the second server lives":               {Call{Backend: two(), Granted: at(15), Ended: at(16)}, notHit},
		"on the second server":                  {Call{Backend: two(), Granted: at(15), Ended: at(20.02)}, ""},
		"within what the machine added":         {Call{Backend: two(), Granted: at(20.042), Ended: at(20.05)}, ""},
		"after what the machine added":          {Call{Backend: two(), Granted: at(20.0421), Ended: at(20.05)}, tooLate},
		"on a server that was never hit":        {Call{Backend: &Backend{Postmaster: at(21), Started: at(22)}, Granted: at(23), Ended: at(24)}, notHit},
		"its backend is not known to have died": {Call{Backend: &Backend{Postmaster: at(0), Started: at(1)}, Granted: at(10.5), Ended: at(13)}, ""},
		"its backend started after the fault":   {Call{Backend: &Backend{Postmaster: at(0), Started: at(10.001)}, Granted: at(10.5), Ended: at(13)}, notThere},
		"its backend had died before the fault": {Call{Backend: &Backend{Postmaster: at(0), Started: at(1), Died: at(9)}, Granted: at(8), Ended: at(13)}, notThere},
		"the server outlives a fault":           {Call{Backend: &Backend{Postmaster: at(0), Started: at(12), Died: at(20.01)}, Granted: at(15), Ended: at(20.02)}, ""},
		"between two faults that it outlives":   {Call{Backend: &Backend{Postmaster: at(0), Started: at(12), Died: at(20.01)}, Granted: at(15), Ended: at(16)}, notThere},
	} {
		t.Run(name, func(t *testing.T) {
			c.call.Err = errLost
			v := Rule([]Call{c.call}, story())
			if c.breach == "" {
				require.Equal(t, Verdict{Permitted: 1}, v)
				return
			}
			require.Zero(t, v.Permitted)
			require.Equal(t, []Breach{{What: c.breach, Times: 1, First: c.call.String()}}, v.Breaches)
		})
	}
}

// Where nobody saw the backends die, whoever caused the fault says when they were dead.
func TestTheRuleByMoments(t *testing.T) {
	faults := []*Fault{{At: at(20), DeadBy: at(20.1)}, {At: at(10), DeadBy: at(10.1)}}
	for name, c := range map[string]struct {
		granted, ended float64
		breach         string
	}{
		"it held a lease":           {9.9, 10.05, ""},
		"it got one while some die": {10.09, 10.2, ""},
		"it got one in the grace":   {10.102, 10.2, ""},
		"it got one too late":       {10.1021, 10.2, tooLate},
		"another fault came":        {10.2, 20.05, ""},
		"it failed before":          {9, 9.9, notHit},
	} {
		t.Run(name, func(t *testing.T) {
			b := &Backend{PID: 4711, Socket: "127.0.0.1:40312"}
			call := Call{Backend: b, Granted: at(c.granted), Ended: at(c.ended), Err: errLost}
			v := Rule([]Call{call}, faults)
			if c.breach == "" {
				require.Equal(t, Verdict{Permitted: 1}, v)
				return
			}
			require.Equal(t, []Breach{{What: c.breach, Times: 1, First: call.String()}}, v.Breaches)
		})
	}
}

func TestABackendFailsOneCallAndNoMore(t *testing.T) {
	b := one()
	v := Rule([]Call{
		{Backend: b, Granted: at(10.04), Ended: at(10.08), Err: errors.New("second")},
		{Backend: b, Granted: at(9), Ended: at(10.06), Err: errors.New("first")},
		{Backend: b, Granted: at(10.05), Ended: at(10.09), Err: errors.New("third")},
	}, story())
	require.Equal(t, 1, v.Permitted)
	require.Equal(t, 2, v.Broken())
	require.Equal(t, []Breach{{
		What: "a call failed on a backend that had failed a call already", Times: 2,
		First: "backend 4711, of 03:04:06.000, granted 10ms before it was seen dead: second",
	}}, v.Breaches)
}

func TestEachBackendMayFailACall(t *testing.T) {
	again := two() // a process id may come back with another server
	again.PID = one().PID
	v := Rule([]Call{
		{Backend: one(), Granted: at(9), Ended: at(10.06), Err: errLost},
		{Backend: one(), Granted: at(9), Ended: at(10.06), Err: errLost},
		{Backend: again, Granted: at(19), Ended: at(20.02), Err: errLost},
	}, story())
	require.Equal(t, Verdict{Permitted: 3}, v)
}

func TestCallsThatSucceededAreNotJudged(t *testing.T) {
	require.Equal(t, Verdict{}, Rule([]Call{{Backend: one(), Granted: at(11), Ended: at(12)}, {Ended: at(12)}}, story()))
}

func TestBreachesAreCountedByKind(t *testing.T) {
	v := Rule([]Call{{Ended: at(1), Err: errLost}, {Backend: one(), Ended: at(2), Err: errLost}, {Ended: at(3), Err: errLost}}, nil)
	require.Equal(t, 3, v.Broken())
	require.Len(t, v.Breaches, 2)
	require.Equal(t, 2, v.Breaches[0].Times)
}

func TestFailuresAreTold(t *testing.T) {
	require.Equal(t, "connection lost", Call{Err: errLost}.String())
	require.Equal(t, "backend 1, whose death nobody saw: connection lost", Call{Backend: &Backend{PID: 1}, Err: errLost}.String())
	require.Equal(t, "backend 4711, of 03:04:06.000, granted 150ms after it was seen dead: connection lost",
		Call{Backend: one(), Granted: at(10.2), Err: errLost}.String())
}
