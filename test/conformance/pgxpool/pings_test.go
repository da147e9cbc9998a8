package pgxpool_test

import (
	"sync/atomic"
	"time"
)

// This file is about the pings of a pool that has no ShouldPing.

// late plays a call that meets a connection whose server answers late, and says what becomes of both.
func (s *side) late(params string, by time.Duration) {
	slow := new(atomic.Bool)
	p := s.pool(settings{params: "pool_max_conns=4 " + params, conn: s.firstLate(slow, by)})
	first := s.pidOf(p)
	slow.Store(true)
	<-time.After(1100 * time.Millisecond) // it is idle for long enough to be pinged
	c := s.acquire(p)
	s.say("the same: %v", pid(c) == first)
	c.Release()
	<-time.After(by)
	slow.Store(false)
	s.say("it lives: %v", s.lives(first))
}

func (s *side) lives(pid uint32) (there bool) {
	s.ok(s.direct.QueryRow(s.ctx, "select exists (select from pg_stat_activity where pid = $1)", pid).Scan(&there))
	return there
}

var pingCases = []behaviour{
	{name: "a ping without a time-out", differs: &difference{
		row:    "`PingTimeout` without `ShouldPing`",
		theirs: []string{"the same: true", "it lives: true"},
		ours:   []string{"the same: false", "it lives: true"},
	}, run: func(s *side) { s.late("", 1500*time.Millisecond) }},
	{name: "a ping with a time-out", differs: &difference{
		row:    "`PingTimeout` without `ShouldPing`",
		theirs: []string{"the same: false", "it lives: false"},
		ours:   []string{"the same: false", "it lives: true"},
	}, run: func(s *side) { s.late("pool_ping_timeout=200ms", time.Second) }},
}
