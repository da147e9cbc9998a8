package track

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Arceliar/phony"
	"github.com/asynkron/protoactor-go/actor"

	"github.com/seed-4ff2b7b9/supervised/actors"
	"github.com/seed-4ff2b7b9/supervised/test/bench/figures"
)

// The peers of the actors.
const (
	bareChannel = "channel"
	mutex       = "mutex"
	protoactor  = "protoactor-go"
	phonyActors = "phony"
)

// mailboxSize is the room of all mailboxes that have a bound.
const mailboxSize = 64

// counter is somebody who counts what he is told, and answers with what he was asked.
type counter struct {
	ask   operation
	tell  operation
	count func() int64 // how much of what was told was handled
	close func() error
}

// counters are everybody who can be told and asked, ours first, the bare channel second.
var counters = []struct {
	name string
	open func() *counter
}{
	{Ours, newActor},
	{bareChannel, newChannel},
	{mutex, newMutex},
	{protoactor, newProtoactor},
	{phonyActors, newPhony},
}

// messageEvents are questions with answers, and messages without.
func messageEvents() []event {
	var events []event
	for _, senders := range []int{1, 8, 64} {
		events = append(events, event{
			Row: figures.Row{
				ID:    fmt.Sprintf("ask/%d", senders),
				Title: "ask: round trip, " + plural(senders, "asker"),
				Setup: "the channel is buffered as our mailbox is, its reply channel comes from a sync.Pool",
				X:     float64(senders),
				Bounds: []figures.Bound{
					figures.AtMost(Ours, figures.Time, 1, bareChannel),
					figures.Under(Ours, figures.Allocs, 0),
				},
			},
			quick:    senders < 64,
			entrants: speakers(senders, (*counter).asks),
		})
	}
	for _, senders := range []int{1, 8, 64} {
		events = append(events, event{
			Row: figures.Row{
				ID:     fmt.Sprintf("tell/%d", senders),
				Title:  "tell: a message and its handling, " + plural(senders, "sender"),
				X:      float64(senders),
				Bounds: []figures.Bound{figures.AtMost(Ours, figures.Time, 1.2, bareChannel)},
			},
			quick:    senders == 8,
			entrants: speakers(senders, (*counter).tells),
		})
	}
	return events
}

func speakers(senders int, how func(*counter, int, time.Duration) (figures.Figures, error)) []entrant {
	var entrants []entrant
	for _, c := range counters {
		entrants = append(entrants, entrant{c.name, func(_ context.Context, t *Track) (lane, error) {
			opened := c.open()
			return lane{func(context.Context) (figures.Figures, error) {
				return how(opened, senders, t.window(250*time.Millisecond))
			}, opened.close}, nil
		}})
	}
	return entrants
}

func (c *counter) asks(senders int, window time.Duration) (figures.Figures, error) {
	done, err := drive(senders, window, c.ask)
	if err != nil {
		return nil, err
	}
	return figures.Figures{figures.Time: done.perOperation(), figures.Work: done.work(), figures.Allocs: done.allocations()}, nil
}

// tells is over when all that was told was handled: a mailbox without a bound would else only show how it grows.
func (c *counter) tells(senders int, window time.Duration) (figures.Figures, error) {
	began, before := time.Now(), c.count()
	done, err := drive(senders, window, c.tell)
	if err != nil {
		return nil, err
	}
	err = until(context.Background(), "all messages to be handled", func() bool {
		return c.count()-before == int64(done.operations)
	})
	done.took = time.Since(began)
	return figures.Figures{figures.Time: done.perOperation(), figures.Work: done.work(), figures.Allocs: done.allocations()}, err
}

// answer looks that it is the right one.
func answer(want, got int, err error) error {
	if err == nil && got != want {
		return fmt.Errorf("asked for %d, got %d", want, got)
	}
	return err
}

// question is a message to our actor; without a reply it is only counted.
type question struct {
	n     int
	reply actors.Reply[int]
}

// clerk is our actor.
type clerk struct{ handled *atomic.Int64 }

func (clerk) Start(context.Context, actors.Ref[question]) error { return nil }

func (c clerk) Handle(_ context.Context, q question) error {
	if !q.reply.Send(q.n) {
		c.handled.Add(1)
	}
	return nil
}

func newActor() *counter {
	var (
		handled atomic.Int64
		life    sync.WaitGroup
	)
	a := actors.New(actors.Options{Mailbox: mailboxSize}, func() actors.Behavior[question] { return clerk{&handled} })
	ctx, stop := context.WithCancel(context.Background())
	var ended error
	life.Go(func() { ended = a.Serve(ctx) })
	ref, background := a.Ref(), context.Background()
	return &counter{
		ask: func(n int) error {
			got, err := actors.Ask(background, ref, func(r actors.Reply[int]) question { return question{n, r} })
			return answer(n, got, err)
		},
		tell:  func(n int) error { return ref.Tell(background, question{n: n}) },
		count: handled.Load,
		close: func() error {
			stop()
			life.Wait()
			if !errors.Is(ended, context.Canceled) {
				return ended
			}
			return nil
		},
	}
}

// bareQuestion is what the bare channel carries.
type bareQuestion struct {
	n     int
	reply chan int
}

func newChannel() *counter {
	var (
		handled   atomic.Int64
		loop      sync.WaitGroup
		questions = make(chan bareQuestion, mailboxSize)
		idle      = sync.Pool{New: func() any { return make(chan int, 1) }}
	)
	loop.Go(func() {
		for q := range questions {
			if q.reply == nil {
				handled.Add(1)
				continue
			}
			q.reply <- q.n
		}
	})
	return &counter{
		ask: func(n int) error {
			reply := idle.Get().(chan int)
			questions <- bareQuestion{n, reply}
			got := <-reply
			idle.Put(reply)
			return answer(n, got, nil)
		},
		tell:  func(n int) error { questions <- bareQuestion{n: n}; return nil },
		count: handled.Load,
		close: func() error {
			close(questions)
			loop.Wait()
			return nil
		},
	}
}

func newMutex() *counter {
	var (
		mu      sync.Mutex
		handled int64
	)
	return &counter{
		ask: func(n int) error {
			mu.Lock()
			got := n
			mu.Unlock()
			return answer(n, got, nil)
		},
		tell: func(int) error {
			mu.Lock()
			handled++
			mu.Unlock()
			return nil
		},
		count: func() int64 {
			mu.Lock()
			defer mu.Unlock()
			return handled
		},
		close: func() error { return nil },
	}
}

// protoQuestion is asked, protoNote is told.
type (
	protoQuestion struct{ n int }
	protoNote     struct{}
)

func newProtoactor() *counter {
	var handled atomic.Int64
	quiet := func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }
	system := actor.NewActorSystem(actor.WithLoggerFactory(quiet))
	pid := system.Root.Spawn(actor.PropsFromFunc(func(c actor.Context) {
		switch m := c.Message().(type) {
		case *protoQuestion:
			c.Respond(m.n)
		case *protoNote:
			handled.Add(1)
		}
	}))
	note := new(protoNote)
	return &counter{
		ask: func(n int) error {
			got, err := system.Root.RequestFuture(pid, &protoQuestion{n}, patience).Result()
			if err != nil {
				return err
			}
			return answer(n, got.(int), nil)
		},
		tell:  func(int) error { system.Root.Send(pid, note); return nil },
		count: handled.Load,
		close: func() error {
			err := system.Root.StopFuture(pid).Wait()
			system.Shutdown()
			return err
		},
	}
}

func newPhony() *counter {
	var (
		inbox   phony.Inbox
		handled atomic.Int64
	)
	count := func() { handled.Add(1) }
	return &counter{
		ask: func(n int) error {
			got := 0
			phony.Block(&inbox, func() { got = n })
			return answer(n, got, nil)
		},
		tell:  func(int) error { inbox.Act(nil, count); return nil },
		count: handled.Load,
		close: func() error { phony.Block(&inbox, func() {}); return nil },
	}
}
