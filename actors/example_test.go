package actors_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/thejerf/suture/v4"

	"github.com/seed-4ff2b7b9/supervised/actors"
)

// Add is what a counter is told, or asked when there is a Reply.
type Add struct {
	N     int
	Reply actors.Reply[int]
}

// Counter is one life of a counter.
type Counter struct{ total int }

func (c *Counter) Start(context.Context, actors.Ref[Add]) error { return nil }

func (c *Counter) Handle(_ context.Context, m Add) error {
	if m.N < 0 {
		return errors.New("it only goes up")
	}
	c.total += m.N
	m.Reply.Send(c.total)
	return nil
}

// Tell an actor something, and ask it.
func Example() {
	counter := actors.New(actors.Options{Name: "counter"}, func() actors.Behavior[Add] { return &Counter{} })
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- counter.Serve(ctx) }()

	for n := range 5 {
		if err := counter.Ref().Tell(ctx, Add{N: n}); err != nil {
			fmt.Println(err)
		}
	}
	total, err := actors.Ask(ctx, counter.Ref(), func(r actors.Reply[int]) Add { return Add{N: 10, Reply: r} })
	fmt.Println(total, err)

	stop()
	fmt.Println(<-ended)
	fmt.Println(counter.Ref().TryTell(Add{N: 1}))
	// Output:
	// 20 <nil>
	// context canceled
	// actors: the actor is stopped: counter
}

// An actor is a suture.Service: its supervisor begins the next life when one crashes. Messages that wait survive.
func ExampleActor() {
	counter := actors.New(actors.Options{Name: "counter"}, func() actors.Behavior[Add] { return &Counter{} })
	root := suture.New("root", suture.Spec{EventHook: func(suture.Event) {}}) // quiet
	root.Add(counter)
	ctx, stop := context.WithCancel(context.Background())
	ended := root.ServeBackground(ctx)

	add := func(n int) (int, error) {
		return actors.Ask(ctx, counter.Ref(), func(r actors.Reply[int]) Add { return Add{N: n, Reply: r} })
	}
	fmt.Println(add(2))
	_, err := add(-1)
	fmt.Println(errors.Is(err, actors.ErrCrashed), err)
	fmt.Println(add(3)) // by the next life, which began at 0

	stop()
	<-ended
	fmt.Println(counter.Inspect().Lives, "lives,", counter.Inspect().LastErr)
	// Output:
	// 2 <nil>
	// true actors: counter ended its life before it answered: it only goes up
	// 3 <nil>
	// 2 lives, it only goes up
}

// Clerk is an actor that needs another one's answers, and does not wait for them.
type Clerk struct {
	self    actors.Ref[Note]
	counter actors.Ref[Add]
	done    chan<- string
}

// Note is what a clerk is told: how many came in, or, from its own Post, the new total.
type Note struct {
	Arrived int
	Total   int
	Err     error
}

func (c *Clerk) Start(_ context.Context, self actors.Ref[Note]) error {
	c.self = self
	return nil
}

func (c *Clerk) Handle(ctx context.Context, m Note) error {
	if m.Arrived == 0 {
		c.done <- fmt.Sprint("total ", m.Total, ", error ", m.Err)
		return nil
	}
	return actors.Post(ctx, c.counter,
		func(r actors.Reply[int]) Add { return Add{N: m.Arrived, Reply: r} },
		c.self, func(total int, err error) Note { return Note{Total: total, Err: err} })
}

// Ask another actor from a handler, without blocking it: the answer is a message like any other.
func ExamplePost() {
	counter := actors.New(actors.Options{Name: "counter"}, func() actors.Behavior[Add] { return &Counter{} })
	done := make(chan string)
	clerk := actors.New(actors.Options{Name: "clerk"}, func() actors.Behavior[Note] {
		return &Clerk{counter: counter.Ref(), done: done}
	})
	root := suture.New("root", suture.Spec{EventHook: func(suture.Event) {}}) // quiet
	root.Add(counter)
	root.Add(clerk)
	ctx, stop := context.WithCancel(context.Background())
	ended := root.ServeBackground(ctx)

	if err := clerk.Ref().Tell(ctx, Note{Arrived: 4}); err != nil {
		fmt.Println(err)
	}
	fmt.Println(<-done)
	stop()
	<-ended
	// Output: total 4, error <nil>
}
