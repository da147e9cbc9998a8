package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-4ff2b7b9/supervised/internal/faultproxy"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
)

// What a soak does to the server and to the network before it. Each is over, and everything works again, before the next one
// begins.

var serverSteps = []func(*rand.Rand) deed{
	soakKill, soakKill, soakKillBackend, soakStop, soakTerminateAll, soakTerminateSome, soakPause,
	soakFreeze, soakFreeze, soakReset, soakReset, soakCut, soakLatency, soakRate, soakHang, soakRefuse,
}

// soakKill kills the postmaster. Its backends live on for a moment, and the next server may start beside them.
func soakKill(r *rand.Rand) deed {
	down := pick(r, []time.Duration{0, between(r, 0, time.Second), between(r, time.Second, 4*time.Second)})
	return deed{what: fmt.Sprintf("kill -9 of the postmaster, down %v", down), do: func(ctx context.Context, b *bout) error {
		return b.doom(ctx, func([]uint32) error { return b.place.server.Kill() }, afterlife, func() error {
			b.pass(down)
			return b.place.server.StartAgain(ctx)
		})
	}}
}

// noticing is how long a postmaster may take to see that a backend was killed, and to recover.
const noticing = 10 * time.Second

// soakKillBackend kills one backend, after which the postmaster ends all others and recovers. One that has ended by itself
// just then ends nothing, although it can be killed until the postmaster has buried it: so the postmaster is killed instead.
func soakKillBackend(r *rand.Rand) deed {
	which := r.Float64()
	return deed{what: "kill -9 of one backend", do: func(ctx context.Context, b *bout) error {
		begun := time.Now()
		recovered := func() bool { return b.place.server.PID() == 0 || b.place.server.AcceptedAt().After(begun) }
		kill := func(all []uint32) error {
			err := syscall.Kill(int(all[int(which*float64(len(all)))]), syscall.SIGKILL)
			if err == nil && until(ctx, noticing, recovered) || err != nil && !errors.Is(err, syscall.ESRCH) {
				return err
			}
			return b.place.server.Kill()
		}
		return b.doom(ctx, kill, afterlife, func() error {
			return b.place.server.StartAgain(ctx) // or it runs
		})
	}}
}

func soakStop(r *rand.Rand) deed {
	mode, down := pick(r, []postgres.StopMode{postgres.Fast, postgres.Immediate}), between(r, 0, 2*time.Second)
	return deed{what: fmt.Sprintf("%v stop, down %v", mode, down), do: func(ctx context.Context, b *bout) error {
		return b.doom(ctx, func([]uint32) error { return b.place.server.Stop(ctx, mode) }, 0, func() error {
			b.pass(down)
			return b.place.server.StartAgain(ctx)
		})
	}}
}

// doom lets a fault end every backend that there is, cures it, and waits until somebody succeeds. Each death is watched; of
// backends that came after the count it is known that they do not live on for longer after the fault.
func (b *bout) doom(ctx context.Context, fault func(all []uint32) error, longest time.Duration, cure func() error) error {
	all, err := b.backends(ctx)
	if err != nil {
		return err
	}
	var watch sync.WaitGroup
	defer watch.Wait()
	watching, cancel := context.WithCancel(ctx)
	defer cancel()
	f := b.x.StrikeNow()
	watch.Go(func() { b.autopsy.watch(watching, all) })
	if err := fault(all); err != nil {
		return err
	}
	b.dooms = append(b.dooms, Fault{At: f.At, DeadBy: time.Now().Add(longest)})
	if err := cure(); err != nil {
		return err
	}
	watch.Wait()
	b.x.First(ctx, f, time.Now(), 0)
	return nil
}

// backends are the processes that serve the pool. There is always one, unless it is suspended.
func (b *bout) backends(ctx context.Context) (all []uint32, err error) {
	err = b.admin(ctx, func(admin *pgx.Conn) error {
		until(ctx, eventually, func() bool {
			all, err = backends(ctx, admin)
			return err != nil || len(all) > 0
		})
		return err
	})
	return all, err
}

// admin lends a connection that goes past the proxy.
func (b *bout) admin(ctx context.Context, f func(*pgx.Conn) error) error {
	admin, err := pgx.Connect(ctx, b.place.server.DSN())
	if err != nil {
		return err
	}
	defer admin.Close(ctx)
	return f(admin)
}

func soakTerminateAll(r *rand.Rand) deed {
	times := 1 + r.IntN(5)
	return deed{what: fmt.Sprintf("pg_terminate_backend of all, %d times", times), do: func(ctx context.Context, b *bout) error {
		return b.terminate(ctx, times, 100*time.Millisecond, terminated)
	}}
}

func soakTerminateSome(r *rand.Rand) deed {
	times := 1 + r.IntN(50)
	return deed{what: fmt.Sprintf("pg_terminate_backend of a random one, %d times", times), do: func(ctx context.Context, b *bout) error {
		return b.terminate(ctx, times, 20*time.Millisecond, terminatedOne)
	}}
}

// terminate ends the backends that a query picks, so many times, and knows when each of them died.
func (b *bout) terminate(ctx context.Context, times int, every time.Duration, query string) error {
	var watches sync.WaitGroup
	defer watches.Wait()
	return b.admin(ctx, func(admin *pgx.Conn) error {
		for range times {
			doomed, err := pids(admin.Query(ctx, query))
			if err != nil {
				return err
			}
			watches.Go(func() { b.autopsy.watch(ctx, doomed) })
			b.pass(every)
		}
		return nil
	})
}

// soakPause stops every process of the server for less than callers wait.
func soakPause(r *rand.Rand) deed {
	still := between(r, 500*time.Millisecond, 5*time.Second)
	return deed{what: fmt.Sprintf("every process of the server stopped for %v", still), do: func(ctx context.Context, b *bout) error {
		return b.ail(ctx, still, b.place.server.Pause, b.place.server.Unpause)
	}}
}

// ail lets something be wrong for a while, in which no backend dies, and waits until somebody succeeds.
func (b *bout) ail(ctx context.Context, length time.Duration, fault, cure func() error) error {
	f := b.x.StrikeNow()
	if err := fault(); err != nil {
		return err
	}
	b.pass(length)
	if err := cure(); err != nil {
		return err
	}
	b.x.First(ctx, f, time.Now(), 0)
	return nil
}

// network makes a step of something that is wrong with the network for a while.
func network(length time.Duration, what string, fault func(*faultproxy.Proxy)) deed {
	return deed{what: fmt.Sprintf("%s for %v", what, length), do: func(ctx context.Context, b *bout) error {
		return b.ail(ctx, length, func() error { fault(b.place.proxy); return nil }, b.place.proxy.Heal)
	}}
}

func soakFreeze(r *rand.Rand) deed {
	return network(between(r, 200*time.Millisecond, 8*time.Second), "the network says nothing", (*faultproxy.Proxy).Freeze)
}

func soakReset(r *rand.Rand) deed {
	times := 1 + r.IntN(5)
	return deed{what: fmt.Sprintf("all connections reset, %d times", times), do: func(ctx context.Context, b *bout) error {
		for range times {
			if err := b.ail(ctx, 50*time.Millisecond, func() error { b.place.proxy.ResetAll(); return nil }, b.place.proxy.Heal); err != nil {
				return err
			}
		}
		return nil
	}}
}

func soakCut(r *rand.Rand) deed {
	direction := pick(r, []faultproxy.Direction{faultproxy.ToClient, faultproxy.ToServer})
	bytes := pick(r, []int{0, r.IntN(10), r.IntN(1000)})
	what := fmt.Sprintf("each connection reset after %d bytes (direction %d)", bytes, direction)
	return network(between(r, 100*time.Millisecond, time.Second), what, func(p *faultproxy.Proxy) { p.CutAfter(direction, bytes) })
}

func soakLatency(r *rand.Rand) deed {
	delay := between(r, time.Millisecond, 500*time.Millisecond)
	what := fmt.Sprintf("%v more each way", delay)
	return network(between(r, time.Second, 4*time.Second), what, func(p *faultproxy.Proxy) { p.Latency(delay) })
}

func soakRate(r *rand.Rand) deed {
	rate := 1 + r.IntN(20_000)
	what := fmt.Sprintf("%d bytes a second", rate)
	return network(between(r, 500*time.Millisecond, 3*time.Second), what, func(p *faultproxy.Proxy) { p.Rate(rate) })
}

// soakHang resets what there is, and answers nobody who dials.
func soakHang(r *rand.Rand) deed {
	return network(between(r, 200*time.Millisecond, 3*time.Second), "connections reset, dials accepted and not answered", func(p *faultproxy.Proxy) {
		p.Hang()
		p.ResetAll()
	})
}

// soakRefuse resets what there is, and nobody can dial.
func soakRefuse(r *rand.Rand) deed {
	return network(between(r, 200*time.Millisecond, 3*time.Second), "connections reset, dials refused", func(p *faultproxy.Proxy) {
		p.Refuse()
		p.ResetAll()
	})
}
