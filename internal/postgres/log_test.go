package postgres

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseLog(t *testing.T) {
	lines := ParseLog("" +
		"no entry before it\n" +
		"2026-01-02 03:04:05.678 UTC [4711] 00000 LOG:  database system is ready to accept connections\n" +
		"2026-01-02 03:04:06.001 UTC [4712] 57P01 FATAL:  terminating: by order\n" +
		"2026-01-02 03:04:06.001 UTC [4712] 57P01 STATEMENT:  select\n" +
		"\t1\n")
	require.Equal(t, []Line{
		{
			At: time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC), PID: 4711, Code: "00000", Severity: "LOG",
			Text: "database system is ready to accept connections",
		},
		{
			At: time.Date(2026, 1, 2, 3, 4, 6, 1_000_000, time.UTC), PID: 4712, Code: "57P01", Severity: "FATAL",
			Text: "terminating: by order",
		},
		{
			At: time.Date(2026, 1, 2, 3, 4, 6, 1_000_000, time.UTC), PID: 4712, Code: "57P01", Severity: "STATEMENT",
			Text: "select\n1",
		},
	}, lines)
	require.True(t, lines[0].Ready())
	require.False(t, lines[1].Ready())
	require.True(t, Line{Text: "database system is ready to accept read-only connections"}.Ready())
}

func TestJudge(t *testing.T) {
	for text, want := range map[string]verdict{
		`could not bind IPv4 address "127.0.0.1": Address already in use`: portTaken,
		`pre-existing shared memory block (key 1, ID 2) is still in use`:  leftOver,
		`lock file "postmaster.pid" already exists`:                       leftOver,
		`unrecognized configuration parameter "nonsense"`:                 final,
	} {
		require.Equal(t, want, judge([]Line{{Text: "something else"}, {Text: text}}), text)
	}
	require.Equal(t, final, judge(nil))
}
