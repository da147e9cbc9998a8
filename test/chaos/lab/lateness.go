package lab

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// lateness watches how late this machine wakes a goroutine that sleeps for a millisecond: what a bound in time has to
// allow for beside what a pool does.
type lateness struct {
	worst   atomic.Int64
	done    chan struct{}
	running sync.WaitGroup

	mu   sync.Mutex
	late []delay
}

// delay is one time at which a goroutine was woken late, or a thread waited.
type delay struct {
	until  time.Time
	by     time.Duration
	within time.Duration // how long before until it may have ended; zero: the goroutine that sleeps was late, no thread
}

// noticeable is from when on a delay is kept.
const noticeable = 500 * time.Microsecond

func watchLateness() *lateness {
	l := &lateness{done: make(chan struct{})}
	l.running.Go(func() {
		for {
			began := time.Now()
			select {
			case <-l.done:
				return
			case <-time.After(time.Millisecond):
				l.note(delay{until: time.Now(), by: time.Since(began) - time.Millisecond})
			}
		}
	})
	return l
}

// threadsEvery is how often it is asked how long threads had to wait for a processor.
const threadsEvery = 5 * time.Millisecond

// watchThreads watches as well how long single threads of this process wait for a processor, as Linux tells it: that holds
// one goroutine up and no other.
func (l *lateness) watchThreads() {
	l.running.Go(func() {
		waited := make(map[string]time.Duration)
		asked := time.Now()
		for {
			worst, before := time.Duration(0), asked
			for thread, sum := range threadWaits() {
				if sofar, known := waited[thread]; known {
					worst = max(worst, sum-sofar)
				}
				waited[thread] = sum
			}
			asked = time.Now()
			l.note(delay{until: asked, by: worst, within: asked.Sub(before)})
			select {
			case <-l.done:
				return
			case <-time.After(threadsEvery):
			}
		}
	})
}

// threadWaits is how long each thread has waited for a processor in its life.
func threadWaits() map[string]time.Duration {
	files, _ := filepath.Glob("/proc/self/task/*/schedstat")
	waits := make(map[string]time.Duration, len(files))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if fields := strings.Fields(string(text)); err == nil && len(fields) > 1 {
			ns, _ := strconv.ParseInt(fields[1], 10, 64)
			waits[file] = time.Duration(ns)
		}
	}
	return waits
}

func (l *lateness) note(d delay) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d.within == 0 {
		l.worst.Store(max(l.worst.Load(), int64(d.by)))
	}
	if d.by >= noticeable {
		l.late = append(l.late, d)
	}
}

// reset begins to watch anew.
func (l *lateness) reset() { l.worst.Store(0) }

// seen is how late the goroutine that sleeps was woken at worst since the last reset.
func (l *lateness) seen() time.Duration { return time.Duration(l.worst.Load()) }

// longer is how often something was held up for longer than that.
func (l *lateness) longer(than time.Duration) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.late {
		if d.by > than {
			n++
		}
	}
	return n
}

// since is the worst that has ended after a time, of those that seen counts; what is not noticeable is none.
func (l *lateness) since(t time.Time) (worst time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range l.late {
		if d.within == 0 && d.until.After(t) {
			worst = max(worst, d.by)
		}
	}
	return worst
}

// heldUp is for how long a caller may have been kept from its next step in a time: the two longest delays in it that are
// not the same time, one in which its thread waited for a processor, and one in which, moved, it waited for a thread. They
// may have been any thread's, since Go moves a goroutine whose thread does not get on. More do not add up: on a busy machine
// there is always a delay somewhere, but nobody meets all of them.
func (l *lateness) heldUp(from, to time.Time) (worst time.Duration) {
	l.mu.Lock()
	var in []delay
	for _, d := range l.late {
		if d.by = min(d.by, earlier(d.until, to).Sub(later(d.until.Add(-d.by-d.within), from))); d.by > 0 {
			in = append(in, d)
		}
	}
	l.mu.Unlock()
	slices.SortFunc(in, func(a, b delay) int { return int(b.by - a.by) })
	for i, d := range in {
		if 2*d.by <= worst {
			break
		}
		worst = max(worst, d.by)
		for _, other := range in[i+1:] {
			if d.by+other.by <= worst {
				break
			}
			if !other.until.After(d.until.Add(-d.by)) || !d.until.After(other.until.Add(-other.by)) {
				worst = d.by + other.by
			}
		}
	}
	return min(worst, to.Sub(from))
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (l *lateness) stop() {
	close(l.done)
	l.running.Wait()
}
