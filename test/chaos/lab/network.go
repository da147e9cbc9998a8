package lab

import (
	"context"
	"errors"
	"time"

	"github.com/seed-4ff2b7b9/supervised/internal/faultproxy"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/test/chaos/container"
)

// Rows 4 and 5: the network loses, resets and cuts connections, and a server stands still for less than the callers'
// deadlines.

func losses() []Row {
	behindPort := []Bound{HitsSomebody, DialsWithin(80), FirstWithin(600 * time.Millisecond)}
	bounds := []Bound{HitsSomebody, DialsWithin(80)}
	return []Row{{
		ID: "4-kill", Fault: "container killed, down 1 s, behind a published port", Container: true, Timed: true,
		Bounds: behindPort, Run: contained(killContainer),
	}, {
		ID: "4-restart", Fault: "docker restart, behind a published port", Container: true, Timed: true,
		Bounds: behindPort, Run: contained(restartContainer),
	}, {
		ID: "4-net", Fault: "network of a container disconnected for 1 s and connected again", Container: true, Timed: true,
		Bounds: behindPort, Run: contained(cutOff),
	}, {
		ID: "4-query", Fault: "all connections reset in the middle of statements, three times", Short: true,
		Bounds: bounds, Run: through(nil, exactly(resetInStatements)),
	}, {
		ID: "4-rest", Fault: "all connections reset while most of them rest, three times", Bounds: []Bound{DialsWithin(80)},
		Run: through(resting, exactly(resetInStatements)),
	}, {
		ID: "4-result", Fault: "each connection reset in the middle of a result, three times",
		Bounds: bounds, Run: through(func(s *Setup) { s.Results = true }, exactly(resetInResults)),
	}, {
		ID: "4-cut", Fault: "each connection reset after 3 bytes of a message, 0.5 s long for each direction",
		Bounds: bounds, Run: through(nil, exactly(cutMessages)),
	}}
}

// contained makes an experiment with a server in a container out of what is done to it.
func contained(do func(context.Context, *Experiment, *container.Server) error) func(context.Context, *Lab, Kind) (Result, error) {
	return func(ctx context.Context, l *Lab, k Kind) (Result, error) {
		server, err := l.container(ctx)
		if err != nil {
			return Result{}, err
		}
		defer server.Remove(context.WithoutCancel(ctx))
		if err := server.Rest(); err != nil { // idle connections to the engine would count as left behind
			return Result{}, err
		}
		log := func() ([]postgres.Line, error) {
			lines, err := server.Log(ctx)
			return lines, errors.Join(err, server.Rest())
		}
		x, err := Begin(ctx, k, Setup{DSN: server.DSN(), Log: log})
		if err != nil {
			return Result{}, err
		}
		err = errors.Join(do(ctx, x, server), server.Rest())
		return x.Finish(ctx), err
	}
}

// killContainer kills every process of the container.
func killContainer(ctx context.Context, x *Experiment, server *container.Server) error {
	f := x.Strike(ctx)
	if err := server.Kill(ctx); err != nil {
		return err
	}
	f.DeadBy = time.Now()
	Pass(ctx, time.Second)
	if err := server.Start(ctx); err != nil {
		return err
	}
	return x.welcomed(ctx, f, server)
}

// restartContainer has the engine stop the server, fast, and start it again.
func restartContainer(ctx context.Context, x *Experiment, server *container.Server) error {
	f := x.Strike(ctx)
	if err := server.Restart(ctx); err != nil {
		return err
	}
	f.DeadBy = time.Now()
	return x.welcomed(ctx, f, server)
}

// welcomed waits for the first success after a container was started. The control is a bare log-in that began when the server
// said that it lets clients in: where the network of a container comes up after its proxy, nobody gets through before.
func (x *Experiment) welcomed(ctx context.Context, f *Fault, server *container.Server) error {
	loggedIn, err := server.WaitAccepting(ctx)
	if err != nil {
		return err
	}
	accepted, err := server.ReadyAt(ctx)
	if err != nil {
		return err
	}
	x.Accepted(ctx, f, accepted, loggedIn.Sub(accepted))
	return nil
}

// cutOff takes the network away and gives it back; the server itself runs on. The control is a bare log-in again.
func cutOff(ctx context.Context, x *Experiment, server *container.Server) error {
	f := x.Strike(ctx)
	if err := server.Disconnect(ctx); err != nil {
		return err
	}
	f.DeadBy = time.Now()
	Pass(ctx, time.Second)
	if err := server.Connect(ctx); err != nil {
		return err
	}
	connected := time.Now()
	loggedIn, err := server.WaitAccepting(ctx)
	if err != nil {
		return err
	}
	x.Accepted(ctx, f, connected, loggedIn.Sub(connected))
	return nil
}

// exactly makes an experiment in which the moment of each death counts to the millisecond.
func exactly(do func(context.Context, *Experiment, *proxied) error) func(context.Context, *Experiment, *proxied) error {
	return func(ctx context.Context, x *Experiment, p *proxied) error {
		x.late.watchThreads()
		return do(ctx, x, p)
	}
}

// resetInStatements: a statement of the workload takes 20 ms, so that some are always under way.
func resetInStatements(ctx context.Context, x *Experiment, p *proxied) error {
	for range 3 {
		f := x.Strike(ctx)
		p.proxy.ResetAll()
		x.Accepted(ctx, f, time.Now(), 0)
		Pass(ctx, 300*time.Millisecond)
	}
	return nil
}

// resetInResults resets each connection after half of what a long result takes, as long as it takes until some were hit.
func resetInResults(ctx context.Context, x *Experiment, p *proxied) error {
	for range 3 {
		halves := x.load.halves.Load()
		f := x.Strike(ctx)
		p.proxy.CutAfter(faultproxy.ToClient, 50_000)
		hit := until(ctx, eventually, func() bool { return x.load.halves.Load() >= halves+int64(x.setup.Tuning.Size)/2 })
		if err := p.proxy.Heal(); err != nil {
			return err
		}
		if !hit {
			x.Fail("no results were cut in their middle")
		}
		x.Accepted(ctx, f, time.Now(), 0)
		Pass(ctx, 300*time.Millisecond)
	}
	return nil
}

// cutMessages lets nobody log in while it goes on, since the server's greeting is cut, too.
func cutMessages(ctx context.Context, x *Experiment, p *proxied) error {
	for _, direction := range []faultproxy.Direction{faultproxy.ToClient, faultproxy.ToServer} {
		f := x.Strike(ctx)
		p.proxy.CutAfter(direction, 3)
		Pass(ctx, 500*time.Millisecond)
		if err := p.proxy.Heal(); err != nil {
			return err
		}
		x.Accepted(ctx, f, time.Now(), 0)
		Pass(ctx, 300*time.Millisecond)
	}
	return nil
}
