package supervisor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/thejerf/suture/v4"

	"github.com/seed-4ff2b7b9/supervised/actors"
)

// place is where a child or a group stands in the tree. It lasts as long as the tree, while groups, domains and lives
// come and go at it, and it carries what the snapshot shows.
type place struct {
	journal *journal
	parent  *place // nil for the root
	index   int    // among the parent's children
	path    string
	child   Child // with its defaults filled in
	below   []*place
	// requests reaches the group that runs at this place, if it is one.
	requests chan request
	board    board
}

func (p *place) isGroup() bool { return p.child.group != nil }

// spawn makes the service of the next life, and what tells when it is ready.
func (p *place) spawn() (suture.Service, func(context.Context) error, error) {
	if p.isGroup() {
		g := newGroup(p)
		return g, g.awaitReady, nil
	}
	service := p.child.New()
	if service == nil {
		return nil, nil, ErrNoService
	}
	if actor, ok := service.(inspector); ok && p.child.Ready == nil {
		return service, func(ctx context.Context) error { return awaitStart(ctx, actor) }, nil
	}
	return service, p.child.Ready, nil
}

// tell announces an event of this place.
func (p *place) tell(kind EventKind, err error, delay time.Duration) {
	p.journal.tell(Event{
		At: time.Now(), Kind: kind, Path: p.path, Err: err, Stack: stackOf(err), Delay: delay, Restarts: p.board.read().restarts(),
	})
}

// started notes that a life begins.
func (p *place) started() {
	p.board.update(func(f *facts) {
		f.enter(StateStarting)
		f.failed = false
		if f.lives++; f.lives > 1 {
			kept := f.restartedAt[max(0, len(f.restartedAt)-restartsKept+1):]
			f.restartedAt = append(slices.Clone(kept), time.Now())
		}
	})
	p.tell(EventStarted, nil, 0)
}

// running notes that the life is ready, or that a group is whole.
func (p *place) running() {
	p.board.enter(StateRunning)
	p.tell(EventReady, nil, 0)
}

// failed notes how a life ended, without deciding what follows.
func (p *place) failed(cause error) {
	p.board.update(func(f *facts) {
		f.enter(StateFailed)
		f.failed = true
		f.lastError, f.lastErrorAt, f.lastStack = cause.Error(), time.Now(), stackOf(cause)
	})
}

// backoff notes when the next life begins.
func (p *place) backoff(delay time.Duration, nextLife time.Time) {
	p.board.update(func(f *facts) {
		if f.enter(StateBackoff) {
			f.nextRestart = nextLife
		}
	})
	p.tell(EventRestartScheduled, nil, delay)
}

// gaveUp is the error that ends a group because of this place. What a group gave up with is passed on as it is: the
// child in it is the one to name.
func (p *place) gaveUp(cause error) *GaveUpError {
	var inner *GaveUpError
	if p.isGroup() && errors.As(cause, &inner) {
		return inner
	}
	return &GaveUpError{Who: p.path, Restarts: p.board.read().restarts(), Cause: cause}
}

// find walks down by names. Rest is what is left of the path below a service, which may show a subtree of its own.
func (p *place) find(names []string) (found *place, rest string, ok bool) {
	for i, name := range names {
		if !p.isGroup() {
			return p, strings.Join(names[i:], "/"), true
		}
		next := slices.IndexFunc(p.below, func(b *place) bool { return b.child.Name == name })
		if next < 0 {
			return nil, "", false
		}
		p = p.below[next]
	}
	return p, "", true
}

// leaveBehind notes what a mounted tree could not stop, by the paths that it has here.
func (p *place) leaveBehind(parting error) {
	var late *StopError
	if !errors.As(parting, &late) {
		return
	}
	var paths []string
	for _, inner := range late.Paths {
		_, rest, _ := strings.Cut(inner, "/")
		paths = append(paths, p.path+"/"+rest)
	}
	p.board.update(func(f *facts) { f.leftBehind = paths })
}

// stuck lists what did not stop, here and below, in the order of the tree.
func (p *place) stuck() []string {
	f := p.board.read()
	paths := slices.Clone(f.leftBehind)
	if f.state == StateStuck {
		paths = append(paths, p.path)
	}
	for _, b := range p.below {
		paths = append(paths, b.stuck()...)
	}
	return paths
}

// snapshot shows the place and all below it.
func (p *place) snapshot() Node {
	f := p.board.read()
	n := Node{
		Name: p.child.Name, Path: p.path, State: f.state, Since: f.since, Restarts: f.restarts(),
		RestartedAt: slices.Clone(f.restartedAt), LastError: f.lastError, LastErrorAt: f.lastErrorAt,
		LastStack: f.lastStack, NextRestart: f.nextRestart,
	}
	if p.isGroup() {
		n.Kind = KindGroup
		for _, b := range p.below {
			n.Children = append(n.Children, b.snapshot())
		}
		return n
	}
	show(f.service, &n)
	return n
}

// show lets a service tell about itself. It is the service's own code: if it panics, nothing is shown.
func show(service suture.Service, n *Node) {
	defer func() { _ = recover() }()
	if s, ok := service.(interface{ Snapshot() Node }); ok {
		subtree := s.Snapshot()
		n.Children = moved(subtree.Children, subtree.Path, n.Path)
		n.Kind = KindTree
	}
	if s, ok := service.(inspector); ok {
		status := s.Inspect()
		n.Status = &status
	}
}

// inspector is what tells an actor from other services.
type inspector interface{ Inspect() actors.Status }

// moved gives nodes the paths they have below their new parent.
func moved(nodes []Node, from, to string) []Node {
	for i := range nodes {
		n := &nodes[i]
		n.Path = to + strings.TrimPrefix(n.Path, from)
		n.Children = moved(n.Children, from, to)
	}
	return nodes
}

// facts is what is known about a place: a value that is never changed once it is published.
type facts struct {
	state       State
	since       time.Time
	lives       int
	failed      bool // the last life did, and the service may believe that it gets another
	restartedAt []time.Time
	lastError   string
	lastErrorAt time.Time
	lastStack   string
	nextRestart time.Time
	leftBehind  []string // what a mounted tree did not stop
	service     suture.Service
}

func (f *facts) restarts() int { return max(0, f.lives-1) }

// enter changes the state. What is being stopped becomes nothing but stopped or stuck: a life that starts or fails in
// the same instant must not make it look alive.
func (f *facts) enter(s State) bool {
	if f.state == StateStopping && s != StateStopped && s != StateStuck {
		return false
	}
	f.state, f.since, f.nextRestart = s, time.Now(), time.Time{}
	return true
}

// board publishes a place's facts: read without waiting, at any time.
type board struct {
	writing   sync.Mutex // held from reading the old facts to publishing the new ones
	published atomic.Pointer[facts]
}

func (b *board) read() *facts {
	if f := b.published.Load(); f != nil {
		return f
	}
	return &facts{}
}

func (b *board) update(change func(*facts)) {
	b.writing.Lock()
	defer b.writing.Unlock()
	next := *b.read()
	change(&next)
	b.published.Store(&next)
}

func (b *board) enter(s State) { b.update(func(f *facts) { f.enter(s) }) }
