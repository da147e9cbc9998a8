package lab

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

const (
	soakSize    = 12
	soakCallers = 24
	// soakThink is how long a caller pauses at most: connections rest sometimes, and a small machine has time for faults.
	soakThink = 20 * time.Millisecond
	// soakRest is how many connections the pool is brought to whenever it rests, so that what is left can be compared.
	soakRest = 6
	// soakWarmUp is from when on nothing may grow any more; in a short soak it is a third of it.
	soakWarmUp = time.Minute
	// restPatience is how long a pool may take to come to rest: as long as a dial that hangs, and a backend that notices late.
	restPatience = 30 * time.Second
)

// Soak lets one pool live through faults that come at random, all at the same time: to the server and the network, to the
// pool's actors (in builds with failpoints), by its operator and by its callers. It goes by rounds. After each, calls and faults
// end, and the pool is compared with what it was after the first minute.
//
// What is done in each round follows from Seed and the round's number alone, and so does what its first, second ... call is to
// be: of the usual mix, by message, in a hurry of so many milliseconds, a look at the session. When it happens to whom is left
// to the machine, and so is which of the usual mix a call is.
//
// The failure rule is held as in the rows, but for one thing: a backend that was ended alone may still be handed out for
// soakGrace, since there is a proxy between it and the pool.
type Soak struct {
	Seed uint64
	For  time.Duration // no round begins after it
	// Progress is told about each round, Log gets what the pool logs; nil is silent.
	Progress, Log io.Writer
}

// soakGrace is how long after a backend's death the proxy may need to pass it on.
const soakGrace = 50 * time.Millisecond

// Soaked is what a soak has found.
type Soaked struct {
	Rounds, Calls int
	Failed        int // that the rule permits
	Hurried       int // calls that ended at a deadline of their own, of milliseconds
	Rows          int // inserts that were acknowledged, and are there once
	Peak          int // sockets and dials at once
	Dials         int
	Longest       time.Duration
	Crashes       int // panics of the pool's actors
	First, Last   remains
	// Wrong says what was not as it must be, with what the round did until then; empty: nothing.
	Wrong []string
}

// String sums up what was found, but for what was wrong.
func (f Soaked) String() string {
	s := fmt.Sprintf("%d calls, %d failed as the rule permits, %d ended at deadlines of milliseconds, the longest took %v; "+
		"%d rows; %d panics; %d dials, %d sockets at once at most", f.Calls, f.Failed, f.Hurried,
		f.Longest.Round(time.Millisecond), f.Rows, f.Crashes, f.Dials, f.Peak)
	if f.First != (remains{}) {
		s += fmt.Sprintf("; at rest %d goroutines, %d descriptors, %d kB, at the end %d, %d, %d kB",
			f.First.goroutines, f.First.descriptors, f.First.heap>>10, f.Last.goroutines, f.Last.descriptors, f.Last.heap>>10)
	}
	return s
}

// siege is a soak under way.
type siege struct {
	Soak
	place *proxied
	pool  ours
	meter *meter
	clean string       // a session that nobody has changed
	bound atomic.Int64 // the most sockets that are allowed
	// crashes counts the panics of the pool's actors.
	crashes atomic.Int64
	began   time.Time
	found   Soaked
}

// Soak soaks a pool on a server of its own. Errors are about the laboratory, not about the pool.
func (l *Lab) Soak(ctx context.Context, o Soak) (Soaked, error) {
	place, err := l.proxied(ctx)
	if err != nil {
		return Soaked{}, err
	}
	defer place.close()
	s := &siege{Soak: o, place: place, meter: &meter{}, began: time.Now()}
	if err := makeTable(ctx, place.server.DSN()); err != nil {
		return Soaked{}, err
	}
	tuning := Tuning{Size: soakSize, Ours: s.tune}
	pool, err := openOurs(ctx, Ours, place.setup().DSN, tuning, s.meter)
	if err != nil {
		return Soaked{}, err
	}
	s.pool = pool.(ours)
	s.bound.Store(soakSize)
	err = s.pool.QueryRow(ctx, session, pgx.QueryExecModeExec).Scan(&s.clean)
	if err == nil {
		err = s.run(ctx)
	}
	if closed := s.pool.Close(); closed != nil {
		s.wrong("the pool did not close in order: %v", closed)
	}
	if n := s.meter.now.Load(); n > 0 {
		s.wrong("the closed pool has left %d sockets", n)
	}
	return s.found, err
}

// tune gives every part of the pool something to do all the time.
func (s *siege) tune(c *poolactor.Config) {
	c.MinSize, c.MinIdle, c.RecordStacks = 2, 1, true
	c.MaxLifetime, c.MaxLifetimeJitter, c.MaxIdleTime = 20*time.Second, 10*time.Second, 2*time.Second
	c.ConnectTimeout = 5 * time.Second
	c.Health.Interval = 200 * time.Millisecond
	// Crashes come every few seconds, for ever: without a healthy time between them the delays would become the fault.
	c.Supervision.Upkeep = supervisor.Restart{Max: time.Second, HealthyAfter: time.Second}
	if s.Log != nil {
		log := zerolog.New(s.Log).With().Timestamp().Logger()
		c.Logger = &log
	}
}

func (s *siege) wrong(format string, args ...any) {
	s.found.Wrong = append(s.found.Wrong, fmt.Sprintf(format, args...))
}

// run makes rounds until the time is over, ctx ends, or something is wrong.
func (s *siege) run(ctx context.Context) error {
	warm := min(soakWarmUp, s.For/3)
	for ctx.Err() == nil && len(s.found.Wrong) == 0 && time.Since(s.began) < s.For {
		if err := s.round(ctx, s.found.Rounds+1); err != nil {
			return err
		}
		s.found.Rounds++
		if ctx.Err() != nil || len(s.found.Wrong) > 0 {
			break
		}
		s.settle(ctx, time.Since(s.began) >= warm)
	}
	return nil
}

// settle brings the pool to rest and compares what there is with what there was after the first minute.
func (s *siege) settle(ctx context.Context, warm bool) {
	now, err := s.rest(ctx)
	if err != nil {
		if ctx.Err() == nil {
			s.wrong("the pool did not come to rest within %v: %v", restPatience, err)
		}
		return
	}
	if s.Progress != nil {
		fmt.Fprintf(s.Progress, "%5.0f s  at rest: %d goroutines, %d descriptors, %d bytes\n",
			time.Since(s.began).Seconds(), now.goroutines, now.descriptors, now.heap)
	}
	if !warm {
		return
	}
	if s.found.First == (remains{}) {
		s.found.First = now
	}
	s.found.Last = now
	s.found.Wrong = append(s.found.Wrong, s.found.First.outgrown(now)...)
	// Where there is less than after the warm-up, something of it had not ended then: from now on there must not be more.
	s.found.First.residue = s.found.First.least(now.residue)
}
