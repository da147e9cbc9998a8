package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/thejerf/suture/v4"
	"pgregory.net/rapid"

	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

// A random tree plays random scripts of crashes, is restarted here and there by request, and stopped at a random time.
// Whatever happens, what the services see and what the snapshot tells must hold together.
func TestRandomCrashScripts(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		script := scripts().Draw(rt, "script")
		var broken []string
		synctest.Test(t, func(t *testing.T) { broken = script.play(t) })
		if len(broken) > 0 {
			rt.Fatalf("%s", strings.Join(broken, "\n"))
		}
	})
}

// script is one run: groups of children, each with the acts of its lives.
type script struct {
	groups []scriptGroup
	// requests restarts, by path, at these times.
	requests []scriptRequest
	runFor   time.Duration
}

type scriptGroup struct {
	strategy supervisor.Strategy
	nested   bool // inside a group of its own
	children []scriptChild
}

type scriptChild struct {
	lives   []scriptLife // after these it runs until it is stopped
	restart supervisor.Restart
	stop    time.Duration // how long it takes to stop
}

type scriptLife struct {
	end        string
	after      time.Duration
	readyAfter time.Duration
	refuse     bool
}

type scriptRequest struct {
	path  string
	after time.Duration
}

func millisUpTo(n int) *rapid.Generator[time.Duration] {
	return rapid.Map(rapid.IntRange(0, n), func(ms int) time.Duration { return time.Duration(ms) * time.Millisecond })
}

func scripts() *rapid.Generator[script] {
	life := rapid.Custom(func(t *rapid.T) scriptLife {
		return scriptLife{
			end:        rapid.SampledFrom([]string{"error", "panic", "exit", "nil", "done"}).Draw(t, "end"),
			after:      millisUpTo(3000).Draw(t, "after"),
			readyAfter: millisUpTo(50).Draw(t, "ready after"),
			refuse:     rapid.IntRange(0, 9).Draw(t, "refuse") == 0,
		}
	})
	child := rapid.Custom(func(t *rapid.T) scriptChild {
		return scriptChild{
			lives: rapid.SliceOfN(life, 0, 8).Draw(t, "lives"),
			restart: supervisor.Restart{
				Initial:      millisUpTo(100).Draw(t, "initial") + 1,
				HealthyAfter: millisUpTo(2000).Draw(t, "healthy") + 1,
				Immediate:    rapid.Bool().Draw(t, "immediate"),
				Intensity:    rapid.IntRange(1, 4).Draw(t, "intensity") * rapid.SampledFrom([]int{1, -1}).Draw(t, "escalates"),
				Within:       millisUpTo(5000).Draw(t, "within") + 1,
				Never:        rapid.IntRange(0, 19).Draw(t, "never") == 0,
			},
			stop: millisUpTo(20).Draw(t, "stop"),
		}
	})
	group := rapid.Custom(func(t *rapid.T) scriptGroup {
		return scriptGroup{
			strategy: rapid.SampledFrom([]supervisor.Strategy{supervisor.OneForOne, supervisor.RestForOne, supervisor.OneForAll}).Draw(t, "strategy"),
			nested:   rapid.Bool().Draw(t, "nested"),
			children: rapid.SliceOfN(child, 0, 4).Draw(t, "children"),
		}
	})
	return rapid.Custom(func(t *rapid.T) script {
		s := script{groups: rapid.SliceOfN(group, 1, 3).Draw(t, "groups"), runFor: millisUpTo(20000).Draw(t, "run for")}
		paths := s.paths()
		for range rapid.IntRange(0, 3).Draw(t, "requests") {
			s.requests = append(s.requests, scriptRequest{rapid.SampledFrom(paths).Draw(t, "path"), millisUpTo(10000).Draw(t, "at")})
		}
		return s
	})
}

// paths names the groups, and the children by group and number.
func (s script) paths() []string {
	paths := []string{"root"}
	for i, g := range s.groups {
		paths = append(paths, fmt.Sprintf("root/g%d", i))
		for j := range g.children {
			paths = append(paths, g.path(i, j))
		}
	}
	return paths
}

func (g scriptGroup) path(i, j int) string {
	if g.nested {
		return fmt.Sprintf("root/g%d/in/c%d", i, j)
	}
	return fmt.Sprintf("root/g%d/c%d", i, j)
}

func (s script) play(t *testing.T) (broken []string) {
	st := newStage()
	watch := &watcher{stage: st, up: make(map[string]bool), wasUp: make(map[string]bool), ended: make(map[string]time.Time)}
	var groups []supervisor.Group
	for i, g := range s.groups {
		var children []supervisor.Child
		for j, c := range g.children {
			children = append(children, c.build(watch, g, i, j))
		}
		made := group("in", g.strategy, children...)
		if g.nested {
			made = group("", supervisor.OneForOne, made.Child())
		}
		made.Name = fmt.Sprintf("g%d", i)
		groups = append(groups, made)
	}
	tree, err := supervisor.New(supervisor.Config{}, groups...)
	require.NoError(t, err)
	listened := watch.listen(tree.Events(context.Background()))
	ctx, cancel := context.WithTimeout(t.Context(), s.runFor)
	defer cancel()
	for _, r := range s.requests {
		go func() {
			if after(r.after, returns(nil))(ctx) == nil {
				watch.judgeAnswer(tree.Restart(ctx, r.path))
			}
		}()
	}
	err = tree.Serve(ctx)
	<-listened
	watch.judgeEnd(tree, err)
	cancel()
	synctest.Wait()
	return append(watch.broken, st.twice...)
}

// watcher holds what it sees against what must hold.
type watcher struct {
	*stage
	lives, crashes map[string]int // told by events, by path

	// All by path, and guarded by the stage's lock.
	up     map[string]bool      // who is ready, or has finished
	wasUp  map[string]bool      // who was at any time
	ended  map[string]time.Time // when its last life ended
	broken []string
}

func (w *watcher) complain(format string, args ...any) {
	w.broken = append(w.broken, fmt.Sprintf(format, args...))
}

// listen counts what is told until the tree has ended.
func (w *watcher) listen(events <-chan supervisor.Event) <-chan struct{} {
	w.lives, w.crashes = make(map[string]int), make(map[string]int)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for e := range events {
			switch e.Kind {
			case supervisor.EventStarted:
				w.lives[e.Path]++
			case supervisor.EventCrashed:
				w.crashes[e.Path]++
			}
		}
	}()
	return done
}

// build makes a child whose New checks that those before it are ready.
func (c scriptChild) build(w *watcher, g scriptGroup, i, j int) supervisor.Child {
	path := g.path(i, j)
	var acts []act
	for _, l := range c.lives {
		acts = append(acts, w.watched(path, l.act(c.stop)))
	}
	child := w.child(path, append(acts, w.watched(path, takes(c.stop)))...)
	child.Name, child.Restart = fmt.Sprintf("c%d", j), c.restart
	make, playing := child.New, child.Ready
	lives := 0
	child.New = func() suture.Service {
		lives++
		for k := range j {
			w.judgeStart(g.strategy, path, g.path(i, k))
		}
		return make()
	}
	child.Ready = func(ctx context.Context) error {
		if err := playing(ctx); err != nil {
			return err
		}
		if lives <= len(c.lives) {
			l := c.lives[lives-1]
			if err := after(l.readyAfter, returns(nil))(ctx); err != nil {
				return err
			}
			if l.refuse {
				return errors.New("refused")
			}
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if ctx.Err() == nil {
			w.wasUp[path] = true
			w.up[path] = w.up[path] || w.playing[path] > 0
		}
		return nil
	}
	return child
}

// watched notes how a life ends.
func (w *watcher) watched(path string, play act) act {
	return func(ctx context.Context) (err error) {
		defer func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.up[path] = errors.Is(err, suture.ErrDoNotRestart)
			w.wasUp[path] = w.wasUp[path] || w.up[path]
			w.ended[path] = time.Now()
		}()
		return play(ctx)
	}
}

// judgeStart checks that a child which starts finds the one before it ready; in a one-for-one group, where that one
// restarts alone, that it has been ready. One that crashes in the same instant may be gone already.
func (w *watcher) judgeStart(s supervisor.Strategy, path, before string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fine := w.up[before]
	if s == supervisor.OneForOne {
		fine = w.wasUp[before]
	}
	crashedNow := !w.ended[before].IsZero() && time.Since(w.ended[before]) == 0
	if !fine && !crashedNow {
		w.complain("%s starts before %s is ready", path, before)
	}
}

func (l scriptLife) act(stop time.Duration) act {
	end := map[string]act{"error": fails, "panic": panics, "exit": exits, "nil": returns(nil), "done": returns(suture.ErrDoNotRestart)}[l.end]
	return func(ctx context.Context) error {
		select {
		case <-time.After(l.after):
			return end(ctx)
		case <-ctx.Done():
			return takes(stop)(ctx)
		}
	}
}

// judgeAnswer looks at the answer to a request.
func (w *watcher) judgeAnswer(err error) {
	for _, known := range []error{nil, supervisor.ErrNotRunning, supervisor.ErrStopped, context.DeadlineExceeded, context.Canceled} {
		if errors.Is(err, known) {
			return
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.complain("a request was answered with %v", err)
}

// judgeEnd looks at the tree when it has ended.
func (w *watcher) judgeEnd(tree *supervisor.Tree, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var gaveUp *supervisor.GaveUpError
	if err != nil && !errors.As(err, &gaveUp) {
		w.complain("the tree ended in %v", err)
	}
	for n := range tree.Snapshot().All() {
		w.judgeNode(n, gaveUp, w.lives[n.Path], w.crashes[n.Path])
	}
	if tree.LostEvents() > 0 {
		w.complain("the watcher lost events: %d", tree.LostEvents())
	}
}

func (w *watcher) judgeNode(n supervisor.Node, gaveUp *supervisor.GaveUpError, lives, crashes int) {
	switch n.State {
	case supervisor.StateStopped, supervisor.StatePending:
	case supervisor.StateGaveUp:
		// Not only the one that the tree names: another one may have come too late for that.
		if n.Kind == supervisor.KindService && crashes == 0 {
			w.complain("%s gave up, and has not crashed", n.Path)
		}
	default:
		w.complain("%s is %v in a tree that has ended", n.Path, n.State)
	}
	if gaveUp != nil && gaveUp.Who == n.Path && n.State != supervisor.StateGaveUp {
		w.complain("%s is %v, and the tree has ended in %v", n.Path, n.State, gaveUp)
	}
	if n.State == supervisor.StatePending && lives > 0 || n.Restarts != max(0, lives-1) {
		w.complain("%s: %v, %d restarts, and %d starts were told", n.Path, n.State, n.Restarts, lives)
	}
	if n.Kind == supervisor.KindService {
		if begun := len(w.starts[n.Path]); begun != lives {
			w.complain("%s: %d lives, and %d starts were told", n.Path, begun, lives)
		}
		if (n.LastError != "") != (crashes > 0) || crashes > lives {
			w.complain("%s: last error %q, %d crashes in %d lives", n.Path, n.LastError, crashes, lives)
		}
		if w.playing[n.Path] != 0 {
			w.complain("%s still plays", n.Path)
		}
	}
}
