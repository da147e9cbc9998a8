package actors

import (
	"sync"
	"sync/atomic"
	"time"
)

// phase is an actor's state and how many messages its lives have taken out of the mailbox's ring, in one word.
type phase uint64

func phaseOf(taken uint64, s State) phase { return phase(taken<<3 | uint64(s)) }

func (p phase) state() State  { return State(p & 7) }
func (p phase) taken() uint64 { return uint64(p >> 3) }

type atomicPhase struct{ word atomic.Uint64 }

func (p *atomicPhase) load() phase   { return phase(p.word.Load()) }
func (p *atomicPhase) store(v phase) { p.word.Store(uint64(v)) }

// What makes an actor a busy one.
const (
	sampleEvery = 10 * time.Millisecond
	busy        = 64 // changes of phase within sampleEvery
)

// pulse knows since when an actor is in its phase.
//
// To read the clock at each change costs 25-40 ns twice per message, as much as all else that the kernel does for it. So
// while an actor is busy it is not asked to: a timer looks at the phase once in sampleEvery instead, until the actor has
// calmed down. Hence what is told of a busy actor is true to sampleEvery, and of any other
// exactly.
type pulse struct {
	born  time.Time
	phase *atomicPhase

	// stamped is the phase that began at stampedAt, a duration after born. stampedAt is written first.
	stampedAt atomic.Int64
	stamped   atomicPhase

	sampled atomic.Bool
	timer   *time.Timer // calls sample while sampled

	// changes counts those that were stamped since changesFrom. Both belong to whoever changes the phase.
	changes     int
	changesFrom time.Duration
	// sampling is held by sample. The end of a life takes it, so that no sample goes on beyond that.
	sampling   sync.Mutex
	lastSample phase

	// yields says that the life lets others run before it parks. It holds only while sampled; its trial belongs to sample.
	yields atomic.Bool
	trial  yieldTrial
}

func newPulse(phase *atomicPhase) *pulse {
	p := &pulse{born: time.Now(), phase: phase}
	p.timer = time.AfterFunc(sampleEvery, p.sample)
	p.timer.Stop()
	return p
}

// enter changes the state, and no more.
func (p *pulse) enter(s State) {
	now := phaseOf(p.phase.load().taken(), s)
	p.phase.store(now)
	p.stamp(now)
}

// changed follows a change of phase that may be one of many.
func (p *pulse) changed(now phase) {
	if !p.sampled.Load() {
		p.stamp(now)
	}
}

func (p *pulse) stamp(now phase) {
	at := time.Since(p.born)
	p.stampedAt.Store(int64(at))
	p.stamped.store(now)
	if p.changes++; p.changes < busy {
		return
	}
	if at-p.changesFrom < sampleEvery {
		p.sampled.Store(true)
		p.timer.Reset(sampleEvery)
	}
	p.changes, p.changesFrom = 0, at
}

// sample looks at the phase of a busy actor.
func (p *pulse) sample() {
	p.sampling.Lock()
	defer p.sampling.Unlock()
	if !p.sampled.Load() {
		return // the life has ended since the timer rang
	}
	now := p.phase.load()
	p.catchUp(now)
	moved := now.taken() - p.lastSample.taken()
	stillBusy := moved >= busy/2 // a message makes two changes, or one
	p.lastSample = now
	p.yields.Store(p.trial.goesOn(p.yields.Load(), moved, now.state()) && stillBusy)
	if stillBusy {
		p.timer.Reset(sampleEvery)
		return
	}
	p.sampled.Store(false)
	// A change that came before the actor could see this is not stamped, and one that came after it may be stamped by
	// both: so go on until nothing moves.
	for now = p.phase.load(); now != p.stamped.load() && !p.sampled.Load(); now = p.phase.load() {
		p.catchUp(now)
	}
}

func (p *pulse) catchUp(now phase) {
	if p.stamped.load() != now {
		p.stampedAt.Store(int64(time.Since(p.born)))
		p.stamped.store(now)
	}
}

// calm ends the sampling, once the life has ended.
func (p *pulse) calm() {
	p.sampling.Lock()
	defer p.sampling.Unlock()
	p.timer.Stop()
	p.sampled.Store(false)
	p.yields.Store(false)
}

// read is the phase and when it began. One that is not stamped began after the last sample, so just now.
func (p *pulse) read() (now phase, since time.Time) {
	now = p.phase.load()
	if p.stamped.load() != now {
		return now, time.Now()
	}
	return now, p.born.Add(time.Duration(p.stampedAt.Load()))
}
