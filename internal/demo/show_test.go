package demo

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed-4ff2b7b9/supervised/internal/judge"
)

func TestBucketsHoldWhatTheySay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, int64(1000*time.Hour)).Draw(t, "d"))
		i := bucketOf(d)
		require.Less(t, d, ceiling(i))
		if i > 0 {
			require.GreaterOrEqual(t, d, ceiling(i-1))
			require.LessOrEqual(t, float64(ceiling(i)-time.Microsecond), float64(d)*1.126+float64(time.Microsecond))
		}
	})
	require.Zero(t, bucketOf(-time.Second))
	require.Equal(t, bucketNumber-1, bucketOf(1<<62))
}

func TestQuantiles(t *testing.T) {
	var l latency
	require.Zero(t, l.snapshot().quantile(0.5))
	for i := range 100 {
		l.add(time.Duration(i+1) * time.Millisecond)
	}
	d := l.snapshot()
	require.InEpsilon(t, 50*time.Millisecond, d.quantile(0.5), 0.13)
	require.InEpsilon(t, 99*time.Millisecond, d.quantile(0.99), 0.13)
	require.InEpsilon(t, time.Millisecond, d.quantile(0), 0.13)
}

func TestPlainLinesWithoutATerminal(t *testing.T) {
	var out bytes.Buffer
	s := newScreen(&out)
	s.status("one")
	s.say("two")
	require.Equal(t, "one\ntwo\n", out.String())
	require.Equal(t, time.Second, s.period())
}

func TestOneLiveLineOnATerminal(t *testing.T) {
	var out bytes.Buffer
	s := &screen{out: &out, live: true, width: func() int { return 4 }}
	s.status("größer")
	s.say("whole line")
	require.Equal(t, "\r\x1b[2Kgrö\r\x1b[2Kwhole line\n", out.String())
	require.Less(t, s.period(), time.Second)
}

func TestNumbersForPeople(t *testing.T) {
	for says, n := range map[string]int64{"0": 0, "999": 999, "1,000": 1000, "1,234,567": 1234567, "-1,000": -1000, "-100": -100} {
		require.Equal(t, says, grouped(n))
	}
	for says, d := range map[string]time.Duration{
		"0s": 0, "99µs": 99 * time.Microsecond, "120µs": 123 * time.Microsecond, "12ms": 12345 * time.Microsecond, "1.2s": 1234 * time.Millisecond,
	} {
		require.Equal(t, says, digits(d))
	}
	require.Equal(t, "0.3s", tenths(260*time.Millisecond))
}

// fine is a report of a demo that went well.
func fine() report {
	var l latency
	l.add(time.Millisecond)
	return report{
		took: 30 * time.Second, restarts: 3, figures: figures{acknowledged: 12345, reads: 6000, writes: 6345, failed: 2, unknown: 1},
		kills: []*kill{
			{calls: 100, fault: &judge.Fault{}},
			{calls: 5100, fault: &judge.Fault{Lag: 3 * time.Millisecond}},
			{calls: 7000, fault: &judge.Fault{}},
		},
		latency: l.snapshot(), longest: time.Second, rule: judge.Verdict{Permitted: 3},
		table: audit{acknowledged: 6345, unknown: 1},
	}
}

func TestTheReportOfAPromiseThatWasKept(t *testing.T) {
	r := fine()
	require.True(t, r.kept())
	for _, part := range []string{"3; 3 restarts", "12,345 acknowledged", "at least 1,900 between two kills", "3 allowed by the rule, 0 not", "3ms", "kept its promise"} {
		require.Contains(t, r.String(), part)
	}
}

func TestTheReportOfAPromiseThatWasBroken(t *testing.T) {
	breaches := []judge.Breach{{What: "what", Times: 2, First: "how"}}
	for name, change := range map[string]func(*report){
		"a failure":  func(r *report) { r.rule.Breaches = breaches },
		"a key":      func(r *report) { r.table.missing = 1 },
		"a read":     func(r *report) { r.misread = 1 },
		"never held": func(r *report) { r.kills = nil },
	} {
		r := fine()
		change(&r)
		require.False(t, r.kept(), name)
		require.NotContains(t, r.String(), "kept its promise")
	}
	r := fine()
	r.rule.Breaches = breaches
	require.Contains(t, r.String(), "2 times: what")
	require.Contains(t, r.String(), "the first: how")
	require.Contains(t, r.String(), "The promise is broken.")
	least, known := report{kills: []*kill{{}}}.leastBetweenKills()
	require.False(t, known)
	require.Zero(t, least)
}
