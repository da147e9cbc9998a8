package poolactor

import (
	"sync/atomic"
	"time"

	"github.com/seed-4ff2b7b9/supervised/actors"
)

// actorStatus is what can be seen of the actor from outside while it runs, hangs or is down.
type actorStatus struct {
	state   atomic.Uint32
	since   atomic.Int64
	lives   atomic.Uint64
	crashes atomic.Uint64
	rounds  atomic.Uint64
}

func (s *actorStatus) set(st actors.State) {
	s.state.Store(uint32(st))
	s.since.Store(time.Now().UnixNano())
}

func (s *actorStatus) begin() {
	s.lives.Add(1)
	s.set(actors.Starting)
}

// handling marks the beginning of a round, waiting its end.
func (s *actorStatus) handling() {
	s.rounds.Add(1)
	s.set(actors.Handling)
}

func (s *actorStatus) waiting() { s.state.Store(uint32(actors.Waiting)) }

func (s *actorStatus) end(orderly bool) {
	if orderly {
		s.set(actors.Stopped)
		return
	}
	s.crashes.Add(1)
	s.set(actors.Down)
}

func (s *actorStatus) snapshot(p *Pool) actors.Status {
	return actors.Status{
		Name:     "pool",
		State:    actors.State(s.state.Load()),
		Since:    time.Unix(0, s.since.Load()),
		Lives:    s.lives.Load(),
		Crashes:  s.crashes.Load(),
		Handled:  s.rounds.Load(),
		Mailbox:  len(p.hints),
		Capacity: cap(p.hints),
	}
}
