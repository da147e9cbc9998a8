package lab

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/faultproxy"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// at is a moment, in milliseconds.
func at(ms int) time.Time { return epoch.Add(time.Duration(ms) * time.Millisecond) }

// failed is a call that failed while it held a connection.
func failed(b *Backend, granted, ended int) Call {
	return Call{Began: at(granted), Granted: at(granted), Ended: at(ended), Err: errors.New("lost"), Backend: b}
}

func TestAResetExcusesWhoHeldThatConnectionAlone(t *testing.T) {
	resets := func() []faultproxy.Reset { return []faultproxy.Reset{{Client: "a", At: at(100), By: at(101)}} }
	a, b := &Backend{PID: 1, Socket: "a"}, &Backend{PID: 1, Socket: "b"}
	for name, c := range map[string]struct {
		call Call
		may  bool
	}{
		"held it":               {failed(a, 90, 102), true},
		"got it right after":    {failed(a, 102, 103), true},
		"got it too late":       {failed(a, 110, 111), false},
		"failed before":         {failed(a, 90, 95), false},
		"held another":          {failed(b, 90, 102), false},
		"held none":             {Call{Began: at(90), Ended: at(102), Err: errors.New("refused")}, false},
		"succeeded on the dead": {Call{Began: at(90), Granted: at(91), Ended: at(120), Backend: a}, true},
	} {
		x := &Experiment{setup: Setup{Resets: resets}, late: &lateness{}}
		require.Equal(t, c.may, len(x.breaches([]Call{c.call})) == 0, name)
	}
	x := &Experiment{setup: Setup{Resets: resets}, late: &lateness{}}
	require.Len(t, x.breaches([]Call{failed(a, 90, 102), failed(a, 91, 102)}), 1, "each connection fails one call")
}

func TestTheWorstDelaysOfTheMachineExcuse(t *testing.T) {
	resets := func() []faultproxy.Reset { return []faultproxy.Reset{{Client: "a", At: at(100), By: at(100)}} }
	late := []Call{failed(&Backend{Socket: "a"}, 120, 121)}
	ms := time.Millisecond
	for name, c := range map[string]struct {
		delays []delay
		may    bool
	}{
		"nothing":                         {nil, false},
		"one that explains it":            {[]delay{{until: at(119), by: 18 * ms}}, true},
		"one that is too short":           {[]delay{{until: at(119), by: 17 * ms}}, false},
		"two that explain it":             {[]delay{{until: at(110), by: 9 * ms}, {until: at(119), by: 9 * ms}}, true},
		"two at the same time":            {[]delay{{until: at(117), by: 12 * ms}, {until: at(119), by: 12 * ms}}, false},
		"many that are too short":         {[]delay{{until: at(106), by: 6 * ms}, {until: at(112), by: 6 * ms}, {until: at(118), by: 6 * ms}}, false},
		"one that was over":               {[]delay{{until: at(100), by: 18 * ms}}, false},
		"one that was almost over":        {[]delay{{until: at(110), by: 18 * ms}}, false},
		"one that came later":             {[]delay{{until: at(140), by: 18 * ms}}, false},
		"one that may have ended earlier": {[]delay{{until: at(124), by: 18 * ms, within: 5 * ms}}, true},
		"one seen too late":               {[]delay{{until: at(130), by: 18 * ms, within: 5 * ms}}, false},
	} {
		x := &Experiment{setup: Setup{Resets: resets}, late: &lateness{}}
		for _, d := range c.delays {
			x.late.note(d)
		}
		require.Equal(t, c.may, len(x.breaches(late)) == 0, name)
		require.Equal(t, c.may, x.excused == 1, name)
	}
}

func TestTheMachineExcusesFew(t *testing.T) {
	for excused, kept := range map[int]bool{0: true, 6: true, 7: false} {
		x := &Experiment{pool: ours{}, excused: excused, result: Result{FailedHolding: 40}}
		x.excuses()
		require.Equal(t, kept, len(x.result.Broken) == 0, excused)
		require.Equal(t, excused > 0, len(x.result.Notes) > 0, excused)
	}
}

// The callers of a row keep a machine as busy as this. What comes 50 ms late then was not held up all the time.
func TestUnderOrdinaryLoadAGrantThatIsLateIsNotExcused(t *testing.T) {
	late := watchLateness()
	late.watchThreads()
	ctx, cancel := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for range defaultCallers {
		load.Go(func() {
			for sum := []byte{1}; ctx.Err() == nil; Pass(ctx, rand.N(5*time.Millisecond)) {
				for range 100 {
					hash := sha256.Sum256(sum)
					sum = hash[:]
				}
			}
		})
	}
	began, slowest := time.Now(), time.Duration(0)
	for time.Since(began) < 2*time.Second {
		slept := time.Now()
		Pass(ctx, time.Millisecond)
		slowest = max(slowest, time.Since(slept))
	}
	ended := time.Now()
	cancel()
	load.Wait()
	late.stop()
	if slowest > 20*time.Millisecond {
		t.Skipf("the load of this machine is not ordinary: a sleep of 1 ms took %v", slowest)
	}
	x, n := &Experiment{late: late}, 0
	for died := began; died.Before(ended.Add(-50 * time.Millisecond)); died = died.Add(10 * time.Millisecond) {
		n++
		x.noticed(died, []Call{{Granted: died.Add(50 * time.Millisecond), Err: errors.New("lost")}})
	}
	t.Logf("%d of %d excused, the longest delay was %v", x.excused, n, late.seen())
	require.LessOrEqual(t, x.excused, n/4)
}

func TestAtDeadline(t *testing.T) {
	x := &Experiment{setup: Setup{Patience: time.Second}}
	over := fmt.Errorf("gave up: %w", context.DeadlineExceeded)
	for name, c := range map[string]struct {
		began, ended int
		err          error
		want         bool
	}{
		"at its deadline":                 {1000, 2001, over, true},
		"too early":                       {1000, 1900, over, false},
		"of something else":               {1000, 2001, errors.New("lost"), false},
		"before the fault":                {0, 1000, over, false},
		"before the cure can take effect": {5100, 6100, over, true},
		"after the cure":                  {5300, 6300, over, false},
	} {
		call := Call{Began: at(c.began), Ended: at(c.ended), Err: c.err}
		require.Equal(t, c.want, x.atDeadlineIn(call, at(1500), at(5000)), name)
	}
}

func TestWhichConnectionSeemedWellInASilence(t *testing.T) {
	x, f := &Experiment{late: &lateness{}}, &Fault{At: at(5000)}
	for name, c := range map[string]struct {
		heard, granted int
		well           bool
	}{
		"heard right before":         {5000, 5999, true},
		"had rested":                 {4100, 5099, true},
		"had rested for too long":    {4100, 5100, false},
		"after the checks had to":    {5100, 6001, false},
		"of which nobody knows when": {0, 5100, false},
	} {
		require.Equal(t, c.well, x.seemedWell(Call{Granted: at(c.granted)}, f, at(c.heard)), name)
	}
	require.False(t, x.seemedWell(Call{Granted: at(5100)}, f, time.Time{}), "never heard")
}

func TestTheMeterKnowsWhatItHeard(t *testing.T) {
	server, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer server.Close()
	m := &meter{}
	conn, err := m.dial(t.Context(), "tcp4", server.Addr().String())
	require.NoError(t, err)
	other, err := server.Accept()
	require.NoError(t, err)
	defer other.Close()
	socket, before := conn.LocalAddr().String(), time.Now()
	require.True(t, m.heard()[socket].Before(before))
	_, err = other.Write([]byte("here"))
	require.NoError(t, err)
	_, err = conn.Read(make([]byte, 4))
	require.NoError(t, err)
	require.WithinRange(t, m.heard()[socket], before, time.Now())
	require.NoError(t, conn.Close())
	require.Empty(t, m.heard())
}

func TestWhoWaitedInARefusal(t *testing.T) {
	for name, c := range map[string]struct {
		began, ended int
		waited       bool
	}{
		"told at once":            {1100, 1105, false},
		"told after the cure":     {1100, 2005, true},
		"there before":            {900, 2005, false},
		"came right before it":    {1950, 2005, false},
		"told right before it":    {1100, 1999, false},
		"came when it was cured":  {2001, 2005, false},
		"early enough to be told": {1899, 2000, true},
	} {
		require.Equal(t, c.waited, waitedIn(Call{Began: at(c.began), Ended: at(c.ended)}, at(1000), at(2000), toldWithin), name)
	}
	require.Equal(t, 1, probesIn(999*time.Millisecond))
	require.Equal(t, 2, probesIn(1500*time.Millisecond))
}

func TestWhenTheRateIsBack(t *testing.T) {
	w := &workload{}
	for ms := 0; ms < 6000; ms += 5 {
		if ms < 2000 || ms >= 3300 {
			w.calls = append(w.calls, Call{Ended: at(ms)})
		}
	}
	ends := w.goods()
	require.EqualValues(t, 50, ends.former(at(2000)))
	back := ends.recovered(50, at(3000))
	require.WithinRange(t, back, at(3280), at(3310), "the time over which it is taken does not count")
	require.Zero(t, ends.recovered(50, at(5900)), "not yet")
	require.Zero(t, ends.former(at(150)), "nobody has called for long enough")
}

func TestTheWorstDelaySinceATime(t *testing.T) {
	l := &lateness{}
	l.note(delay{until: at(100), by: 9 * time.Millisecond})
	l.note(delay{until: at(200), by: 3 * time.Millisecond})
	l.note(delay{until: at(300), by: 4 * time.Millisecond})
	l.note(delay{until: at(400), by: 5 * time.Millisecond, within: time.Millisecond}) // a thread's
	require.Equal(t, 9*time.Millisecond, l.since(at(99)))
	require.Equal(t, 4*time.Millisecond, l.since(at(100)))
	require.Zero(t, l.since(at(300)))
}

func TestDialsAreCountedInOutages(t *testing.T) {
	m := &meter{}
	for _, ms := range []int{0, 100, 200, 4000, 5050, 5150, 20_000, 20_001, 20_002} {
		m.dials = append(m.dials, at(ms))
	}
	all, busiest := m.count([]outage{{at(50), at(10_000)}})
	require.Equal(t, 9, all)
	require.Equal(t, 4, busiest, "100, 200, 4000 and 5050, or the last four")
	_, busiest = m.count(nil)
	require.Zero(t, busiest)
	_, busiest = m.count([]outage{{at(50), at(150)}, {at(19_000), at(21_000)}})
	require.Equal(t, 3, busiest)
}

func TestWhatMayBeInNoRow(t *testing.T) {
	require.Empty(t, Everywhere([]Result{{Max: 1, Peak: 1, Rows: rows{Acknowledged: 1, UnknownPresent: 1, UnknownAbsent: 1, Repeated: 1}}}))
	for name, r := range map[string]Result{
		"a failure that the rule forbids": {Forbidden: 1},
		"too many sockets":                {Max: 1, Peak: 2},
		"a row lost":                      {Rows: rows{Missing: 1}},
		"a row twice":                     {Rows: rows{Doubled: 1}},
		"a row that nobody committed":     {Rows: rows{Strange: 1}},
		"a lease left":                    {LeasesLeft: 1},
		"a socket left":                   {SocketsLeft: 1},
		"a goroutine left":                {GoroutinesLeft: 1},
		"a descriptor left":               {DescriptorsLeft: 1},
		"a backend left":                  {BackendsLeft: 1},
		"a server that does not tell":     {BackendsLeft: -1},
		"a bound of the row's own":        {Broken: []string{"too late"}},
	} {
		require.Len(t, Everywhere([]Result{r}), 1, name)
	}
}

func TestAFaultThatHitNobodyShowsNothing(t *testing.T) {
	require.Empty(t, HitsSomebody([]Result{{FailedHolding: 1}, {FailedHolding: 2}}))
	require.NotEmpty(t, HitsSomebody([]Result{{FailedHolding: 1}, {FailedWaiting: 2}}))
}

func TestABoundInTimeIsHeldAgainstTheMedianOfFive(t *testing.T) {
	late := Result{
		First: []time.Duration{time.Second}, Rate: []time.Duration{time.Minute}, Control: []time.Duration{time.Millisecond},
		RateControl: []time.Duration{time.Millisecond}, Took: []timing{{What: "ending", Took: time.Second, Control: time.Millisecond}},
	}
	for name, bound := range map[string]Bound{
		"first success": FirstWithin(100 * time.Millisecond), "rate": RateWithin(time.Second), "time": TookWithin("ending", time.Millisecond),
	} {
		require.NotEmpty(t, bound(slices.Repeat([]Result{late}, 5)), name)
		require.Empty(t, bound(slices.Repeat([]Result{late}, 4)), "%s: fewer show nothing", name)
	}
	require.NotEmpty(t, FirstWithin(time.Second)([]Result{{}}), "nothing was measured")
	require.NotEmpty(t, RateWithin(time.Second)([]Result{{}}), "nothing was measured")
	require.Empty(t, RateWithin(59_999*time.Millisecond)(slices.Repeat([]Result{late}, 5)), "the control is granted on top")
	require.Empty(t, FirstWithin(999*time.Millisecond)(slices.Repeat([]Result{late}, 5)), "the control is granted on top")
}
