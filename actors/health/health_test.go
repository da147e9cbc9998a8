package health_test

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/seed-4ff2b7b9/supervised/actors"
	"github.com/seed-4ff2b7b9/supervised/actors/health"
	"github.com/seed-4ff2b7b9/supervised/messages"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fixture is a health actor over a pool in memory, served again after each crash, at once, until the test ends.
type fixture struct {
	*pool
	actor *actors.Actor[messages.ToHealth]
	stop  func() // ends the actor and joins it; idempotent

	mu   sync.Mutex
	ends []error // how its lives ended
}

// inBubble runs a test in fake time, with slots resting connections that were proved at its beginning.
func inBubble(t *testing.T, config health.Config, slots int, test func(*testing.T, *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(config, newPool(slots))
		defer f.stop()
		synctest.Wait()
		test(t, f)
	})
}

func newFixture(config health.Config, p *pool) *fixture {
	f := &fixture{pool: p}
	f.actor = health.New(config, p)
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		for ctx.Err() == nil {
			err := f.actor.Serve(ctx)
			f.mu.Lock()
			f.ends = append(f.ends, err)
			f.mu.Unlock()
		}
	})
	f.stop = func() {
		cancel()
		serving.Wait()
	}
	return f
}

// tell sends a hint and lets the actor do all that follows from it.
func (f *fixture) tell(t *testing.T, hint messages.ToHealth) {
	t.Helper()
	require.NoError(t, f.actor.Ref().TryTell(hint))
	synctest.Wait()
}

// crashes are the ends of lives so far.
func (f *fixture) crashes() []error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.ends)
}

// pass lets fake time go by, and everything happen that is due in it.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// pool is a health.Pool in memory that records what it is asked.
type pool struct {
	answer func(ctx context.Context, slot int) error // what a check gets; nil: success at once

	mu      sync.Mutex
	waiting int
	outage  messages.Outage
	resting map[int]bool
	proved  map[int]time.Time
	faults  map[string]func() // what one call of that method does, once

	looks    []time.Time
	scouts   []time.Time
	asked    []time.Time // arguments of Unproved
	checked  map[int][]time.Time
	running  int
	peak     int
	overlaps int // checks that ran at the first look of the records
}

func newPool(slots int) *pool {
	p := &pool{
		resting: make(map[int]bool),
		proved:  make(map[int]time.Time),
		faults:  make(map[string]func()),
		checked: make(map[int][]time.Time),
	}
	for slot := range slots {
		p.resting[slot] = true
		p.proved[slot] = time.Now()
	}
	return p
}

// fault does what was set for one call of the method.
func (p *pool) fault(method string) {
	p.mu.Lock()
	f := p.faults[method]
	delete(p.faults, method)
	p.mu.Unlock()
	if f != nil {
		f()
	}
}

func (p *pool) set(change func(*pool)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

func get[T any](p *pool, value func(*pool) T) T {
	p.mu.Lock()
	defer p.mu.Unlock()
	return value(p)
}

func (p *pool) Waiting() int {
	p.fault("Waiting")
	return get(p, func(p *pool) int { return p.waiting })
}

func (p *pool) Outage() messages.Outage {
	p.fault("Outage")
	return get(p, func(p *pool) messages.Outage { return p.outage })
}

func (p *pool) Unproved(since time.Time) []int {
	p.fault("Unproved")
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked = append(p.asked, since)
	var slots []int
	for slot, rests := range p.resting {
		if rests && (since.IsZero() || p.proved[slot].Before(since)) {
			slots = append(slots, slot)
		}
	}
	return slots
}

func (p *pool) Check(ctx context.Context, slot int) error {
	p.fault("Check")
	p.mu.Lock()
	p.checked[slot] = append(p.checked[slot], time.Now())
	claimed := p.resting[slot]
	p.resting[slot] = false
	p.running++
	p.peak = max(p.peak, p.running)
	p.mu.Unlock()

	var err error
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.running--
		p.resting[slot] = claimed && err == nil
		p.proved[slot] = time.Now()
	}()
	if p.answer != nil {
		err = p.answer(ctx, slot)
	}
	return err
}

func (p *pool) Look() int {
	p.fault("Look")
	p.mu.Lock()
	defer p.mu.Unlock()
	p.looks = append(p.looks, time.Now())
	if len(p.looks) == 1 && p.running > 0 {
		p.overlaps++
	}
	return 0
}

func (p *pool) Scout() {
	p.fault("Scout")
	p.set(func(p *pool) { p.scouts = append(p.scouts, time.Now()) })
}

func (p *pool) checks(slot int) []time.Time {
	return get(p, func(p *pool) []time.Time { return slices.Clone(p.checked[slot]) })
}

func (p *pool) lookTimes() []time.Time {
	return get(p, func(p *pool) []time.Time { return slices.Clone(p.looks) })
}

func (p *pool) scoutTimes() []time.Time {
	return get(p, func(p *pool) []time.Time { return slices.Clone(p.scouts) })
}

// forget drops the records.
func (p *pool) forget() {
	p.set(func(p *pool) {
		p.looks, p.scouts, p.asked, p.peak = nil, nil, nil, 0
		clear(p.checked)
	})
}

// goexit ends the goroutine that calls it, as a failed assertion in a callback would.
func goexit() { runtime.Goexit() }
