package supervisor

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/thejerf/suture/v4"
)

// eventBuffer is how far a subscriber may fall behind: the events of a group of ten that crashes five times.
const eventBuffer = 256

// Tree supervises groups of services. It runs once: by Start and Stop, or by Serve, which is how it is mounted in another
// tree or in a suture.Supervisor. All methods are safe from any goroutine.
type Tree struct {
	journal journal
	root    *group

	mu     sync.Mutex         // guards begun and cancel
	begun  bool               // started, served or stopped: never again
	cancel context.CancelFunc // ends Serve; nil before

	done chan struct{} // closed after err was set
	err  error
}

// New checks the groups and builds a tree of them, which does not run yet. The groups start in the order given, each when
// the one before is ready, and stop in reverse order; below the root they are independent of each other. The error lists
// everything that is wrong.
func New(cfg Config, groups ...Group) (*Tree, error) {
	t := &Tree{done: make(chan struct{})}
	t.journal.log = cfg.Logger
	root, err := plant(&t.journal, cfg, groups)
	if err != nil {
		return nil, err
	}
	t.root = newGroup(root)
	return t, nil
}

// Start runs the tree in the background and returns when every group is ready. If that fails, because ctx ended, the tree
// gave up or was stopped, the tree is stopped before Start returns, and will not run again. Once it has started, the end
// of ctx means nothing to it; its values reach the services.
func (t *Tree) Start(ctx context.Context) error {
	serving, err := t.begin(context.WithoutCancel(ctx))
	if err != nil {
		return err
	}
	go t.run(serving)
	select {
	case <-t.root.ready:
		return nil
	case <-t.done:
	case <-ctx.Done():
		t.cancel()
		<-t.done
		return errors.Join(fmt.Errorf("supervisor: %s was not ready in time: %w", t.root.place.path, context.Cause(ctx)), t.err)
	}
	if t.err != nil {
		return t.err
	}
	return ErrStopped
}

// Serve runs the tree until ctx ends, Stop is called, or it gives up. It returns nil after an ordered stop, a *StopError
// if something did not stop in time, and a *GaveUpError if the tree gave up; if then something did not stop either, an
// error that matches both.
//
// A Tree serves once. Served again it returns the *GaveUpError it had ended with, or else an error that matches ErrServed
// and suture.ErrDoNotRestart.
func (t *Tree) Serve(ctx context.Context) error {
	ctx, err := t.begin(ctx)
	if err != nil {
		return err
	}
	t.run(ctx)
	return t.err
}

// begin claims the only run.
func (t *Tree) begin(ctx context.Context) (context.Context, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.begun {
		return nil, t.servedBefore()
	}
	t.begun = true
	ctx, t.cancel = context.WithCancel(ctx)
	return ctx, nil
}

// run is the tree's life. The root group runs in it, without a domain around it: there is nobody to restart it.
func (t *Tree) run(ctx context.Context) {
	defer t.cancel()
	root := t.root.place
	root.started()
	var gaveUp *GaveUpError // stays nil if the root served until the end of ctx
	errors.As(t.root.Serve(ctx), &gaveUp)
	late := t.late()
	if gaveUp == nil {
		root.board.enter(StateStopped)
		root.tell(EventStopped, late, 0)
		t.end(late)
		return
	}
	root.board.enter(StateGaveUp)
	t.journal.tell(Event{
		At: time.Now(), Kind: EventGaveUp, Path: gaveUp.Who, Err: gaveUp, Stack: stackOf(gaveUp), Restarts: gaveUp.Restarts,
	})
	if late != nil {
		t.end(errors.Join(gaveUp, late))
		return
	}
	t.end(gaveUp)
}

// late is the *StopError of what did not stop in time, or nil.
func (t *Tree) late() error {
	if paths := t.root.place.stuck(); len(paths) > 0 {
		return &StopError{Paths: paths}
	}
	return nil
}

func (t *Tree) end(err error) {
	t.err = err
	t.journal.bus.Close()
	close(t.done)
}

// Stop stops the groups in reverse order, each child within its StopTimeout, and returns when that is done: nil, or a
// *StopError that lists what did not stop. If ctx ends first, Stop returns a *StopError with what still runs then, which
// matches ctx's error, and the stop goes on; Done tells when it is over. Further and concurrent calls wait for the same
// stop. A tree that was not started will not start any more; a tree that gave up has stopped: Err tells why.
func (t *Tree) Stop(ctx context.Context) error {
	t.mu.Lock()
	switch {
	case t.cancel != nil:
		t.cancel()
	case !t.begun:
		t.begun = true
		t.end(nil)
	}
	t.mu.Unlock()
	select {
	case <-t.done:
		return t.late()
	default:
	}
	select {
	case <-t.done:
		return t.late()
	case <-ctx.Done():
		return &StopError{Paths: t.running(), Err: ctx.Err()}
	}
}

// running lists the services that have not stopped yet.
func (t *Tree) running() []string {
	var paths []string
	for n := range t.Snapshot().All() {
		alive := n.State == StateStarting || n.State == StateRunning || n.State == StateStopping || n.State == StateStuck
		if n.Kind != KindGroup && alive {
			paths = append(paths, n.Path)
		}
	}
	return paths
}

// Restart restarts one child, or every child of a group, at once and with fresh counts, and returns when all that was
// restarted is ready again: a group's strategy restarts other children along with a child as if that had failed. The
// path may begin
// with the tree's own name or without it: "root/data/pool" or "data/pool"; a path that could be read both ways is read
// with it. The tree's name alone restarts everything. A path may lead on into a mounted tree.
//
// The errors are ErrUnknownPath, ErrNotRunning, ErrStopped, or that of ctx, whose end does not call the restart off. A
// child that does not stop within its StopTimeout cannot be restarted: the tree gives up.
func (t *Tree) Restart(ctx context.Context, path string) error {
	p, rest, ok := t.find(path)
	if !ok {
		return fmt.Errorf("%w: %q", ErrUnknownPath, path)
	}
	if !t.hasBegun() {
		return ErrNotRunning
	}
	if rest != "" {
		below, ok := p.board.read().service.(interface {
			Restart(ctx context.Context, path string) error
		})
		if !ok {
			return fmt.Errorf("%w: %q", ErrUnknownPath, path)
		}
		return below.Restart(ctx, rest)
	}
	q := request{member: -1, done: make(chan error, 1)}
	if !p.isGroup() {
		q.member, p = p.index, p.parent
	}
	return t.await(ctx, p, q)
}

// await hands the request to the group at p, when one runs there, and waits for its answer.
func (t *Tree) await(ctx context.Context, p *place, q request) error {
	select {
	case p.requests <- q:
	case <-t.done:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-q.done: // a group answers whatever it has taken before it ends
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *Tree) find(path string) (p *place, rest string, ok bool) {
	root := t.root.place
	names := strings.Split(path, "/")
	if names[0] == root.child.Name {
		if p, rest, ok := root.find(names[1:]); ok {
			return p, rest, true
		}
	}
	return root.find(names)
}

func (t *Tree) hasBegun() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.begun
}

// servedBefore tells whoever serves a second time how the first ended.
func (t *Tree) servedBefore() error {
	if err := t.Err(); isGaveUp(err) {
		return err
	}
	return fmt.Errorf("%w (%w)", ErrServed, suture.ErrDoNotRestart)
}

// Snapshot shows what every group and child does at this moment, and did before. It reads atomics, so it never waits for
// the tree nor holds it up; only Inspect and Snapshot of a service are called, here, by the caller.
func (t *Tree) Snapshot() Node { return t.root.place.snapshot() }

// Events returns a channel of what happens from now on, which is closed when ctx ends or the tree has. A subscriber that
// falls 256 events behind loses those that follow; LostEvents counts them. Events of a mounted tree are its own.
func (t *Tree) Events(ctx context.Context) <-chan Event {
	return t.journal.bus.Subscribe(ctx, eventBuffer)
}

// LostEvents counts the events that subscribers did not get because they were slow.
func (t *Tree) LostEvents() uint64 { return t.journal.bus.Lost() }

// StopTimeout is how long the tree may take to stop: the sum of its groups' time-outs. Whoever mounts the tree as a Child
// gives that child at least as much.
func (t *Tree) StopTimeout() time.Duration { return t.root.place.child.StopTimeout }

// Done is closed when the tree has ended: everything has stopped, or was given up waiting for.
func (t *Tree) Done() <-chan struct{} { return t.done }

// Err tells why the tree ended: what Serve returned. It is nil before Done is closed, and after an ordered stop.
func (t *Tree) Err() error {
	select {
	case <-t.done:
		return t.err
	default:
		return nil
	}
}

// String is the tree's name.
func (t *Tree) String() string { return t.root.place.path }
