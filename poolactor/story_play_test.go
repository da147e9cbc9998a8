package poolactor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/actors"
	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
	"github.com/seed-4ff2b7b9/supervised/messages"
)

// story is a pool, its server, and what the model knows of both.
type story struct {
	p       *Pool
	server  *fakepg.Server
	sockets socketMeter
	memory  string // what work_mem is in a session that nobody has changed

	held    []*heldLease
	past    []*heldLease // were released
	waiters []*waiter

	most      int // the size in force, and the largest in force since the last turn
	mostSince int
	open      int // sockets after the last turn
	down      bool
	openSince time.Time // from when on the pool can find out that the server is up
	suspended bool
	drained   bool                 // Suspend has returned: nothing is out
	died      map[uint32]time.Time // backends

	endings [endings]int // how calls of Acquire ended

	turns  int
	log    []string // the turns so far, but for those in which nothing happens
	broken []string
}

// heldLease is a lease that the story has, or had.
type heldLease struct {
	*Lease
	slot *slot
	pid  uint32
}

// waiter is a call of Acquire.
type waiter struct {
	began    time.Time
	deadline time.Time // zero: none
	cancel   context.CancelFunc
	gaveUp   bool

	done  chan struct{}
	ended time.Time
	lease *Lease
	err   error
}

const forever = time.Duration(0)

// How a call of Acquire can end.
const (
	served = iota
	atItsDeadline
	givenUp
	toldOfAnOutage
	endings
)

func tell(t *testing.T, turns []turn) *story {
	s := &story{server: fakepg.New(), most: 4, mostSince: 4, died: make(map[uint32]time.Time)}
	defer s.server.Close()
	cfg := fakeConfig(s.server)
	cfg.DialFunc = s.sockets.dial(s.server.Dial)
	var err error
	s.p, err = Open(t.Context(), cfg)
	require.NoError(t, err)
	defer s.p.Close() // also when a turn panics
	require.NoError(t, s.p.QueryRow(t.Context(), "select current_setting('work_mem')").Scan(&s.memory))
	for _, turn := range turns {
		what := happenings[turn.what]
		if turn.what != 0 {
			s.turns++
			s.log = append(s.log, turn.String())
		}
		what.do(s, turn.n)
		if s.look(); len(s.broken) > 0 {
			break
		}
	}
	s.end()
	return s
}

func (s *story) fail(format string, args ...any) {
	s.broken = append(s.broken, fmt.Sprintf(format, args...))
}

// end gives everything back, after which everybody is served, and closes the pool, after which nothing is left.
func (s *story) end() {
	noMoreCrashes()
	s.serverUp()
	s.resume()
	for range 1000 {
		for len(s.held) > 0 {
			s.giveBack(0, (*Lease).Release)
		}
		if len(s.waiters) == 0 {
			break
		}
		s.pass(100 * time.Millisecond)
		s.look()
	}
	if len(s.waiters) > 0 {
		s.fail("%d callers wait for ever: %+v", len(s.waiters), s.p.Stat())
		for _, w := range s.waiters {
			w.cancel()
		}
	}
	if err := s.p.Close(); err != nil {
		s.fail("close: %v", err)
	}
	synctest.Wait()
	if n := s.server.Connections(); n > 0 || s.sockets.now.Load() > 0 || s.p.Stat().Total() > 0 || s.p.waiting.Load() != 0 {
		s.fail("the closed pool has left %d connections, %d sockets: %+v", n, s.sockets.now.Load(), s.p.Stat())
	}
}

func (s *story) pass(d time.Duration) { pass(d) }

// acquire lets somebody call.
func (s *story) acquire(patience time.Duration) { s.call(patience, s.p.Acquire) }

// ask lets somebody call by message.
func (s *story) ask(patience time.Duration) {
	var m messages.Acquire
	if patience != forever {
		m.Deadline = time.Now().Add(patience)
	}
	w := s.call(forever, func(ctx context.Context) (*Lease, error) {
		return actors.Ask(ctx, s.p.Ref(), func(r actors.Reply[*Lease]) ToPool { return ToPool{Acquire: m, Reply: r} })
	})
	w.deadline = m.Deadline
}

func (s *story) call(patience time.Duration, how func(context.Context) (*Lease, error)) *waiter {
	ctx, cancel := context.WithCancel(context.Background())
	w := &waiter{began: time.Now(), cancel: cancel, done: make(chan struct{})}
	if patience != forever {
		w.deadline = w.began.Add(patience)
		ctx, w.cancel = context.WithDeadline(ctx, w.deadline)
	}
	s.waiters = append(s.waiters, w)
	go func() {
		defer close(w.done)
		w.lease, w.err = how(ctx)
		w.ended = time.Now()
		cancel()
	}()
	return w
}

func (s *story) giveUp(n int) {
	if len(s.waiters) > 0 {
		w := s.waiters[n%len(s.waiters)]
		w.gaveUp = true
		w.cancel()
	}
}

// take takes a lease out of those that are held; nil if there is none.
func (s *story) take(n int) *heldLease {
	if len(s.held) == 0 {
		return nil
	}
	i := n % len(s.held)
	l := s.held[i]
	s.held = slices.Delete(s.held, i, i+1)
	return l
}

// tellBack gives a lease back by message.
func (s *story) tellBack(l *Lease) {
	if err := s.p.Ref().Tell(context.Background(), ToPool{Release: l}); err != nil {
		s.fail("a release by message: %v", err)
	}
	synctest.Wait()
}

func (s *story) giveBack(n int, how func(*Lease)) {
	if l := s.take(n); l != nil {
		how(l.Lease)
		s.past = append(s.past, l)
	}
}

// afterRelease does something with a lease that was released. What must not change is looked at after the turn.
func (s *story) afterRelease(n int, do func(*heldLease)) {
	if len(s.past) > 0 {
		do(s.past[n%len(s.past)])
	}
}

func (s *story) useInVain(l *heldLease) {
	if _, err := l.Exec(context.Background(), "select 1"); !errors.Is(err, ErrReleased) {
		s.fail("a lease that was released answered: %v", err)
	}
}

// forget does what the leak watch does when the garbage collector finds a lease.
func (s *story) forget(n int) {
	if l := s.take(n); l != nil {
		reclaim(lostLease{slot: l.slot, tid: l.token.Load().tid})
	}
}

// use runs a statement on a lease: on its own backend, if that lives.
func (s *story) use(n int) {
	if len(s.held) == 0 {
		return
	}
	l := s.held[n%len(s.held)]
	var pid uint32
	err := l.QueryRow(context.Background(), "select pg_backend_pid()").Scan(&pid)
	_, dead := s.died[l.pid]
	switch {
	case err == nil && (dead || pid != l.pid):
		s.fail("a lease on PID %d was answered by PID %d", l.pid, pid)
	case err != nil && !dead && l.slot.conn.Load().PGX().PgConn().TxStatus() != 'E':
		s.fail("a lease on PID %d, which lives, failed: %v", l.pid, err)
	}
}

// change leaves a session other than it was, or a transaction open.
func (s *story) change(n int) {
	if len(s.held) > 0 {
		texts := []string{"set work_mem = '1MB'", "begin", "listen news", "prepare mine as select 1"}
		_, _ = s.held[n%len(s.held)].Exec(context.Background(), texts[n%len(texts)]) // its backend may be dead
	}
}

// resize waits until the actor is there to bring it about.
func (s *story) resize(n int) {
	most := 1 + n%6
	if err := s.p.Resize(context.Background(), n%(most+1), most); err != nil {
		s.fail("resize: %v", err)
	}
	s.most, s.mostSince = most, max(s.mostSince, most)
}

func (s *story) suspend(n int) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(n)*time.Millisecond)
	defer cancel()
	s.suspended = true
	switch err := s.p.Suspend(ctx); {
	case err == nil:
		s.drained = true
	case !errors.Is(err, context.DeadlineExceeded):
		s.fail("suspend: %v", err)
	}
}

func (s *story) resume() {
	if err := s.p.Resume(); err != nil {
		s.fail("resume: %v", err)
	}
	if s.suspended {
		s.suspended, s.drained, s.openSince = false, false, time.Now()
	}
}

// evict waits a moment at most; what it was waiting for leaves in later turns.
func (s *story) evict(n int) {
	old := s.server.PIDs()
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(n)*10*time.Millisecond)
	defer cancel()
	if err := s.p.Evict(ctx, time.Duration(n%4)*50*time.Millisecond); err != nil {
		if !errors.Is(err, context.DeadlineExceeded) {
			s.fail("evict: %v", err)
		}
		return
	}
	if n := stay(s.server, old); n > 0 {
		s.fail("%d of %d connections outlived their eviction", n, len(old))
	}
}

func (s *story) serverDown() {
	s.mourn(s.server.PIDs()...)
	s.server.Stop()
	s.down = true
}

func (s *story) serverUp() {
	if s.down {
		s.server.Start()
		s.down, s.openSince = false, time.Now()
	}
}

func (s *story) kill(n int) {
	if pids := s.server.PIDs(); len(pids) > 0 {
		victim := pids[n%len(pids)]
		s.mourn(victim)
		s.server.Kill(victim)
	}
}

func (s *story) terminate() {
	s.mourn(s.server.PIDs()...)
	s.server.Terminate("57P01")
}

func (s *story) mourn(pids ...uint32) {
	for _, pid := range pids {
		if _, dead := s.died[pid]; !dead {
			s.died[pid] = time.Now()
		}
	}
}
