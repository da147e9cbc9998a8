package retry

import (
	"slices"
	"sync"
	"time"
)

const (
	// detourEvery is how often, in an outage, each way but the preferred one is tried.
	detourEvery = time.Second
	// declinedFor is how long a TLS mode that a server turned down is not tried first, so that a server that gets its
	// certificate back is spoken to in private again.
	declinedFor = time.Minute
	// leastPatience and patienceFactor say how long a log-in may take, before it is taken for hanging: at least this,
	// or so many times the last good one.
	leastPatience  = 500 * time.Millisecond
	patienceFactor = 4
)

// book remembers what the attempts have taught about the ways to the server. It outlives crashes of the actor; all dials
// in flight use it together.
type book struct {
	mu sync.Mutex // guards all below

	home     place // where somebody logged in last; before the first log-in, where somebody answered last
	proved   bool  // somebody did log in at home
	trials   map[way]trial
	verdicts map[host]Class // what each host's last attempts came to, since the last log-in
	lastGood time.Duration  // how long the last good log-in took
	dropped  []string       // optional parameters that the server does not take
}

// trial is the last attempt by one way.
type trial struct {
	at    time.Time
	reach reach // how it ended; while it is under way, how the one before ended
}

func newBook() *book {
	return &book{trials: make(map[way]trial), verdicts: make(map[host]Class)}
}

// patience is how long a log-in may take before it is taken for hanging.
func (b *book) patience() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(leastPatience, patienceFactor*b.lastGood)
}

// preferred is the index of the way to try first. While the server is believed to be up, modes that were declined long
// ago are tried first again.
func (b *book) preferred(candidates []candidate, outage bool, now time.Time) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	at := slices.IndexFunc(candidates, func(c candidate) bool { return c.place == b.home })
	if at < 0 { // the name leads elsewhere now
		at = slices.IndexFunc(candidates, func(c candidate) bool { return c.host == b.home.host })
	}
	at = max(at, 0)
	for i := at; i < len(candidates); i++ {
		if c := candidates[i]; c.place == candidates[at].place && !b.declines(c.way, outage, now) {
			return i
		}
	}
	return at
}

// declines tells whether the server turned this mode down; b.mu is held.
func (b *book) declines(w way, outage bool, now time.Time) bool {
	t, tried := b.trials[w]
	return tried && t.reach == declined && (outage || now.Sub(t.at) < declinedFor)
}

// claim notes that a way is being tried now. A detour is not worth it, and not noted, if the way was tried within the
// last second, or the other mode of its place with a result that this one would share; unless the server has just pointed
// there (it declined the other mode) and did not decline this one.
func (b *book) claim(w way, detour, pointed bool, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	last := b.trials[w]
	if detour && !(pointed && last.reach != declined) {
		twin := way{w.place, !w.encrypted}
		if b.lately(w, now) || b.lately(twin, now) && b.trials[twin].reach.same() {
			return false
		}
	}
	b.trials[w] = trial{at: now, reach: last.reach}
	return true
}

// lately tells whether a way was tried within the last second; b.mu is held.
func (b *book) lately(w way, now time.Time) bool {
	t, tried := b.trials[w]
	return tried && now.Sub(t.at) < detourEvery
}

// ended notes how an attempt ended without a log-in. If the server spoke, there is somebody at that place, whatever they
// said.
func (b *book) ended(w way, r reach) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trials[w] = trial{at: b.trials[w].at, reach: r}
	if r >= declined && !b.proved {
		b.home = w.place
	}
}

// loggedIn notes a log-in. What the other ways said is forgotten, but for the modes that were declined.
func (b *book) loggedIn(w way, took time.Duration, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.home, b.proved, b.lastGood = w.place, true, took
	clear(b.verdicts)
	for other, t := range b.trials {
		if other == w || t.reach != declined || now.Sub(t.at) >= declinedFor {
			delete(b.trials, other)
		}
	}
}

// judge takes down what an order has shown about some hosts, and decides what it comes to: a refusal only if every host
// refuses; patience if any of those just tried asks for it.
func (b *book) judge(hosts []host, shown map[host]Class) Class {
	b.mu.Lock()
	defer b.mu.Unlock()
	sum := Transient
	for h, class := range shown {
		b.verdicts[h] = class
		if class == Wait {
			sum = Wait
		}
	}
	if !slices.ContainsFunc(hosts, func(h host) bool { return b.verdicts[h] != Refused }) {
		sum = Refused
	}
	return sum
}

// drop remembers that the server does not take a parameter; false if that was known.
func (b *book) drop(parameter string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if slices.Contains(b.dropped, parameter) {
		return false
	}
	b.dropped = append(b.dropped, parameter)
	return true
}

// without lists the parameters that the server does not take.
func (b *book) without() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.dropped)
}
