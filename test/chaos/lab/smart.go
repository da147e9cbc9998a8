package lab

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
)

// Row 2b: a server that was told to stop when its last client has gone. It serves the sessions that there are, and
// refuses every log-in with 57P03.

// leaving is what the time is called that a server needs to stop once the pool has been told to let go of it.
const leaving = "the server's exit, from Suspend on"

func smartStops() []Row {
	return []Row{{
		ID: "2b", Fault: "smart stop for 3 s while more callers come, then a fast one while nobody calls, and start",
		Bounds: []Bound{NothingFails, DialsWithin(80)}, Run: smartStop,
	}, {
		ID: "2b-evict", Fault: "smart stop, Suspend and Evict, start, Resume", Timed: true, Alone: true, Short: true,
		Bounds: []Bound{NothingFails, TookWithin(leaving, time.Second), FirstWithin(100 * time.Millisecond)}, Run: letGo,
	}}
}

// smartStop: half of the connections are open when the stop begins, so that the pool would open more. None of those may
// be lost for the refusal of the others.
func smartStop(ctx context.Context, l *Lab, k Kind) (Result, error) {
	setup := Setup{Callers: defaultSize / 2}
	return l.on(ctx, k, postgres.Options{}, setup, func(x *Experiment, server *postgres.Server) error {
		admin, err := pgx.Connect(ctx, server.DSN())
		if err != nil {
			return err
		}
		defer admin.Close(context.WithoutCancel(ctx))
		f := x.Strike(ctx)
		before, err := backends(ctx, admin)
		if err != nil {
			return err
		}
		x.watch.end() // or the server would wait for the observer
		stopped, err := beginSmartStop(ctx, server)
		if err != nil {
			return err
		}
		x.load.add(defaultCallers - setup.Callers)
		Pass(ctx, 3*time.Second)
		after, err := backends(ctx, admin)
		if err != nil {
			return err
		}
		lost := slices.DeleteFunc(before, func(pid uint32) bool { return slices.Contains(after, pid) })
		if len(lost) > 0 {
			x.Fail("%d of the connections that worked were closed", len(lost))
		}
		x.load.pause()
		if err := server.Stop(ctx, postgres.Fast); err != nil {
			return err
		}
		if err := <-stopped; err != nil {
			return err
		}
		if err := server.StartAgain(ctx); err != nil {
			return err
		}
		resumed := time.Now()
		x.load.resume()
		x.First(ctx, f, resumed, 0)
		Pass(ctx, 500*time.Millisecond)
		return nil
	})
}

// beginSmartStop returns when the server refuses log-ins; the channel says when it has stopped.
func beginSmartStop(ctx context.Context, server *postgres.Server) (<-chan error, error) {
	stopped := make(chan error, 1)
	go func() { stopped <- server.Stop(ctx, postgres.Smart) }()
	if !until(ctx, eventually, func() bool { return code(logIn(ctx, server.DSN())) == "57P03" }) {
		return nil, errors.New("lab: a server that stops still lets clients in")
	}
	return stopped, nil
}

// letGo is planned maintenance: the pool lets go of a server that stops, and comes back to it. The control is the same
// stop of the same server before it had a client.
func letGo(ctx context.Context, l *Lab, k Kind) (Result, error) {
	server, err := l.server(ctx, postgres.Options{})
	if err != nil {
		return Result{}, err
	}
	defer server.Close()
	began := time.Now()
	if err := server.Stop(ctx, postgres.Smart); err != nil {
		return Result{}, err
	}
	control := time.Since(began)
	if err := server.StartAgain(ctx); err != nil {
		return Result{}, err
	}
	x, err := Begin(ctx, k, Setup{DSN: server.DSN(), Log: server.Log})
	if err != nil {
		return Result{}, err
	}
	err = x.letGoOf(ctx, server, control)
	return x.Finish(ctx), err
}

func (x *Experiment) letGoOf(ctx context.Context, server *postgres.Server, control time.Duration) error {
	f := x.Strike(ctx)
	x.watch.end() // or the server would wait for the observer
	stopped, err := beginSmartStop(ctx, server)
	if err != nil {
		return err
	}
	Pass(ctx, time.Second)
	pool, began := x.Pool(), time.Now()
	if err := pool.Suspend(ctx); err != nil {
		return err
	}
	if err := pool.Evict(ctx, 0); err != nil {
		return err
	}
	if err := <-stopped; err != nil {
		return err
	}
	x.Took(leaving, time.Since(began), control+x.late.seen())
	Pass(ctx, 500*time.Millisecond)
	if err := server.StartAgain(ctx); err != nil {
		return err
	}
	resumed := time.Now()
	if err := pool.Resume(); err != nil {
		return err
	}
	x.First(ctx, f, resumed, 0)
	Pass(ctx, 500*time.Millisecond)
	return nil
}
