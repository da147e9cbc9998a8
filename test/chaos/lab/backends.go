package lab

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
)

// Rows 2 and 3: single backends die. Each death is known by its process, so here the rule is held to the letter: whoever
// fails had a lease on a backend that died, and that had not been dead for longer than the grace.

func deaths() []Row {
	return []Row{
		{ID: "2-one", Fault: "kill -9 of one backend", Run: killOne},
		{ID: "3-all", Fault: "pg_terminate_backend of all, 20 times", Run: terminateAll},
		{ID: "3-rest", Fault: "pg_terminate_backend of all while they rest, 10 times", Short: true, Bounds: []Bound{NothingFails}, Run: terminateResting},
		{ID: "3-random", Fault: "pg_terminate_backend of a random one, 50 times a second for 10 s", Run: terminateRandom},
	}
}

// bereaved makes an experiment in which single backends die, on a server with an observer.
func bereaved(ctx context.Context, l *Lab, k Kind, s Setup, do func(*Experiment, *postgres.Server, *pgx.Conn) error) (Result, error) {
	return l.on(ctx, k, postgres.Options{}, s, func(x *Experiment, server *postgres.Server) error {
		admin, err := pgx.Connect(ctx, server.DSN())
		if err != nil {
			return err
		}
		defer admin.Close(ctx)
		x.lookAfterBackends()
		return do(x, server, admin)
	})
}

// killOne makes the postmaster end all other backends and recover.
func killOne(ctx context.Context, l *Lab, k Kind) (Result, error) {
	return bereaved(ctx, l, k, Setup{}, func(x *Experiment, server *postgres.Server, admin *pgx.Conn) error {
		f := x.Strike(ctx)
		doomed, err := backends(ctx, admin)
		if err != nil || len(doomed) == 0 {
			return fmt.Errorf("no backend to kill: %w", err)
		}
		victim := doomed[rand.IntN(len(doomed))]
		if err := syscall.Kill(int(victim), syscall.SIGKILL); err != nil {
			return err
		}
		x.DieOf(ctx, f, doomed)
		recovered := func() bool { return server.AcceptedAt().After(f.At) }
		if !until(ctx, eventually, recovered) {
			return fmt.Errorf("the server did not recover")
		}
		x.Accepted(ctx, f, server.AcceptedAt(), 0)
		return nil
	})
}

// These end the backends that they pick: all, and one.
const (
	terminated    = "select pid from (select pid, pg_terminate_backend(pid) " + others + ") as victims"
	terminatedOne = "select pid from (select pid, pg_terminate_backend(pid) from (select pid " + others +
		" order by random() limit 1) as one) as victim"
)

func terminateAll(ctx context.Context, l *Lab, k Kind) (Result, error) {
	return bereaved(ctx, l, k, Setup{}, func(x *Experiment, _ *postgres.Server, admin *pgx.Conn) error {
		for range 20 {
			f := x.Strike(ctx)
			doomed, err := pids(admin.Query(ctx, terminated))
			if err != nil {
				return err
			}
			x.DieOf(ctx, f, doomed)
			x.Accepted(ctx, f, f.DeadBy, 0)
		}
		return nil
	})
}

// terminateResting ends backends that nobody has a lease on, so that nobody has an excuse.
func terminateResting(ctx context.Context, l *Lab, k Kind) (Result, error) {
	return bereaved(ctx, l, k, Setup{}, func(x *Experiment, _ *postgres.Server, admin *pgx.Conn) error {
		for range 10 {
			x.Busy(ctx)
			x.load.pause()
			f := x.StrikeNow()
			doomed, err := pids(admin.Query(ctx, terminated))
			if err != nil {
				return err
			}
			x.DieOf(ctx, f, doomed)
			Pass(ctx, 50*time.Millisecond) // far beyond the grace, on a busy machine, too
			x.load.resume()
			x.First(ctx, f, f.DeadBy, 0)
		}
		return nil
	})
}

// fewestKills is how many of the 500 random deaths have to come off: a machine that is slow misses some, and a pool that has no
// connection in between has none to lose.
const fewestKills = 400

func terminateRandom(ctx context.Context, l *Lab, k Kind) (Result, error) {
	const every, span = 20 * time.Millisecond, 10 * time.Second
	return bereaved(ctx, l, k, Setup{}, func(x *Experiment, _ *postgres.Server, admin *pgx.Conn) error {
		var watches sync.WaitGroup
		defer watches.Wait()
		kills := 0
		beat := time.NewTicker(every)
		defer beat.Stop()
		for end := time.Now().Add(span); time.Now().Before(end); <-beat.C {
			f := x.StrikeNow()
			doomed, err := pids(admin.Query(ctx, terminatedOne))
			if err != nil {
				return err
			}
			kills += len(doomed)
			f.DeadBy = f.At.Add(eventually) // until it is known
			watches.Go(func() { x.DieOf(ctx, f, doomed) })
		}
		x.Note("%d backends terminated", kills)
		if kills < fewestKills {
			x.Against("%d backends terminated, which shows less than %d", kills, fewestKills)
		}
		return nil
	})
}
