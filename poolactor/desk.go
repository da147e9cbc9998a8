package poolactor

import (
	"context"

	"github.com/seed-4ff2b7b9/supervised/actors"
	"github.com/seed-4ff2b7b9/supervised/internal/failpoint"
	"github.com/seed-4ff2b7b9/supervised/messages"
)

// ToPool is what other actors send to a pool: a request for a lease, answered on Reply, or a lease to release.
type ToPool struct {
	Acquire messages.Acquire     // how to wait, and as whom; used if Release is nil
	Release *Lease               // nil: this is an Acquire
	Reply   actors.Reply[*Lease] // of an Acquire; a Release needs none
}

// Ref is the pool as an actor: the same queue and the same errors as Acquire. Whoever asks gets a lease of its own; an
// asker that gives up meanwhile leaves the queue and loses no connection. Once the pool has ended its mailbox
// answers actors.ErrStopped.
func (p *Pool) Ref() actors.Ref[ToPool] { return p.desk.Ref() }

// desk is the actor behind Ref. It detaches every reply, and a worker of the pool does what Acquire does, so neither a
// crash of the desk nor one of the pool actor reaches an asker.
type desk struct{ p *Pool }

func newDesk(p *Pool) *actors.Actor[ToPool] {
	return actors.New(actors.Options{Name: "desk", Mailbox: deskMailbox},
		func() actors.Behavior[ToPool] { return desk{p} })
}

const deskMailbox = 256

func (desk) Start(context.Context, actors.Ref[ToPool]) error {
	failpoint.Hit("desk.started")
	return nil
}

func (d desk) Handle(_ context.Context, m ToPool) error {
	if m.Release != nil {
		m.Release.Release()
		failpoint.Hit("desk.released")
		return nil
	}
	reply := m.Reply.Detach()
	if !d.p.crew.Go(func() { d.serve(m.Acquire, reply) }) {
		reply.Fail(d.p.ended())
	}
	failpoint.Hit("desk.served")
	return nil
}

// serve answers one request. A waiter learns of the pool's end by its cohort, as every caller does.
func (d desk) serve(m messages.Acquire, reply actors.Reply[*Lease]) {
	var ctx context.Context = asker{Context: context.Background(), done: reply.Done()}
	if !m.Deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, m.Deadline)
		defer cancel()
	}
	if m.Label != "" {
		ctx = WithLabel(ctx, m.Label)
	}
	l, err := d.p.Acquire(ctx)
	if err != nil {
		select {
		case <-reply.Done(): // its own context tells it
		default:
			reply.Fail(err)
		}
		return
	}
	if !reply.Send(l) {
		l.Release()
	}
}

// asker is the context of a request: it ends when the asker gives up.
type asker struct {
	context.Context
	done <-chan struct{}
}

func (a asker) Done() <-chan struct{} { return a.done }

func (a asker) Err() error {
	select {
	case <-a.done:
		return context.Canceled
	default:
		return nil
	}
}
