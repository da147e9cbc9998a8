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
	s.takenAway()
	s.exclusive()
	s.counts()
	s.limits()
	s.nobodyIsLeftBehind()
}

// hasEnded judges what a caller was told.
func (s *story) hasEnded(w *waiter) {
	if !errors.Is(w.err, ErrTooManyWaiters) {
		s.rightlyLetIn(w)
	}
	switch {
	case w.err == nil && w.work == nil:
		s.endings[served]++
		s.granted(w)
		return
	case w.work != nil:
		s.longest = max(s.longest, w.ended.Sub(w.began))
		if s.worked(w) {
			return
		}
	}
	var unavailable *UnavailableError
	isUnavailable := errors.As(w.err, &unavailable)
	switch {
	case isUnavailable && !s.down && !s.suspended && s.openSince.Add(recoveryTime).Before(w.began):
		s.fail("a caller was told of an outage that was over: %v", w.err)
	case errors.Is(w.err, ErrTooManyWaiters):
		s.endings[toldOfACrowd]++
		s.rightlyTurnedAway(w)
	case errors.Is(w.err, ErrShed):
		s.endings[toldOfTooLittleTime]++
		s.rightlyShed(w)
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
	l := &heldLease{Lease: w.lease, slot: t.slot, pid: w.lease.conn.PID(), label: w.label, since: w.ended}
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
	if dead || !t.slot.isOf(l.gen) {
		return
	}
	var memory string
	err := w.lease.QueryRow(context.Background(), "select current_setting('work_mem')").Scan(&memory)
	want := s.memory
	if s.changed[l.pid] {
		want = "1MB"
	}
	if status := t.slot.conn.Load().PGX().PgConn().TxStatus(); err != nil || memory != want || status != 'I' {
		s.fail("the session of PID %d was not as it should be: work_mem %s, transaction status %c, %v", l.pid, memory, status, err)
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
	busy := s.busy() // each of these may have a lease, or wait, or pause before its next attempt
	waiting := len(s.waiters) - busy
	if n := st.Leased - len(s.held); n < 0 || n > busy {
		s.fail("%d are held, and %d calls work, but the pool says: %+v", len(s.held), busy, st)
	}
	if n := st.Waiting - waiting; st.Checking == 0 && (n < 0 || n > busy) {
		s.fail("%d wait, and %d calls work, but the pool says: %+v", waiting, busy, st)
	}
	if st.Suspends != s.suspended || st.Max != s.most {
		s.fail("suspended %v, at most %d, but the pool says: %+v", s.suspended, s.most, st)
	}
	if s.drained && st.Leased+st.Cleaning > 0 {
		s.fail("something is out of a suspended pool: %+v", st)
	}
	if holders := s.p.Holders(); len(holders) != st.Leased {
		s.fail("%d are held, but the pool knows %d holders", st.Leased, len(holders))
	}
}

// limits: there are no more sockets than the size allows; after a shrink they only become fewer until it does.
func (s *story) limits() {
	if peak, most := int(s.sockets.peak.Load()), max(s.mostSince, s.open); peak > most {
		s.fail("%d sockets and dials, %d are allowed", peak, most)
	}
	if s.p.Stat().Leased >= s.most {
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
