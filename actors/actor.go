package actors

import (
	"context"
	"fmt"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// Behavior is what an actor does in one life. A new one is made for each life, so its fields are plain state that no
// crash can leave behind; all its methods are called one after the other, never at the same time.
type Behavior[M any] interface {
	// Start begins a life: state is rebuilt here. self is the actor's address, to be given to others and to Post. ctx
	// is the life's: it is cancelled when the life ends. An error ends the life.
	Start(ctx context.Context, self Ref[M]) error
	// Handle handles one message, with the life's context. An error or a panic ends the life; the message is not
	// handled again. To end the actor for good it returns suture.ErrDoNotRestart, which is no crash.
	Handle(ctx context.Context, m M) error
}

// Stopper is a Behavior that has something to put in order at the end of its life.
type Stopper interface {
	// Stop is called at the end of every life, however it ended: also after a Start that failed and after a panic. The
	// life's context is cancelled by then, ctx is not: Stop joins what the life began. It may still answer requests
	// that the life has kept. An error is reported like one of Handle.
	Stop(ctx context.Context) error
}

// StopPolicy is what happens to the messages that wait when an actor is stopped for good.
type StopPolicy int

const (
	// StopDiscard throws them out; requests among them are answered ErrStopped.
	StopDiscard StopPolicy = iota
	// StopDrain handles them before the life ends, in order, while no new ones are taken. The life's context stays open
	// until then, so a handler needs a bound of its own. What no life is there to handle, because it crashed, is thrown
	// out.
	StopDrain
)

// Options are an actor's settings. The zero value is ready to use.
type Options struct {
	// Name is what the actor is called in logs, errors and snapshots. If it is empty and the Behavior has a String
	// method, each life is named by that; else the message type names the actor.
	Name string
	// Mailbox is how many messages wait before Tell does; 0 or less means 64.
	Mailbox int
	// OnStop is what happens to the messages that wait when the actor is stopped for good.
	OnStop StopPolicy
	// Logger gets an ERROR with the cause and the stack of each crash; nil is silent.
	Logger *zerolog.Logger
}

const defaultMailbox = 64

// Actor is a mailbox and the lives that serve it, one at a time. It is a suture.Service. Its methods are safe from any
// goroutine.
type Actor[M any] struct {
	options  Options
	behavior func() Behavior[M]
	box      *mailbox[M]
	pulse    *pulse

	serving   atomic.Bool
	lives     atomic.Uint64
	answered  atomic.Uint64 // the messages handled that came as answers, not out of the ring
	crashes   atomic.Uint64
	lastCrash atomic.Pointer[crash]
}

// crash is how a life ended in disorder.
type crash struct {
	text string
	at   time.Time
}

// New makes an actor that does nothing yet: it lives while Serve runs, but its mailbox takes messages at once. life
// makes the Behavior of each life; a panic in it is a crash.
func New[M any](o Options, life func() Behavior[M]) *Actor[M] {
	if o.Mailbox <= 0 {
		o.Mailbox = defaultMailbox
	}
	name := o.Name
	if name == "" {
		name = fmt.Sprintf("actor of %v", reflect.TypeFor[M]())
	}
	a := &Actor[M]{options: o, behavior: life, box: newMailbox[M](name, o.Mailbox)}
	a.pulse = newPulse(&a.box.phase)
	a.pulse.enter(Down)
	return a
}

// Ref is the actor's address, the same for all its lives.
func (a *Actor[M]) Ref() Ref[M] { return Ref[M]{box: a.box} }

// String is the actor's name.
func (a *Actor[M]) String() string { return *a.box.name.Load() }

// Inspect is what the actor is doing. It never blocks, also not while a handler hangs.
func (a *Actor[M]) Inspect() Status {
	now, since := a.pulse.read()
	handled := now.taken() + a.answered.Load()
	if now.state() == Handling {
		handled--
	}
	s := Status{
		Name:     a.String(),
		State:    now.state(),
		Since:    since,
		Lives:    a.lives.Load(),
		Crashes:  a.crashes.Load(),
		Handled:  handled,
		Mailbox:  a.box.waiting(),
		Capacity: a.options.Mailbox,
	}
	if last := a.lastCrash.Load(); last != nil {
		s.LastErr, s.LastErrAt = last.text, last.at
	}
	return s
}
