package track

import (
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-4ff2b7b9/supervised/test/bench/figures"
)

// operation is what callers do again and again. Callers are numbered from 0.
type operation func(caller int) error

// effort is what callers have done together.
type effort struct {
	operations int
	took       time.Duration
	worked     time.Duration // on processors, the whole process
	allocs     uint64
	each       []int // by caller
}

// drive lets that many callers work for the time of the window. What is under way at its end is finished and counts, its
// time, too.
func drive(callers int, window time.Duration, op operation) (effort, error) {
	var (
		stop   atomic.Bool
		failed atomic.Pointer[failure]
		group  sync.WaitGroup
		start  = make(chan struct{})
		done   = effort{each: make([]int, callers)}
		before runtime.MemStats
		after  runtime.MemStats
	)
	for caller := range callers {
		group.Go(func() {
			<-start
			n := 0
			for !stop.Load() {
				if err := op(caller); err != nil {
					failed.Store(&failure{err}) // not &err, which would be an allocation each time
					stop.Store(true)
				}
				n++
			}
			done.each[caller] = n
		})
	}
	runtime.ReadMemStats(&before)
	timer := time.AfterFunc(window, func() { stop.Store(true) })
	defer timer.Stop()
	began, worked := time.Now(), used()
	close(start)
	group.Wait()
	done.took, done.worked = time.Since(began), used()-worked
	runtime.ReadMemStats(&after)
	done.allocs = after.Mallocs - before.Mallocs
	for _, n := range done.each {
		done.operations += n
	}
	if err := failed.Load(); err != nil {
		return done, err.cause
	}
	return done, nil
}

type failure struct{ cause error }

// perOperation is the time of one operation, as if they came one after the other.
func (e effort) perOperation() float64 { return float64(e.took.Nanoseconds()) / float64(e.operations) }

// work is what one operation has cost the process. Beside a server, or anything else that takes the processors, that says
// more than the time.
func (e effort) work() float64 { return float64(e.worked.Nanoseconds()) / float64(e.operations) }

func (e effort) perSecond() float64 { return float64(e.operations) / e.took.Seconds() }

// allocations of one operation, in tenths: what the runtime and the actors allocate beside many operations is less.
func (e effort) allocations() float64 {
	return math.Round(float64(e.allocs)/float64(e.operations)*10) / 10
}

// least is how often the caller came to its turn that came least, as a part of the mean.
func (e effort) least() float64 {
	least := e.operations
	for _, n := range e.each {
		least = min(least, n)
	}
	return float64(least) * float64(len(e.each)) / float64(e.operations)
}

// stopwatch collects how long something took, for each caller by itself. It keeps its memory from turn to turn, so that
// only the turn that does not count leaves garbage.
type stopwatch struct{ each [][]float64 }

func newStopwatch(callers int) *stopwatch { return &stopwatch{make([][]float64, callers)} }

// reset forgets what was noted.
func (s *stopwatch) reset() {
	for caller := range s.each {
		s.each[caller] = s.each[caller][:0]
	}
}

func (s *stopwatch) note(caller int, d time.Duration) {
	s.each[caller] = append(s.each[caller], float64(d.Nanoseconds()))
}

// quantile is that of all callers' times.
func (s *stopwatch) quantile(q float64) float64 { return figures.Quantile(slices.Concat(s.each...), q) }

// rate lets callers work as drive does, and shows how much they got done and how long the slow ones took.
func (s *stopwatch) rate(callers int, window time.Duration, op operation) (figures.Figures, error) {
	s.reset()
	done, err := drive(callers, window, func(caller int) error {
		began := time.Now()
		err := op(caller)
		s.note(caller, time.Since(began))
		return err
	})
	if err != nil {
		return nil, err
	}
	return figures.Figures{figures.Throughput: done.perSecond(), figures.P99: s.quantile(0.99), figures.Work: done.work()}, nil
}
