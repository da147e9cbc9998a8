package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/thejerf/suture/v4"

	"github.com/seed-4ff2b7b9/supervised/actors"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

// Add asks a counter to add N.
type Add struct {
	N     int
	Reply actors.Reply[int]
}

// Counter is an actor that cannot bear negative numbers.
type Counter struct{ sum int }

func (c *Counter) Start(context.Context, actors.Ref[Add]) error { return nil }

func (c *Counter) Handle(_ context.Context, m Add) error {
	if m.N < 0 {
		panic("negative")
	}
	c.sum += m.N
	m.Reply.Send(c.sum)
	return nil
}

// Greeter is a service without a mailbox: all it needs is Serve.
type Greeter struct{ ready chan struct{} }

func (g *Greeter) String() string { return "greeter" }

func (g *Greeter) Serve(ctx context.Context) error {
	fmt.Println("the greeter is up")
	close(g.ready)
	<-ctx.Done()
	fmt.Println("the greeter is down")
	return ctx.Err()
}

// A tree of an actor and a service. The actor crashes and is restarted; whoever asks it meanwhile waits a little longer.
func Example() {
	counter := actors.New(actors.Options{Name: "counter"}, func() actors.Behavior[Add] { return &Counter{} })
	greeter := &Greeter{ready: make(chan struct{})}

	tree, err := supervisor.New(supervisor.Config{}, supervisor.Group{
		Name: "work",
		Children: []supervisor.Child{{
			Name:    "counter",
			New:     func() suture.Service { return counter },
			Restart: supervisor.Restart{Immediate: true, Initial: 5 * time.Millisecond, Max: time.Second},
		}, {
			Name: "greeter", // starts when the counter is ready, stops before it
			New:  func() suture.Service { return greeter },
			Ready: func(ctx context.Context) error {
				select {
				case <-greeter.ready:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			},
			StopTimeout: time.Second,
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	if err := tree.Start(ctx); err != nil { // returns when both are ready
		fmt.Println(err)
		return
	}

	add := func(n int) {
		sum, err := actors.Ask(ctx, counter.Ref(), func(r actors.Reply[int]) Add { return Add{n, r} })
		fmt.Println("sum:", sum, "crashed:", errors.Is(err, actors.ErrCrashed))
	}
	add(1)
	add(2)
	add(-1)
	add(5) // a new life, with a new state

	for n := range tree.Snapshot().All() {
		fmt.Printf("%s %s, %v, restarts: %d\n", n.Kind, n.Path, n.LastError, n.Restarts)
	}
	fmt.Println("stopped:", tree.Stop(ctx))
	// Output:
	// the greeter is up
	// sum: 1 crashed: false
	// sum: 3 crashed: false
	// sum: 0 crashed: true
	// sum: 5 crashed: false
	// group root, , restarts: 0
	// group root/work, , restarts: 0
	// service root/work/counter, panic: negative, restarts: 1
	// service root/work/greeter, , restarts: 0
	// the greeter is down
	// stopped: <nil>
}

// Groups nest, and a child that may not fail ends the tree, which tells who and why.
func ExampleGroup_Child() {
	licence := supervisor.Group{Name: "licence", Children: []supervisor.Child{{
		Name:    "check",
		New:     func() suture.Service { return Expired{} },
		Restart: supervisor.Restart{Never: true},
	}}}
	tree, err := supervisor.New(supervisor.Config{Name: "app"}, supervisor.Group{
		Name:     "edge",
		Children: []supervisor.Child{licence.Child()},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(tree.Serve(context.Background()))
	// Output:
	// supervisor: gave up on app/edge/licence/check after 0 restarts: expired
}

// Expired is a service that cannot go on.
type Expired struct{}

func (Expired) String() string { return "licence check" }

func (Expired) Serve(context.Context) error { return errors.New("expired") }

// A readiness check that fails from five restarts within ten seconds until ten seconds were clean.
func ExampleNode_Flapping() {
	now := time.Now()
	node := supervisor.Node{Path: "root/data/pool"}
	for second := range 5 {
		node.RestartedAt = append(node.RestartedAt, now.Add(time.Duration(second)*time.Second))
	}
	for _, seconds := range []time.Duration{4, 13, 14} {
		fmt.Println(node.Flapping(5, 10*time.Second, now.Add(seconds*time.Second)))
	}
	// Output:
	// true
	// true
	// false
}
