package poolactor

import (
	"context"
	"errors"
	"time"
)

// This file has the turns of those who run the pool, and of its server.

// resize waits until the actor is there to bring it about.
func (s *story) resize(n int) bool {
	most := 1 + n%6
	if err := s.p.Resize(context.Background(), n%(most+1), most); err != nil {
		s.fail("resize: %v", err)
	}
	other := most != s.most
	s.most, s.mostSince = most, max(s.mostSince, most)
	return other
}

func (s *story) suspend(n int) bool {
	before := s.drained
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(n)*time.Millisecond)
	defer cancel()
	s.suspended = true
	switch err := s.p.Suspend(ctx); {
	case err == nil:
		s.drained = true
	case !errors.Is(err, context.DeadlineExceeded):
		s.fail("suspend: %v", err)
	}
	return !before
}

func (s *story) resume() bool {
	if err := s.p.Resume(); err != nil {
		s.fail("resume: %v", err)
	}
	was := s.suspended
	if was {
		s.suspended, s.drained, s.openSince = false, false, time.Now()
	}
	return was
}

// evict waits a moment at most; what it was waiting for leaves in later turns.
func (s *story) evict(n int) bool {
	old := s.server.PIDs()
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(n)*10*time.Millisecond)
	defer cancel()
	if err := s.p.Evict(ctx, time.Duration(n%4)*50*time.Millisecond); err != nil {
		if !errors.Is(err, context.DeadlineExceeded) {
			s.fail("evict: %v", err)
		}
		return true
	}
	if n := stay(s.server, old); n > 0 {
		s.fail("%d of %d connections outlived their eviction", n, len(old))
	}
	return len(old) > 0
}

func (s *story) serverDown() bool {
	was := s.down
	s.mourn(s.server.PIDs()...)
	s.server.Stop()
	s.down = true
	return !was
}

func (s *story) serverUp() bool {
	was := s.down
	if was {
		s.server.Start()
		s.down, s.openSince = false, time.Now()
	}
	return was
}

func (s *story) kill(n int) bool {
	pids := s.server.PIDs()
	if len(pids) == 0 {
		return false
	}
	victim := pids[n%len(pids)]
	s.mourn(victim)
	s.server.Kill(victim)
	return true
}

func (s *story) terminate() bool {
	pids := s.server.PIDs()
	s.mourn(pids...)
	s.server.Terminate("57P01")
	return len(pids) > 0
}

func (s *story) mourn(pids ...uint32) {
	for _, pid := range pids {
		if _, dead := s.died[pid]; !dead {
			s.died[pid] = time.Now()
		}
	}
}
