package lab

import (
	"os"
	"path/filepath"
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

// delay is one time at which a goroutine was woken late.
type delay struct {
	until time.Time
	by    time.Duration
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
				l.note(time.Now(), time.Since(began)-time.Millisecond)
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
		for {
			worst := time.Duration(0)
			for thread, sum := range threadWaits() {
				if before, known := waited[thread]; known {
					worst = max(worst, sum-before)
				}
				waited[thread] = sum
			}
			l.note(time.Now(), worst)
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

func (l *lateness) note(now time.Time, late time.Duration) {
	l.worst.Store(max(l.worst.Load(), int64(late)))
	if late < noticeable {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.late = append(l.late, delay{until: now, by: late})
}

// reset begins to watch anew.
func (l *lateness) reset() { l.worst.Store(0) }

// seen is the worst since the last reset.
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

// undisturbed is how much of a time was such that nothing of this process was held up.
func (l *lateness) undisturbed(from, to time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	left := to.Sub(from)
	for _, d := range l.late { // in the order of their ends
		if !d.until.After(from) || !from.Before(to) {
			continue
		}
		if began := d.until.Add(-d.by - threadsEvery); began.Before(to) {
			left -= earlier(d.until, to).Sub(later(began, from))
			from = d.until // nothing counts twice
		}
	}
	return left
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
