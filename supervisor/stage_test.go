package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/thejerf/suture/v4"
	"go.uber.org/goleak"

	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBroken = errors.New("broken")

// pass lets fake time pass, and with it all that happens in it. It is used in synctest bubbles only.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// act is what a service does in one life.
type act func(ctx context.Context) error

// runs until it is stopped, as a good service does.
func runs(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// after plays end when d has passed, unless it is stopped before.
func after(d time.Duration, end act) act {
	return func(ctx context.Context) error {
		select {
		case <-time.After(d):
			return end(ctx)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func fails(context.Context) error { return errBroken }

// crashes just after it was ready. (A service that fails in the same instant in which it starts may be ready or not.)
var crashes = after(time.Millisecond, fails)

func panics(context.Context) error { panic("kaboom") }

func exits(context.Context) error {
	runtime.Goexit()
	return nil
}

func returns(err error) act { return func(context.Context) error { return err } }

// ignores its context until release is closed.
func ignores(release <-chan struct{}) act {
	return func(context.Context) error {
		<-release
		return nil
	}
}

// takes its time to stop.
func takes(d time.Duration) act {
	return func(ctx context.Context) error {
		<-ctx.Done()
		<-time.After(d)
		return nil
	}
}

// stage is where services play, and writes down what they do, with the fake time that has passed.
type stage struct {
	began time.Time

	mu      sync.Mutex
	lines   []string
	starts  map[string][]time.Duration
	playing map[string]int
	twice   []string // who was given a life while another was going on
}

func newStage() *stage {
	return &stage{began: time.Now(), starts: make(map[string][]time.Duration), playing: make(map[string]int)}
}

// note adds a line.
func (s *stage) note(words ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, strings.Join(words, " "))
}

// take returns the lines since the last take.
func (s *stage) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := s.lines
	s.lines = nil
	return lines
}

// startsOf tells when the lives of a service began.
func (s *stage) startsOf(name string) []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.starts[name])
}

func (s *stage) enter(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, "start "+name)
	s.starts[name] = append(s.starts[name], time.Since(s.began))
	if s.playing[name]++; s.playing[name] > 1 {
		s.twice = append(s.twice, name)
	}
}

func (s *stage) leave(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, "end "+name)
	s.playing[name]--
}

// child plays one act in each life, the last one again and again; without acts it runs. It is ready when it plays.
func (s *stage) child(name string, acts ...act) supervisor.Child {
	var current *player // New is called before Ready in each life, and one life ends before the next begins
	life := 0
	c := supervisor.Child{Name: name, New: func() suture.Service {
		play := act(runs)
		if len(acts) > 0 {
			play = acts[min(life, len(acts)-1)]
		}
		life++
		current = &player{stage: s, name: name, play: play, playing: make(chan struct{})}
		return current
	}}
	c.Ready = func(ctx context.Context) error {
		select {
		case <-current.playing:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return c
}

// player is one life of a service.
type player struct {
	stage   *stage
	name    string
	play    act
	playing chan struct{}
}

func (p *player) Serve(ctx context.Context) error {
	p.stage.enter(p.name)
	close(p.playing)
	defer p.stage.leave(p.name)
	return p.play(ctx)
}

// String must never be called: it is the service's own code, and suture would call it outside of any containment.
func (p *player) String() string { panic("String of " + p.name + " was called") }

// group builds a group of children without names to repeat.
func group(name string, strategy supervisor.Strategy, children ...supervisor.Child) supervisor.Group {
	return supervisor.Group{Name: name, Strategy: strategy, Children: children}
}

// with changes a child's policy.
func with(c supervisor.Child, r supervisor.Restart) supervisor.Child {
	c.Restart = r
	return c
}

// start builds a tree and starts it.
func start(t *testing.T, groups ...supervisor.Group) *supervisor.Tree {
	t.Helper()
	tree, err := supervisor.New(supervisor.Config{}, groups...)
	require.NoError(t, err)
	require.NoError(t, tree.Start(t.Context()))
	t.Cleanup(func() { _ = tree.Stop(context.Background()) }) // so that a failed test leaves nothing in the bubble
	return tree
}

// held is an act that ignores its context until the test ends.
func held(t *testing.T) act {
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	return ignores(release)
}

// stop stops a tree and expects that everything stopped.
func stop(t *testing.T, tree *supervisor.Tree) {
	t.Helper()
	require.NoError(t, tree.Stop(context.Background()))
	<-tree.Done()
}

// at finds a node of a snapshot.
func at(t *testing.T, tree *supervisor.Tree, path string) supervisor.Node {
	t.Helper()
	for n := range tree.Snapshot().All() {
		if n.Path == path {
			return n
		}
	}
	require.Fail(t, "no node at "+path)
	return supervisor.Node{}
}

// told collects the events of a tree as lines, until the tree has ended.
func told(tree *supervisor.Tree) (lines func() []string) {
	events := tree.Events(context.Background())
	return func() []string {
		var all []string
		for {
			select {
			case e, open := <-events:
				if !open {
					return all
				}
				all = append(all, fmt.Sprint(e.Path, " ", e.Kind))
			default:
				return all
			}
		}
	}
}
