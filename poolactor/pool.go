package poolactor

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/thejerf/suture/v4"

	"github.com/seed-4ff2b7b9/supervised/actors"
	"github.com/seed-4ff2b7b9/supervised/internal/asynclog"
	"github.com/seed-4ff2b7b9/supervised/internal/broadcast"
	"github.com/seed-4ff2b7b9/supervised/internal/multiplex"
	"github.com/seed-4ff2b7b9/supervised/messages"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

// Pool leases PostgreSQL connections. All its methods may be called from any goroutine.
//
// A pool from Open runs until Shutdown or Close. A pool from New runs as long as the Service it was mounted as.
type Pool struct {
	cfg    Config
	target Target
	born   time.Time // all times in the slots count from here

	// The words: what is wished for and what is known. They outlive every life of every actor.
	slots       atomic.Pointer[[]*slot]
	gate        atomicGate
	maxSize     atomic.Int64
	minSize     atomic.Int64
	warnAfter   atomic.Int64 // of leases, see overdue.go; 0: off
	maxAge      atomic.Int64
	sizeAsked   atomic.Uint64 // counts the changes of size that were asked for
	sizeApplied atomic.Uint64 // the last of them that is in force
	outage      atomic.Pointer[messages.Outage]
	scoutDue    atomic.Bool
	rescan      atomic.Bool
	finished    atomic.Bool

	// The hand-off: see handoff.go.
	waiting atomic.Int64
	supply  atomic.Uint32
	hot     atomic.Pointer[token]
	ready   chan *token
	again   chan *token
	demand  chan struct{}
	hints   chan hint
	kick    chan struct{}
	cohorts cohorts

	// What only the actor's lives use, one after the other.
	failuresSeen uint64
	advancedAt   time.Time
	failedFor    *messages.Outage

	// What connections teach.
	roundTrip atomic.Int64 // the last good check, in nanoseconds
	lastDeath atomic.Int64
	probed    atomic.Int64 // when a scout was last asked for outside of the health actor
	leaseTime atomic.Int64 // how long leases lately took, in nanoseconds; 0: nothing is known, or nobody asks

	statistics

	life     context.Context // of everything that works for the pool
	endLife  context.CancelFunc
	crew     *crew
	own      *calls // Exec and the other methods that lease for themselves
	group    *multiplex.Group
	canShare bool // statements can share connections
	returned chan struct{}
	applied  broadcast.Bus[uint64]
	bus      broadcast.Bus[Event]
	log      *asynclog.Log // what Config.Logger leads to; nil: silent
	actor    *poolActor
	retry    *actors.Actor[messages.ToRetry]
	health   *actors.Actor[messages.ToHealth]
	desk     *actors.Actor[ToPool]
	tree     *supervisor.Tree

	mu      sync.Mutex
	started bool
	up      chan struct{} // closed when every actor is up
	done    chan struct{}
	err     error // why the pool ended; read after done
}

// statistics are counters that only grow; see Stat.
type statistics struct {
	waited, waitTime, gaveUp     atomic.Int64
	inVain, inVainTime           atomic.Int64
	turnedAway, shed             atomic.Int64
	dials, dialsFailed, closed   atomic.Int64
	expired, unusedClosed        atomic.Int64
	dialsRefused, dialsDeferred  atomic.Int64
	outages, outageTime          atomic.Int64
	checks, checksFailed, audits atomic.Int64
	forgottenLeases, cleanings   atomic.Int64
	revokedLeases                atomic.Int64
}

// Open makes a pool and starts it in a supervision tree of its own. It does not wait for the server; use WaitReady for
// that. ctx bounds Open itself and nothing after it. Errors: a Config that is not valid.
func Open(ctx context.Context, cfg Config) (*Pool, error) {
	p, err := New(cfg)
	if err != nil {
		return nil, err
	}
	if err := p.start(ctx); err != nil {
		return nil, fmt.Errorf("poolactor: start: %w", err)
	}
	return p, nil
}

// New makes a pool that does not run: mount its Service in a supervision tree of your own. Calls wait until it runs.
// Errors: a Config that is not valid.
func New(cfg Config) (*Pool, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	p := &Pool{
		cfg:      cfg,
		target:   cfg.target(),
		born:     time.Now(),
		ready:    make(chan *token, readyCapacity()),
		again:    make(chan *token),
		demand:   make(chan struct{}, 1),
		hints:    make(chan hint, 4*cfg.MaxSize+64),
		kick:     make(chan struct{}, 1),
		returned: make(chan struct{}, 1),
		crew:     newCrew(),
		up:       make(chan struct{}),
		done:     make(chan struct{}),
	}
	if cfg.Logger != nil {
		p.log = asynclog.New(cfg.Logger)
		p.cfg.Logger = p.log.Logger()
	}
	p.own = &calls{acquire: p.Acquire, reacquire: p.reacquire, release: (*Lease).Release}
	p.group, p.canShare = p.newGroup(), cfg.sharing()
	p.life, p.endLife = context.WithCancel(context.Background())
	p.maxSize.Store(int64(cfg.MaxSize))
	p.minSize.Store(int64(cfg.MinSize))
	p.warnAfter.Store(int64(cfg.LeaseWarnAfter))
	p.maxAge.Store(int64(cfg.LeaseMaxAge))
	p.makeSlots(cfg.MaxSize)
	p.outage.Store(&messages.Outage{})
	p.cohorts.open()
	if err := p.assemble(); err != nil {
		return nil, err
	}
	if tracer, ok := cfg.Tracer.(PoolTracer); ok {
		if err := tracer.TracePool(p); err != nil {
			return nil, fmt.Errorf("poolactor: Config.Tracer: %w", err)
		}
	}
	return p, nil
}

// readyCapacity is how many connections lie on offer at most: about one per processor that can take one at a time.
// One costs a third more than a plain lock at four callers, two a third less; more keep too many connections warm.
func readyCapacity() int { return min(max(runtime.GOMAXPROCS(0), 2), 8) }

// maxSlots bounds the size of a pool; far beyond what a server takes.
const maxSlots = 1 << 18

// makeSlots appends empty slots until there are n. Slots are never moved or removed.
func (p *Pool) makeSlots(n int) {
	var slots []*slot
	if old := p.slots.Load(); old != nil {
		slots = append(slots, *old...)
	}
	for len(slots) < n {
		slots = append(slots, &slot{pool: p, index: len(slots)})
	}
	p.slots.Store(&slots)
}

func (p *Pool) all() []*slot { return *p.slots.Load() }

// now is the pool's clock: nanoseconds since it was made, not moved by changes of the wall clock.
func (p *Pool) now() int64 { return int64(time.Since(p.born)) }

// start runs the pool's tree, once, and returns when every actor is up. When it fails the pool has ended.
func (p *Pool) start(ctx context.Context) error {
	p.mu.Lock()
	again := p.started
	p.started = true
	p.mu.Unlock()
	if again {
		return errors.New("poolactor: a pool serves once: make a new one")
	}
	endLog, events := p.logEvents(), p.tree.Events(context.Background()) // before there can be any event
	go p.run(endLog, events)
	if err := p.tree.Start(ctx); err != nil {
		<-p.done
		return err
	}
	close(p.up)
	return nil
}

// run sees the tree to its end and brings everything else to its own.
func (p *Pool) run(endLog func(), events <-chan supervisor.Event) {
	p.relay(events)
	<-p.tree.Done()
	p.finish(p.tree.Err())
	p.bus.Close()
	endLog()
	close(p.done)
}

// finish is the end for good: every waiter and later caller is told, and every connection is closed. Leases that are
// still out are revoked.
func (p *Pool) finish(cause error) {
	end := ErrClosed
	var gaveUp *supervisor.GaveUpError
	if errors.As(cause, &gaveUp) {
		end = fmt.Errorf("%w: %w", ErrStopped, cause)
		cause = end
	}
	p.err = cause
	p.gate.set(gateClosed)
	p.cohorts.failAll(end, 0, true)
	p.endLife()
	p.finished.Store(true)
	p.sweep()
	<-p.crew.dismiss()
	p.sweep() // what the last workers handed back
	p.applied.Close()
}

// sweep closes what is left when no actor runs any more.
func (p *Pool) sweep() {
	for _, s := range p.all() {
		if w := s.word.Load(); s.revoke(w.gen()) {
			p.startCloser(s)
			continue
		}
		if s.word.flag(flagRetire, checking, cleaning) {
			s.conn.Load().Sever()
		}
		s.word.move(doomed, opened, resting, free, broken)
		p.closeSlot(s)
	}
}

// Service is the pool as a child of your own supervision tree, with its actors below it. It serves once: a pool that
// gave up is not restarted, and ends its parent with the cause. When the parent stops it, it closes as Close does.
func (p *Pool) Service() supervisor.Child {
	return supervisor.Child{
		Name:        "pool",
		New:         func() suture.Service { return poolService{p} },
		Ready:       p.running,
		Restart:     supervisor.Restart{Never: true},
		StopTimeout: p.stopTimeout(),
	}
}

// poolService is a pool mounted in somebody else's tree.
type poolService struct{ p *Pool }

func (s poolService) String() string            { return "pool" }
func (s poolService) Snapshot() supervisor.Node { return s.p.tree.Snapshot() }

func (s poolService) Serve(ctx context.Context) error {
	p := s.p
	if err := p.start(ctx); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return p.Close()
	case <-p.done:
		if p.err != nil {
			return p.err
		}
		return suture.ErrDoNotRestart // closed by its user
	}
}

// running returns when the pool's actors are up.
func (p *Pool) running(ctx context.Context) error {
	select {
	case <-p.up:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Shutdown closes the pool: calls that wait get ErrClosed at once, leases may come back until ctx ends, and those that
// do not are revoked: their connections are closed and the *ShutdownError names their holders. When it returns, every
// connection is closed and every goroutine has ended. Calling it again waits for the same end.
func (p *Pool) Shutdown(ctx context.Context) error {
	p.mu.Lock()
	p.gate.set(gateClosed)
	started := p.started
	p.started = true // a pool that is closed before it ran never runs
	p.mu.Unlock()
	p.cohorts.failAll(ErrClosed, 0, true)
	p.wake()
	out, _ := p.drain(ctx)
	if !started {
		p.finish(nil)
		p.bus.Close()
		close(p.done)
		return nil
	}
	stop, cancel := context.WithTimeout(context.Background(), p.stopTimeout())
	defer cancel()
	err := p.tree.Stop(stop)
	<-p.done
	if len(out) > 0 {
		return &ShutdownError{Holders: out, Err: ctx.Err()}
	}
	return err
}

// drainLook is how often a shutdown counts the leases that are out even if nobody signals a return.
const drainLook = 20 * time.Millisecond

// drain waits until no lease is out, and returns who still has one when ctx ends first.
func (p *Pool) drain(ctx context.Context) ([]Holder, error) {
	look := time.NewTicker(drainLook)
	defer look.Stop()
	for p.out() > 0 {
		select {
		case <-p.returned:
		case <-look.C:
		case <-ctx.Done():
			return p.Holders(), ctx.Err()
		case <-p.done:
			return nil, nil
		}
	}
	return nil, nil
}

// out counts the leases that are out and the connections that are being made fit after one.
func (p *Pool) out() int {
	n := 0
	for _, s := range p.all() {
		if s.word.Load().state().in([]state{leased, cleaning}) {
			n++
		}
	}
	return n
}

// Close is Shutdown bounded by Config.DrainTimeout. It is safe to call it twice, from several goroutines, and beside
// Shutdown.
func (p *Pool) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), p.cfg.DrainTimeout)
	defer cancel()
	return p.Shutdown(ctx)
}

// Done is closed when the pool has ended: after a shutdown, or because its actors gave up.
func (p *Pool) Done() <-chan struct{} { return p.done }

// Err tells why the pool has ended: nil while it runs and after an orderly shutdown, ErrStopped with the cause when its
// actors gave up, *supervisor.StopError when something did not stop in time.
func (p *Pool) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// WaitReady returns nil when the pool has a connection, opening the first if need be. It waits as an Acquire with the
// same context does, and fails with the same errors: the server's refusal, for example.
func (p *Pool) WaitReady(ctx context.Context) error {
	if p.gate.Load().open() && p.hasConnection(true) {
		return nil
	}
	l, err := p.Acquire(ctx)
	if err != nil {
		return err
	}
	l.Release()
	return nil
}

// hasConnection tells whether any connection is open, leased or not; trusted asks for one that was verified since the
// last sign of trouble.
func (p *Pool) hasConnection(trusted bool) bool {
	epoch := uint64(p.gate.Load().epoch())
	for _, s := range p.all() {
		if s.word.Load().state().hasConnection() && (!trusted || s.ok.Load() == epoch) {
			return true
		}
	}
	return false
}
