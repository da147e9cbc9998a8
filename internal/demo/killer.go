package demo

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-4ff2b7b9/supervised/internal/judge"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
)

// killer kills the server, and sees when its backends die and when it is back.
type killer struct {
	server   *postgres.Server
	backends *judge.Census
	work     *workload
	reports  chan string  // a line about each kill that is over; nobody need listen
	done     atomic.Int64 // how many there were

	kills   []*kill // complete when run and wait have returned
	watches sync.WaitGroup
}

// kill is one kill of the postmaster.
type kill struct {
	fault    *judge.Fault // complete when wait has returned
	pid      int
	backends int           // of the pool, alive at that time
	calls    int64         // acknowledged before
	down     time.Duration // until the server let clients in again; 0: it was not seen to
}

func newKiller(s *postgres.Server, b *judge.Census, w *workload) *killer {
	return &killer{server: s, backends: b, work: w, reports: make(chan string, 1)}
}

// run kills the server after half of every and then in intervals of it, until ctx ends.
func (k *killer) run(ctx context.Context, every time.Duration) {
	next := time.NewTimer(every / 2)
	defer next.Stop()
	tick := time.Now().Add(every / 2)
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		k.kill(ctx)
		tick = tick.Add(every)
		next.Reset(time.Until(tick))
	}
}

// kill kills a server that serves, and waits until it is back.
func (k *killer) kill(ctx context.Context) {
	if k.server.WaitAccepting(ctx) != nil {
		return
	}
	one := &kill{pid: k.server.PID(), calls: k.work.acknowledged.Load(), fault: k.backends.Fault()}
	one.backends = k.backends.Alive(one.fault.At)
	k.watches.Go(func() { k.backends.Watch(one.fault) })
	if k.server.Kill() != nil {
		return // it died by itself, which the judge will not take for a kill
	}
	if k.server.WaitAccepting(ctx) == nil {
		one.down = time.Since(one.fault.At)
	}
	k.kills = append(k.kills, one)
	k.done.Add(1)
	select {
	case k.reports <- one.String():
	default:
	}
}

// wait returns when every watch is over.
func (k *killer) wait() { k.watches.Wait() }

// faults are the kills, as the judge knows them.
func (k *killer) faults() []*judge.Fault {
	var faults []*judge.Fault
	for _, one := range k.kills {
		faults = append(faults, one.fault)
	}
	return faults
}

// String tells about the kill, for people.
func (k *kill) String() string {
	text := fmt.Sprintf("kill -9 of postmaster %d, which had %d backends of the pool", k.pid, k.backends)
	if k.down > 0 {
		text += fmt.Sprintf("; it lets clients in again after %v", k.down.Round(time.Millisecond))
	}
	return text
}
