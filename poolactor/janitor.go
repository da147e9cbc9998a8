package poolactor

import (
	"cmp"
	"context"
	"time"

	"github.com/seed-4ff2b7b9/supervised/internal/failpoint"
)

// janitor is the actor that replaces old connections and closes unused ones, wherever they are: what is leased leaves
// when it comes back. It also watches how long leases are held. It sets flags and words by compare-and-swap, so it needs no
// turn of the pool actor and no mailbox.
type janitor struct {
	p     *Pool
	seen  []uint64 // by slot: the lease it last saw there
	since []int64  // and when it saw it first
}

// janitorEvery is how exact lifetimes and the limits of leases are, unless a package of this module asks for better.
const janitorEvery = time.Second

func (j *janitor) String() string { return "janitor" }

// Serve makes its rounds until ctx ends.
func (j *janitor) Serve(ctx context.Context) error {
	tick := time.NewTicker(cmp.Or(j.p.cfg.upkeep, janitorEvery))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			j.round(j.p.now())
		}
	}
}

// round looks at every connection once.
func (j *janitor) round(now int64) {
	j.p.retireDue(now)
	slots := j.p.all()
	spare := j.spare(slots)
	for i, s := range slots {
		failpoint.Hit("janitor.looking")
		j.p.watchLease(s, now)
		unused := j.unused(i, s, now)
		w := s.word.Load()
		if spare > 0 && j.p.cfg.MaxIdleTime > 0 && unused >= int64(j.p.cfg.MaxIdleTime) && w.state().in(unleased) && !w.has(flagRetire) {
			if j.p.retire(s) {
				j.p.unusedClosed.Add(1)
			}
			spare--
		}
	}
	if j.p.minSize.Load() > 0 || j.p.cfg.MinIdle > 0 {
		j.p.wake() // the actor sees to the minimum
	}
}

// unleased are the states of a connection that nobody uses. A check is no use, and each round of the health actor puts all
// that rest into one at the same time.
var unleased = []state{resting, free, opened, checking, cleaning}

// spare is how many connections may be closed for not being used: none in an outage, in which nothing could take their
// place.
func (j *janitor) spare(slots []*slot) int {
	if !j.p.outage.Load().Since.IsZero() {
		return 0
	}
	open, idle := 0, 0
	for _, s := range slots {
		w := s.word.Load()
		if w.has(flagRetire) {
			continue
		}
		if w.state().hasConnection() {
			open++
		}
		if w.state().in(unleased) {
			idle++
		}
	}
	return min(open-int(j.p.minSize.Load()), idle-j.p.cfg.MinIdle)
}

// unused is how long a slot has not been leased, as seen by the rounds.
func (j *janitor) unused(i int, s *slot, now int64) int64 {
	for len(j.seen) <= i {
		j.seen, j.since = append(j.seen, 0), append(j.since, now)
	}
	w := s.word.Load()
	if mark := w.gen()<<1 | 1; j.seen[i] != mark || w.state() == leased || s.created.Load() > j.since[i] {
		j.seen[i], j.since[i] = mark, now
	}
	return now - j.since[i]
}
