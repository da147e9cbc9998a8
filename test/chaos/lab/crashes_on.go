//go:build failpoint

package lab

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed-4ff2b7b9/supervised/internal/failpoint"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

// Rows 12 and 13: the pool's own actors panic between any two of their steps. The marks where they can are compiled in only
// with the build tag failpoint.

const sabotage = 20 * time.Second

func crashes() []Row {
	return []Row{
		{
			ID: "12", Fault: "panics for 20 s: in a pool actor that is restarted at once, and 9 times in each other actor",
			Alone: true, Run: crashAll, Bounds: []Bound{NothingFails},
		},
		{
			ID: "12-alone", Fault: "panics for 20 s: in the pool actor as fast as it comes back, by the usual delays",
			Alone: true, Run: crashPool, Bounds: []Bound{NothingFails},
		},
		{
			ID: "13", Fault: "an actor that can never start",
			Alone: true, Run: giveUp,
		},
	}
}

// saboteur makes actors panic at their marks, each after a random number of steps. The pool actor panics again and again,
// the others so many times, at even distances.
type saboteur struct {
	mu    sync.Mutex
	marks map[string]*target // by the beginning of the mark's name
	count map[string]int     // panics
}

type target struct {
	most  int           // how many steps it may take at most before it panics
	left  int           // how many more panics; negative: without end
	every time.Duration // how long it is left alone after one
	due   time.Time
	steps int // until the next one, when that is due
}

// aLife is about as many steps as the pool actor takes to look at every slot and to serve some callers: it panics in the
// midst of all that. The others take few steps at a time.
const (
	aLife = 150
	aTurn = 5
)

func (s *saboteur) hit(mark string) {
	actor, _, _ := strings.Cut(mark, ".")
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.marks[actor]
	if t == nil || t.left == 0 || time.Now().Before(t.due) {
		return
	}
	if t.steps--; t.steps > 0 {
		return
	}
	t.steps, t.left, t.due = 1+rand.IntN(t.most), t.left-1, time.Now().Add(t.every)
	s.count[actor]++
	panic("injected at " + mark)
}

// during lets a saboteur work while f runs.
func (s *saboteur) during(f func()) { s.duringAt(s.hit, f) }

// duringAt does so with another hook, which hands on what it does not keep.
func (s *saboteur) duringAt(hook func(mark string), f func()) {
	s.count = make(map[string]int)
	failpoint.Set(hook)
	defer failpoint.Set(nil)
	f()
}

// beside are the actors that keep the pool up, by the beginning of their marks' names.
var beside = map[string]string{"dialer": "retry", "health": "health", "desk": "desk", "janitor": "janitor"}

// mostCrashes is how often each of them may crash within a minute.
const mostCrashes = 9

// fewestCrashes and fewestDelayed are how often the pool actor has to panic while it is sabotaged, so that the row shows
// something: restarted at once it does so hundreds of times a second, by the usual delays some thirty times in all.
const (
	fewestCrashes = 100
	fewestDelayed = 10
)

// everybodyWorks gives every actor something to do: connections that grow old, some that rest, and calls by message.
func everybodyWorks(pool supervisor.Restart) Setup {
	return Setup{Callers: 16, Load: askOrCall, Tuning: Tuning{Ours: func(c *poolactor.Config) {
		c.MinSize, c.MinIdle = defaultSize, 4
		c.MaxLifetime, c.MaxLifetimeJitter = time.Second, time.Second/2
		c.Health.Interval = 50 * time.Millisecond
		c.Supervision.Pool = pool
	}}}
}

func crashAll(ctx context.Context, l *Lab, k Kind) (Result, error) {
	s := &saboteur{marks: map[string]*target{"actor": {most: aLife, left: -1}}}
	for mark := range beside {
		s.marks[mark] = &target{most: aTurn, left: mostCrashes, every: sabotage / (mostCrashes + 1)}
	}
	setup := everybodyWorks(supervisor.Restart{
		Immediate: true, Initial: 10 * time.Microsecond, Max: 100 * time.Microsecond, HealthyAfter: time.Microsecond,
	})
	return l.on(ctx, k, postgres.Options{}, setup, func(x *Experiment, _ *postgres.Server) error {
		s.during(func() { Pass(ctx, sabotage) })
		x.hasPanicked(s, fewestCrashes)
		for mark, name := range beside {
			if n := s.count[mark]; n < mostCrashes {
				x.Fail("%s panicked %d times, which shows less than %d", name, n, mostCrashes)
			}
		}
		return nil
	})
}

func crashPool(ctx context.Context, l *Lab, k Kind) (Result, error) {
	s := &saboteur{marks: map[string]*target{"actor": {most: aLife, left: -1}}}
	return l.on(ctx, k, postgres.Options{}, everybodyWorks(supervisor.Restart{}), func(x *Experiment, _ *postgres.Server) error {
		s.during(func() { Pass(ctx, sabotage) })
		x.hasPanicked(s, fewestDelayed)
		return nil
	})
}

// hasPanicked notes how often the pool actor has panicked, and that this was often enough.
func (x *Experiment) hasPanicked(s *saboteur, fewest int) {
	n := s.count["actor"]
	x.Note("the pool actor panicked %d times", n)
	if n < fewest {
		x.Fail("the pool actor panicked %d times, which shows less than %d", n, fewest)
	}
}

// atOnce is how late somebody may be told who is told at once.
const atOnce = 50 * time.Millisecond

// giveUp lets an actor fail at each start, until the pool gives up, with leases out and callers waiting.
func giveUp(ctx context.Context, l *Lab, k Kind) (Result, error) {
	const size, waiters = 5, 100
	setup := Setup{Callers: -1, Tuning: Tuning{Size: size, Ours: func(c *poolactor.Config) {
		c.Supervision.Upkeep = supervisor.Restart{Initial: 10 * time.Millisecond, Intensity: 3}
	}}}
	return l.on(ctx, k, postgres.Options{}, setup, func(x *Experiment, _ *postgres.Server) error {
		pool := x.Pool()
		held, err := holdAll(ctx, pool, size)
		if err != nil {
			return err
		}
		defer releaseAll(held)
		waiting := wait(ctx, pool, waiters)
		if !until(ctx, eventually, func() bool { return pool.Stat().Waiting == waiters }) {
			return errors.New("not all callers wait")
		}
		failpoint.Set(func(mark string) {
			if strings.HasPrefix(mark, "desk.") {
				panic("injected at " + mark)
			}
		})
		defer failpoint.Set(nil)
		x.late.reset()
		began := time.Now()
		asked := make(chan told, 1)
		go func() {
			err := byMessage(ctx, pool.Ref(), func(*pgconn.PgConn) {}) // its request is the last that the desk takes
			asked <- told{err: err, at: time.Now()}
		}()
		select {
		case <-pool.Done():
		case <-time.After(eventually):
			x.Fail("the pool did not give up within %v", eventually)
			return nil
		}
		done := time.Now()
		x.Took("giving up", done.Sub(began), 0)
		x.hasGivenUp(pool.Err())
		x.toldAtOnce(<-asked, done)
		for range waiters {
			x.toldAtOnce(<-waiting, done)
		}
		_, err = pool.Acquire(ctx)
		x.toldAtOnce(told{err: err, at: time.Now()}, time.Now())
		if _, err := held[0].Exec(ctx, "select 1"); !errors.Is(err, poolactor.ErrRevoked) {
			x.Fail("a lease of a pool that has given up: %v", err)
		}
		return nil
	})
}

// hasGivenUp looks whether a pool says that it has given up, and because of whom.
func (x *Experiment) hasGivenUp(err error) {
	var gaveUp *supervisor.GaveUpError
	if !errors.Is(err, poolactor.ErrStopped) || !errors.As(err, &gaveUp) || !strings.Contains(err.Error(), "upkeep/desk") {
		x.Fail("why the pool has ended: %v", err)
	}
}

func (x *Experiment) toldAtOnce(t told, since time.Time) {
	switch late := t.at.Sub(since) - x.late.seen(); {
	case !errors.Is(t.err, poolactor.ErrStopped):
		x.Fail("a waiter of a pool that has given up was told: %v", t.err)
	case late > atOnce:
		x.Fail("a waiter was told %v after the pool had given up", late)
	}
}

// askOrCall makes a call of the usual mix, or one by message, as actors do.
func askOrCall(w *workload) error {
	if rand.IntN(8) > 0 {
		return w.call()
	}
	return askByMessage(w)
}
