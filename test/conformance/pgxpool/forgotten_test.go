package pgxpool_test

import (
	"runtime"
	"time"

	"github.com/jackc/pgx/v5"
)

// This file is about connections whose holder has dropped them without Release.

const forgotten = "A connection that is dropped without `Release`"

// collected is a pool of one connection, which was dropped, and what its holder has kept of it, when the garbage collector
// has had time to find that. pgxpool's is not closed, as its Close would wait for ever: such a case is fatal.
func (s *side) collected(drop func(pool) *pgx.Conn) (p pool, kept *pgx.Conn) {
	p = s.pool(settings{params: one, drain: 100 * time.Millisecond})
	if !s.ours {
		s.after = nil
	}
	kept = drop(p)
	for end := time.Now().Add(300 * time.Millisecond); p.Stat().AcquiredConns() > 0 && time.Now().Before(end); {
		runtime.GC()
		<-time.After(10 * time.Millisecond)
	}
	return p, kept
}

// rawOnly acquires a connection and keeps what Conn gives of it.
//
//go:noinline
func (s *side) rawOnly(p pool) *pgx.Conn {
	c, err := p.Acquire(s.ctx)
	s.ok(err)
	return c.Conn()
}

// dropped is a case of something that has a connection of the pool, and that nobody keeps.
func dropped(what string, begin func(s *side, p pool) error) behaviour {
	return behaviour{name: what + " that is dropped", fatal: true, differs: &difference{
		row:    forgotten,
		theirs: []string{"acquired 1", "deadline"},
		ours:   []string{"acquired 0", "none"},
	}, run: func(s *side) {
		p, _ := s.collected(func(p pool) *pgx.Conn { s.ok(begin(s, p)); return nil })
		s.say("acquired %d", p.Stat().AcquiredConns())
		s.ends(p.Ping(s.within(time.Second)))
	}}
}

var forgottenCases = []behaviour{
	{name: "who keeps only what Conn gives goes on", fatal: true, run: func(s *side) {
		p, raw := s.collected(s.rawOnly)
		var n int
		s.ends(raw.QueryRow(s.ctx, "select 7").Scan(&n))
		s.say("%d, acquired %d", n, p.Stat().AcquiredConns())
		_, err := p.Acquire(s.within(20 * time.Millisecond))
		s.ends(err)
		s.ok(raw.Close(s.ctx))
	}},
	dropped("an acquired connection", func(s *side, p pool) error { _, err := p.Acquire(s.ctx); return err }),
	dropped("a transaction", func(s *side, p pool) error { _, err := p.Begin(s.ctx); return err }),
	dropped("a result", func(s *side, p pool) error { _, err := p.Query(s.ctx, "select generate_series(1, 10)"); return err }),
}
