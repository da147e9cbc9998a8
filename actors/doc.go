// Package actors is in-process message passing between goroutines that may crash: each actor owns its state, takes one
// message at a time from a mailbox that outlives it, and is restarted by a supervisor.
//
// # An actor
//
// A Behavior is what an actor does in one life: Start rebuilds its state, Handle handles one message. Messages are of one
// type M; a small struct serves well, or an interface for a sealed set of them. New makes the actor, a suture.Service:
// it lives while somebody runs Serve, usually a supervisor. The address to talk to it is a Ref.
//
//	counter := actors.New(actors.Options{Name: "counter"}, func() actors.Behavior[Add] { return &Counter{} })
//	go counter.Serve(ctx) // or add it to a supervisor
//	err := counter.Ref().Tell(ctx, Add{N: 2})
//
// # Ways to talk
//
// Tell sends a message and waits for room in the mailbox; TryTell does not wait. Ask sends a request and waits for its
// answer. Post is Ask for actors, which should not wait: the answer comes into their own mailbox, as a message.
//
//	total, err := actors.Ask(ctx, counter.Ref(), func(r actors.Reply[int]) Add { return Add{N: 2, Reply: r} })
//
// The handler answers with Reply.Send, at once or later. Exactly one of answer and giving up wins: Send returns false
// when the asker is gone, and what was to be sent is then still the sender's. Nothing is lost in between.
//
// # Lives
//
// An error from Start or Handle, a panic, and a runtime.Goexit end a life; Serve reports them as an error and never lets
// them out. What follows:
//   - The message in hand is not handled again. All others wait in the mailbox for the next life, and so do
//     new ones: who tells or asks an actor that is down just waits longer.
//   - Every request that the life took and did not answer is answered ErrCrashed, with the cause, after Stop. Only one
//     taken out of the life by Reply.Detach is not.
//   - Stop is called, if the Behavior has one, to join what the life began.
//
// When the context of Serve ends, the actor is stopped for good: messages that wait are thrown out or handled first
// (Options.OnStop), everything new gets ErrStopped, and a request that was taken gets ErrCrashed. So ErrStopped always
// means that a message had no effect, and ErrCrashed that this is unknown. A stop does not wait for room in a mailbox.
// Another Serve opens the mailbox again.
//
// # Seeing it
//
// Inspect tells what an actor is doing and since when, how many messages wait, and how its last crash came about. It works
// while a handler hangs and while the actor is down.
//
// # What it costs
//
// A Tell and its handling take about as long as with a bare channel and a loop behind it, and up to twice as long where
// many send at once. As long as there takes an Ask, compared with a
// request over a bare channel with a pooled reply channel, while an actor is busy and nobody else keeps the processors from
// it: it then yields once before it parks, so that one wake-up serves all who ask meanwhile. Else an Ask takes 1.2 of that
// time. Neither allocates, unless M is an interface, which boxes its message. To end a life and begin the next costs about
// 35 µs after a panic, most of it for the stack.
package actors
