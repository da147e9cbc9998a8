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
	terms
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
	blamed    map[uint32]bool      // those whose death has failed a call
	changed   map[uint32]bool      // sessions that ResetNone leaves as they are

	calls   int
	longest time.Duration // that a lease has lasted
	gossip  gossip
	works   []*work // that calls were to do

	endings [endings]int // how calls ended

	turns  int
	log    []string // the turns so far, but for those in which nothing happens
	broken []string
}

// heldLease is a lease that the story has, or had.
type heldLease struct {
	*Lease
	slot   *slot
	pid    uint32
	label  string
	since  time.Time
	inTx   bool // what it changes then, the end of the transaction undoes
	warned bool
}

// waiter is a call that waits for a connection, or works with one.
type waiter struct {
	label    string
	work     *work // nil: the call is for a lease
	before   scene // what it met
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

// How a call can end, or its lease.
const (
	served = iota
	atItsDeadline
	givenUp
	toldOfAnOutage
	toldOfACrowd
	toldOfTooLittleTime
	done
	doneAgain
	exhaustedAttempts
	lost
	warnedOf
	takenAway
	endings
)

var endingNames = [endings]string{
	"were served", "ended at their deadlines", "were given up", "were told of an outage", "were turned away", "were shed",
	"did their work", "did it in another attempt", "ran out of attempts", "lost their statement with its connection",
	"were told about for being held for long", "were taken away",
}

func tell(t *testing.T, how terms, turns []turn) *story {
	s := &story{
		terms: how, server: fakepg.New(), most: 4, mostSince: 4,
		died: make(map[uint32]time.Time), blamed: make(map[uint32]bool), changed: make(map[uint32]bool),
	}
	defer s.server.Close()
	cfg := fakeConfig(s.server)
	cfg.DialFunc = s.sockets.dial(s.server.Dial)
	how.configure(&cfg)
	var err error
	s.p, err = Open(t.Context(), cfg)
	require.NoError(t, err)
	defer s.p.Close() // also when a turn panics
	s.gossip.listen(s.p)
	require.NoError(t, s.p.QueryRow(t.Context(), "select current_setting('work_mem')").Scan(&s.memory))
	for _, turn := range turns {
		what := happenings[turn.what]
		if turn.what != 0 {
			s.log = append(s.log, turn.String())
		}
		if what.do(s, turn.n) {
			s.turns++
		}
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
	s.ledgerIsRight()
	if n := s.server.Connections(); n > 0 || s.sockets.now.Load() > 0 || s.p.Stat().Total() > 0 || s.p.waiting.Load() != 0 {
		s.fail("the closed pool has left %d connections, %d sockets: %+v", n, s.sockets.now.Load(), s.p.Stat())
	}
}

func (s *story) pass(d time.Duration) bool {
	pass(d)
	return d > 0
}

// acquire lets somebody call.
func (s *story) acquire(patience time.Duration) bool {
	s.call(patience, nil, func(ctx context.Context, label string) (*Lease, error) {
		return s.p.Acquire(WithLabel(ctx, label))
	})
	return true
}

// ask lets somebody call by message.
func (s *story) ask(patience time.Duration) bool {
	var m messages.Acquire
	if patience != forever {
		m.Deadline = time.Now().Add(patience)
	}
	w := s.call(forever, nil, func(ctx context.Context, label string) (*Lease, error) {
		m.Label = label
		return actors.Ask(ctx, s.p.Ref(), func(r actors.Reply[*Lease]) ToPool { return ToPool{Acquire: m, Reply: r} })
	})
	w.deadline = m.Deadline
	return true
}

func (s *story) call(patience time.Duration, what *work, how func(context.Context, string) (*Lease, error)) *waiter {
	ctx, cancel := context.WithCancel(context.Background())
	s.calls++
	w := &waiter{
		label: fmt.Sprintf("call %d", s.calls), work: what, before: s.meets(), began: time.Now(), cancel: cancel, done: make(chan struct{}),
	}
	if patience != forever {
		w.deadline = w.began.Add(patience)
		ctx, w.cancel = context.WithDeadline(ctx, w.deadline)
	}
	s.waiters = append(s.waiters, w)
	go func() {
		defer close(w.done)
		w.lease, w.err = how(ctx, w.label)
		w.ended = time.Now()
		cancel()
	}()
	return w
}

func (s *story) giveUp(n int) bool {
	if len(s.waiters) == 0 {
		return false
	}
	w := s.waiters[n%len(s.waiters)]
	w.gaveUp = true
	w.cancel()
	return true
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

func (s *story) giveBack(n int, how func(*Lease)) bool {
	l := s.take(n)
	if l == nil {
		return false
	}
	s.longest = max(s.longest, time.Since(l.since))
	how(l.Lease)
	s.past = append(s.past, l)
	return true
}

// afterRelease does something with a lease that was released. What must not change is looked at after the turn.
func (s *story) afterRelease(n int, do func(*heldLease)) bool {
	if len(s.past) == 0 {
		return false
	}
	do(s.past[n%len(s.past)])
	return true
}

func (s *story) useInVain(l *heldLease) {
	want := ErrReleased
	if l.token.Load() != nil {
		want = ErrRevoked
	}
	if _, err := l.Exec(context.Background(), "select 1"); !errors.Is(err, want) {
		s.fail("a lease answered that is over: %v, instead of %v", err, want)
	}
}

// forget does what the leak watch does when the garbage collector finds a lease.
func (s *story) forget(n int) bool {
	l := s.take(n)
	if l == nil {
		return false
	}
	reclaim(lostLease{slot: l.slot, tid: l.token.Load().tid})
	return true
}

// use runs a statement on a lease: on its own backend, if that lives.
func (s *story) use(n int) bool {
	if len(s.held) == 0 {
		return false
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
	return true
}

// change leaves a session other than it was, or a transaction open.
func (s *story) change(n int) bool {
	if len(s.held) == 0 {
		return false
	}
	l := s.held[n%len(s.held)]
	texts := []string{"set work_mem = '1MB'", "begin", "listen news", "prepare mine as select 1"}
	text := texts[n%len(texts)]
	_, err := l.Exec(context.Background(), text)
	switch {
	case err != nil: // its backend may be dead
	case text == "begin":
		l.inTx = true
	case text == texts[0] && !l.inTx:
		s.changed[l.pid] = s.reset == ResetNone
	}
	return true
}
