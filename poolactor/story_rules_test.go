package poolactor

import (
	"context"
	"errors"
	"slices"
	"testing/synctest"
	"time"

	"github.com/seed-4ff2b7b9/supervised/actors"
)

// look waits until nobody has anything to do, and holds the pool against the model.
func (s *story) look() {
	synctest.Wait()
	s.waiters = slices.DeleteFunc(s.waiters, func(w *waiter) bool {
		select {
		case <-w.done:
			s.hasEnded(w)
			return true
		default:
			return false
		}
	})
	synctest.Wait() // those who have a lease have looked at their session
	s.exclusive()
	s.counts()
	s.limits()
	s.nobodyIsLeftBehind()
}

// hasEnded judges what a caller was told.
func (s *story) hasEnded(w *waiter) {
	if w.err == nil {
		s.endings[served]++
		s.granted(w)
		return
	}
	var unavailable *UnavailableError
	isUnavailable := errors.As(w.err, &unavailable)
	switch {
	case isUnavailable && !s.down && !s.suspended && s.openSince.Add(recoveryTime).Before(w.began):
		s.fail("a caller was told of an outage that was over: %v", w.err)
	case errors.Is(w.err, context.Canceled) && w.gaveUp:
		s.endings[givenUp]++
	case errors.Is(w.err, context.DeadlineExceeded) && !w.deadline.IsZero():
		s.endings[atItsDeadline]++
		if late := w.ended.Sub(w.deadline); late < 0 || late > 50*time.Millisecond {
			s.fail("a caller was told %v after its deadline: %v", late, w.err)
		}
	case isUnavailable && w.deadline.IsZero():
		s.endings[toldOfAnOutage]++
		if unavailable.Attempts == 0 {
			s.fail("a caller gave up before any attempt had failed: %v", w.err)
		}
	default:
		s.fail("a caller that waited for %v was told: %v", w.ended.Sub(w.began), w.err)
	}
}

// recoveryTime is how long a pool may take to notice that an outage is over.
const recoveryTime = 1200 * time.Millisecond

// granted judges what a caller was given.
func (s *story) granted(w *waiter) {
	t := w.lease.token.Load()
	l := &heldLease{Lease: w.lease, slot: t.slot, pid: t.slot.conn.Load().PID()}
	s.held = append(s.held, l)
	died, dead := s.died[l.pid]
	if dead && w.ended.Sub(died) > 2*time.Millisecond {
		s.fail("a caller got PID %d, which had been dead for %v", l.pid, w.ended.Sub(died))
	}
	if s.drained {
		s.fail("a caller got PID %d from a pool that was suspended", l.pid)
	}
	if !w.deadline.IsZero() && w.ended.After(w.deadline.Add(50*time.Millisecond)) {
		s.fail("a caller was served %v after its deadline", w.ended.Sub(w.deadline))
	}
	if dead {
		return
	}
	var memory string
	err := w.lease.QueryRow(context.Background(), "select current_setting('work_mem')").Scan(&memory)
	if status := t.slot.conn.Load().PGX().PgConn().TxStatus(); err != nil || memory != s.memory || status != 'I' {
		s.fail("the session of PID %d was not clean: work_mem %s, transaction status %c, %v", l.pid, memory, status, err)
	}
}

// exclusive: each lease has a place and a backend of its own.
func (s *story) exclusive() {
	places, pids := make(map[*slot]bool), make(map[uint32]bool)
	for _, l := range s.held {
		if places[l.slot] || pids[l.pid] {
			s.fail("two leases lead to PID %d", l.pid)
		}
		places[l.slot], pids[l.pid] = true, true
		if w := l.slot.word.Load(); w.state() != leased || w.gen() != l.gen || l.slot.conn.Load().PID() != l.pid {
			s.fail("the place of a lease on PID %d is %v", l.pid, w.state())
		}
	}
}

// counts: the pool's figures are the model's.
func (s *story) counts() {
	st := s.p.Stat()
	if st.Leased != len(s.held) || st.Checking == 0 && st.Waiting != len(s.waiters) {
		s.fail("%d are held, %d wait, but the pool says: %+v", len(s.held), len(s.waiters), st)
	}
	if st.Suspends != s.suspended || st.Max != s.most {
		s.fail("suspended %v, at most %d, but the pool says: %+v", s.suspended, s.most, st)
	}
	if s.drained && st.Leased+st.Cleaning > 0 {
		s.fail("something is out of a suspended pool: %+v", st)
	}
	if holders := s.p.Holders(); len(holders) != len(s.held) {
		s.fail("%d are held, but the pool knows %d holders", len(s.held), len(holders))
	}
}

// limits: there are no more sockets than the size allows; after a shrink they only become fewer until it does.
func (s *story) limits() {
	if peak, most := int(s.sockets.peak.Load()), max(s.mostSince, s.open); peak > most {
		s.fail("%d sockets and dials, %d are allowed", peak, most)
	}
	if len(s.held) >= s.most {
		s.openSince = time.Now() // there is no place for a dial that finds out
	}
	s.sockets.peak.Store(0)
	s.open, s.mostSince = int(s.sockets.now.Load()), s.most
}

// nobodyIsLeftBehind: somebody waits only where every place is taken, unless there is a reason.
func (s *story) nobodyIsLeftBehind() {
	waits := s.down || s.suspended || !s.p.outage.Load().Since.IsZero() || s.p.actor.Inspect().State != actors.Waiting
	if st := s.p.Stat(); !waits && st.Waiting > 0 && (st.Idle > 0 || st.Total() < s.most) {
		s.fail("somebody waits for nothing: %+v", st)
	}
}
