package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// Row 17: the end of a pool, and of its process. pgxpool and database/sql wait for their last lease however long that
// takes, so the peers are put to the death of the process only.

// What is timed here.
const (
	ending      = "the end of the pool" // from when its time to drain is over
	tellingAll  = "telling the waiters"
	idleBackend = "the end of idle backends"
	busyBackend = "the end of busy backends"
)

// drainFor is how long leases may take to come back.
const drainFor = 500 * time.Millisecond

func closings() []Row {
	gone := []Bound{TookWithin(idleBackend, time.Second), TookWithin(busyBackend, 3*time.Second)}
	rows := []Row{{
		ID: "17-leases", Fault: "Shutdown with every connection leased, half of them busy, and callers that wait", Timed: true, Alone: true,
		Bounds: append([]Bound{TookWithin(ending, time.Second), TookWithin(tellingAll, 50*time.Millisecond)}, gone...), Run: closeWithLeases,
	}, {
		ID: "17-dials", Fault: "Close while dials hang, callers wait, and one connection is leased for a while", Timed: true, Alone: true,
		Bounds: []Bound{TookWithin(ending, time.Second), TookWithin(tellingAll, 50*time.Millisecond)}, Run: closeWhileDialsHang,
	}, {
		ID: "17-twice", Fault: "Close and Shutdown 8 times at once, under load, and once more", Timed: true, Alone: true, Short: true,
		Bounds: []Bound{TookWithin(ending, time.Second), TookWithin(idleBackend, time.Second)}, Run: closeAtOnce,
	}, {
		ID: "17-outage", Fault: "Close in an outage, while callers wait", Timed: true, Alone: true,
		Bounds: []Bound{TookWithin(ending, time.Second), TookWithin(tellingAll, 50*time.Millisecond)}, Run: closeInOutage,
	}}
	rows = append(rows, closingsInBackoff()...)
	return append(rows, Row{
		ID: "17-sigkill", Fault: "SIGKILL of a process whose pool rests, idles in leases and is busy", Timed: true, Bounds: gone, Run: killVictim,
	})
}

// closed says how a pool ended that a row closes itself.
type closed struct {
	err  error
	took time.Duration
}

func shutDown(ctx context.Context, pool *ours, drain time.Duration) closed {
	ctx, cancel := context.WithTimeout(ctx, drain)
	defer cancel()
	began := time.Now()
	err := pool.Shutdown(ctx)
	return closed{err, time.Since(began)}
}

// waitersOf sets callers on a pool that has nothing to give, and returns when all wait.
func waitersOf(ctx context.Context, pool *ours, n int) (<-chan told, error) {
	waiting := wait(ctx, pool, n)
	if !until(ctx, eventually, func() bool { return pool.Stat().Waiting == n }) {
		return nil, errors.New("not all callers wait")
	}
	return waiting, nil
}

// toldOfTheEnd times how long after the end began the last waiter was told of it.
func (x *Experiment) toldOfTheEnd(waiting <-chan told, began time.Time) {
	var last time.Duration
	for range cap(waiting) {
		t := <-waiting
		last = max(last, t.at.Sub(began))
		if !errors.Is(t.err, poolactor.ErrClosed) {
			x.Fail("a waiter of a pool that is closed was told: %v", t.err)
		}
	}
	x.Took(tellingAll, last, x.late.seen())
}

// quiet is an experiment whose callers the row makes itself.
func quiet(size int) Setup { return Setup{Callers: -1, Tuning: Tuning{Size: size}} }

func closeWithLeases(ctx context.Context, l *Lab, k Kind) (Result, error) {
	return l.on(ctx, k, postgres.Options{}, quiet(defaultSize), func(x *Experiment, server *postgres.Server) error {
		pool := x.Pool()
		held, err := holdAll(ctx, pool, defaultSize)
		if err != nil {
			return err
		}
		defer releaseAll(held)
		busy := keepBusy(ctx, held[:defaultSize/2])
		watch, err := watchBackends(ctx, server.DSN(), defaultSize/2, defaultSize)
		if err != nil {
			return err
		}
		waiting, err := waitersOf(ctx, pool, 50)
		if err != nil {
			return err
		}
		x.late.reset()
		began := time.Now()
		end := shutDown(ctx, pool, drainFor)
		x.Took(ending, end.took-drainFor, x.late.seen())
		watch.timed(ctx, x, began.Add(drainFor))
		x.toldOfTheEnd(waiting, began)
		x.namesHolders(end.err, defaultSize)
		for range cap(busy) {
			if err := <-busy; !errors.Is(err, poolactor.ErrRevoked) {
				x.Fail("a statement on a lease that was revoked: %v", err)
			}
		}
		return nil
	})
}

// keepBusy lets each lease run a statement that does not end by itself.
func keepBusy(ctx context.Context, leases []*poolactor.Lease) <-chan error {
	errs := make(chan error, len(leases))
	for _, lease := range leases {
		go func() {
			_, err := lease.Exec(ctx, "select pg_sleep(600)")
			errs <- err
		}()
	}
	return errs
}

// namesHolders looks whether an error names everybody who did not give a lease back.
func (x *Experiment) namesHolders(err error, n int) {
	var out *poolactor.ShutdownError
	if !errors.As(err, &out) || !errors.Is(err, context.DeadlineExceeded) {
		x.Fail("a shutdown that ran out of time says: %v", err)
		return
	}
	for i := range n {
		label := fmt.Sprintf("holder %d", i)
		if !slices.ContainsFunc(out.Holders, func(h poolactor.Holder) bool { return h.Label == label }) || !strings.Contains(err.Error(), label+" ") {
			x.Fail("%s held a lease, and the error does not name it: %v", label, err)
		}
	}
}

func closeWhileDialsHang(ctx context.Context, l *Lab, k Kind) (Result, error) {
	const waiters = 50
	setup := quiet(defaultSize)
	var hang atomic.Bool
	var hanging atomic.Int64
	setup.Tuning.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if hang.Load() {
			hanging.Add(1)
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	return l.on(ctx, k, postgres.Options{}, setup, func(x *Experiment, _ *postgres.Server) error {
		pool := x.Pool()
		held, err := holdAll(ctx, pool, 1)
		if err != nil {
			return err
		}
		hang.Store(true)
		waiting, err := waitersOf(ctx, pool, waiters)
		if err != nil {
			return err
		}
		if !until(ctx, eventually, func() bool { return hanging.Load() > 1 }) {
			return errors.New("no dial hangs")
		}
		x.late.reset()
		began := time.Now()
		time.AfterFunc(drainFor, held[0].Release)
		end := shutDown(ctx, pool, patience)
		x.Took(ending, end.took-drainFor, x.late.seen())
		x.toldOfTheEnd(waiting, began)
		if end.err != nil {
			x.Fail("everything came back in time, and the pool says: %v", end.err)
		}
		return nil
	})
}

// closeAtOnce lets everybody close a pool whose callers are busy.
func closeAtOnce(ctx context.Context, l *Lab, k Kind) (Result, error) {
	return l.on(ctx, k, postgres.Options{}, Setup{Think: 50 * time.Millisecond}, func(x *Experiment, server *postgres.Server) error {
		watch, err := watchBackends(ctx, server.DSN(), 0, 1)
		if err != nil {
			return err
		}
		pool := x.Pool()
		var closers sync.WaitGroup
		x.late.reset()
		began := time.Now()
		for i := range 8 {
			closers.Go(func() {
				end := pool.Close
				if i%2 == 0 {
					end = func() error { return shutDown(ctx, pool, patience).err }
				}
				if err := end(); err != nil {
					x.FailLater("one of several that closed the pool was told: %v", err)
				}
				select {
				case <-pool.Done():
				default:
					x.FailLater("the pool has not ended, and somebody who closed it was told that it has")
				}
			})
		}
		closers.Wait()
		x.Took(ending, time.Since(began), x.late.seen())
		watch.timed(ctx, x, began)
		if err := pool.Close(); err != nil {
			x.Fail("one more Close: %v", err)
		}
		x.load.end()
		x.Excuse(func(c Call) bool { return errors.Is(c.Err, poolactor.ErrClosed) && c.Backend == nil })
		return nil
	})
}

func closeInOutage(ctx context.Context, l *Lab, k Kind) (Result, error) {
	return l.on(ctx, k, postgres.Options{}, quiet(defaultSize), func(x *Experiment, server *postgres.Server) error {
		pool := x.Pool()
		if err := pool.Ping(ctx); err != nil {
			return err
		}
		if err := server.Kill(); err != nil {
			return err
		}
		Pass(ctx, afterlife)
		waiting, err := waitersOf(ctx, pool, 50)
		if err != nil {
			return err
		}
		Pass(ctx, time.Second)
		x.late.reset()
		began := time.Now()
		err = pool.Close()
		x.Took(ending, time.Since(began), x.late.seen())
		x.toldOfTheEnd(waiting, began)
		if err != nil {
			x.Fail("the pool did not close in order: %v", err)
		}
		return server.StartAgain(ctx) // for the audit
	})
}

// census are the backends of a server on this machine, by what they do.
type census struct{ idle, busy []uint32 }

// watchBackends waits until so many backends run a statement, and there are so many in all, and counts them.
func watchBackends(ctx context.Context, dsn string, busy, all int) (c census, err error) {
	admin, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return c, err
	}
	defer admin.Close(ctx)
	counted := until(ctx, eventually, func() bool {
		if c.busy, err = pids(admin.Query(ctx, "select pid "+others+" and state = 'active' and wait_event = 'PgSleep'")); err != nil {
			return true
		}
		c.idle, err = pids(admin.Query(ctx, "select pid "+others+" and not (state = 'active' and wait_event = 'PgSleep')"))
		return err != nil || len(c.busy) >= busy && len(c.busy)+len(c.idle) >= all
	})
	if !counted && err == nil {
		err = fmt.Errorf("of %d backends %d are busy: too few", len(c.busy)+len(c.idle), len(c.busy))
	}
	return c, err
}

// timed notes how long after a moment the last backend of each kind was gone.
func (c census) timed(ctx context.Context, x *Experiment, since time.Time) {
	ctx, cancel := context.WithTimeout(ctx, eventually)
	defer cancel()
	var kinds sync.WaitGroup
	took := [2]time.Duration{}
	for i, some := range [2][]uint32{c.idle, c.busy} {
		kinds.Go(func() {
			(&autopsy{}).watch(ctx, some)
			took[i] = time.Since(since)
		})
	}
	kinds.Wait()
	if len(c.idle) > 0 {
		x.Took(idleBackend, took[0], x.late.seen())
	}
	if len(c.busy) > 0 {
		x.Took(busyBackend, took[1], x.late.seen())
	}
}
