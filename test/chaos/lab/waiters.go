package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
)

// Row 15: many callers and few connections, and callers that hardly wait.

const (
	queueSize   = 5
	queueLength = 10_000
	// mostOvertakes is what a caller may lose whose turn had come: while its connection is checked, or was taken away for a
	// check, the others serve one caller each in a millisecond or two.
	mostOvertakes = 10 * queueSize

	hurriedSize  = 20
	hurriedCalls = 32
	hurriedFor   = 20 * time.Second
)

func crowds() []Row {
	return []Row{
		{
			ID: "15-order", Fault: fmt.Sprintf("%d callers wait for %d connections", queueLength, queueSize),
			Run: queue, Bounds: []Bound{NothingFails},
		},
		{
			ID: "15-hurry", Fault: fmt.Sprintf("%d callers with deadlines of 0 to 5 ms, for %v", hurriedCalls, hurriedFor),
			Run: hurry, Bounds: []Bound{NothingFails},
		},
	}
}

// queue lets callers come one after the other while every connection is held, and looks in which order they are served.
// A caller that this machine holds up once its turn has come is overtaken by others. A channel of connections, which is as
// fair as Go can be, is the control for that.
func queue(ctx context.Context, l *Lab, k Kind) (Result, error) {
	setup := Setup{Callers: -1, Patience: 4 * patience, Tuning: Tuning{Size: queueSize}}
	return l.on(ctx, k, postgres.Options{}, setup, func(x *Experiment, server *postgres.Server) error {
		plain, err := newChannel(ctx, server.DSN(), queueSize)
		if err != nil {
			return err
		}
		control := overtaken(ctx, plain.do)
		plain.close(ctx)
		most := overtaken(ctx, func(ctx context.Context, f func(context.Context, Session) error) {
			_ = x.load.run(ctx, f) // it is noted
		})
		x.Note("at most %d later callers were served before an earlier one; with a channel of connections %d", most, control)
		if allowed := mostOvertakes + 2*control; most > allowed {
			x.Fail("a caller was overtaken by %d others, %d are allowed", most, allowed)
		}
		x.fewDials(2*queueSize, 0)
		return nil
	})
}

// overtaken lines callers up and returns how many later ones were served before an earlier one, at most. call lends a
// connection to a function.
func overtaken(ctx context.Context, call func(context.Context, func(context.Context, Session) error)) int {
	var (
		group   sync.WaitGroup
		holding atomic.Int64
		turn    atomic.Int64
	)
	open, served := make(chan struct{}), make([]int64, queueLength)
	for range queueSize {
		group.Go(func() {
			call(ctx, func(context.Context, Session) error { holding.Add(1); <-open; return nil })
		})
	}
	until(ctx, eventually, func() bool { return holding.Load() == queueSize })
	for i := range served {
		group.Go(func() {
			call(ctx, func(ctx context.Context, s Session) error {
				served[i] = turn.Add(1)
				_, err := s.Exec(ctx, "select pg_sleep(0.001)")
				return err
			})
		})
		parked(ctx)
	}
	close(open)
	group.Wait()
	return mostOvertaken(served)
}

// channel is the plainest pool there is.
type channel chan *pgx.Conn

func newChannel(ctx context.Context, dsn string, size int) (channel, error) {
	c := make(channel, size)
	for range size {
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			c.close(ctx)
			return nil, err
		}
		c <- conn
	}
	return c, nil
}

func (c channel) do(ctx context.Context, f func(context.Context, Session) error) {
	conn := <-c
	_ = f(ctx, conn) // only the order counts here
	c <- conn
}

func (c channel) close(ctx context.Context) {
	for range len(c) {
		_ = (<-c).Close(ctx) // whether or not the server heard it
	}
}

// parked returns when every other goroutine of this process waits for something: whoever came last has joined the queue.
func parked(ctx context.Context) {
	active := []metrics.Sample{
		{Name: "/sched/goroutines/runnable:goroutines"}, {Name: "/sched/goroutines/running:goroutines"},
	}
	for ctx.Err() == nil {
		runtime.Gosched()
		metrics.Read(active)
		n := uint64(0)
		for _, a := range active {
			n += a.Value.Uint64()
		}
		if n <= 1 {
			return
		}
	}
}

// mostOvertaken is how many callers that came later were served before one that came earlier, at most. served says, by
// arrival, when somebody's turn was.
func mostOvertaken(served []int64) (most int) {
	for i, mine := range served {
		n := 0
		for _, later := range served[i+1:] {
			if later < mine {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// hurry lets callers give up at any moment of a call. That is no failure, but each other end is.
func hurry(ctx context.Context, l *Lab, k Kind) (Result, error) {
	var gaveUp atomic.Int64
	setup := Setup{Callers: hurriedCalls, Tuning: Tuning{Size: hurriedSize}, Load: func(w *workload) error {
		return w.hurried(&gaveUp)
	}}
	return l.on(ctx, k, postgres.Options{}, setup, func(x *Experiment, _ *postgres.Server) error {
		x.late.watchThreads()
		Pass(ctx, hurriedFor)
		x.load.end()
		x.Note("%d of %d calls gave up", gaveUp.Load(), len(x.load.calls))
		held := x.late.longer(cancelBound / 2)
		x.Note("this machine held us up for more than %v %d times", cancelBound/2, held)
		x.fewDials(2*hurriedSize, min(held, hurriedSize))
		return nil
	})
}

// cancelBound is how long the pool waits for a server to end a cancelled statement, before it gives the connection up.
const cancelBound = 30 * time.Millisecond

// fewDials bounds the dials of a whole experiment. Each time that this machine held something up for half of what a server
// has for its answer may have cost a connection that was cancelled, but not each of hundreds: a row grants no more of these
// than its pool has connections.
func (x *Experiment) fewDials(most, granted int) {
	dials, _ := x.meter.count(nil)
	x.Note("%d dials, %d are allowed, and %d for this machine's delays", dials, most, granted)
	if dials > most+granted {
		x.Fail("%d dials, %d are allowed, and %d for this machine's delays", dials, most, granted)
	}
}

// hurriedPause is how long a caller rests at most after a call. Without rest, the cancel requests alone, each of which the
// server starts a process for, take all that a small machine has.
const hurriedPause = 20 * time.Millisecond

// hurried makes a call with next to no time.
func (w *workload) hurried(gaveUp *atomic.Int64) error {
	Pass(context.Background(), rand.N(hurriedPause))
	ctx, cancel := context.WithTimeout(context.Background(), rand.N(5*time.Millisecond))
	defer cancel()
	c := Call{Began: time.Now()}
	c.Err = w.pool.Do(ctx, func(ctx context.Context, s Session, _ *pgconn.PgConn) error {
		c.Granted = time.Now()
		_, err := s.Exec(ctx, "select pg_sleep($1)", 0.002*rand.Float64())
		return err
	})
	c.Ended = time.Now()
	if errors.Is(c.Err, context.DeadlineExceeded) {
		gaveUp.Add(1)
		c.Err = nil
	}
	w.note(c)
	return c.Err
}
