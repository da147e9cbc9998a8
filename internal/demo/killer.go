package demo

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
)

// killer kills the server, and sees when its backends die and when it is back.
type killer struct {
	server   *postgres.Server
	backends *backends
	work     *workload
	reports  chan string  // a line about each kill that is over; nobody need listen
	done     atomic.Int64 // how many there were

	kills   []*kill // complete when run and wait have returned
	watches sync.WaitGroup
}

// kill is one kill of the postmaster.
type kill struct {
	at       time.Time // just before
	pid      int
	backends int           // of the pool, alive at that time
	calls    int64         // acknowledged before
	down     time.Duration // until the server let clients in again; 0: it was not seen to
	// lag is the longest that the machine kept the judge from the clock while backends died: so inexact the times are.
	lag time.Duration
}

func newKiller(s *postgres.Server, b *backends, w *workload) *killer {
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
	watching := make(chan struct{})
	one := &kill{pid: k.server.PID(), calls: k.work.acknowledged.Load()}
	k.watches.Go(func() { k.watch(watching, one) })
	<-watching
	if k.server.Kill() != nil {
		return // it died by itself, which the judge will not take for a kill
	}
	if k.server.WaitAccepting(ctx) == nil {
		one.down = time.Since(one.at)
	}
	k.kills = append(k.kills, one)
	k.done.Add(1)
	select {
	case k.reports <- one.String():
	default:
	}
}

// How long the deaths of backends are watched, and how often it is looked. Most end within milliseconds, the last within
// three quarters of a second; one that computes takes longer, and then its end is not known exactly.
const (
	watchFor   = 3 * time.Second
	watchEvery = time.Millisecond
)

// watch notes when backends die, from before the kill until none of the killed server is left.
func (k *killer) watch(watching chan<- struct{}, one *kill) {
	k.backends.look()
	one.at = time.Now()
	one.backends = k.backends.of(one.at)
	at := one.at
	close(watching)
	for time.Since(at) < watchFor && (time.Since(at) < watchFor/3 || k.backends.of(at) > 0) {
		before := time.Now()
		time.Sleep(watchEvery)
		k.backends.look()
		one.lag = max(one.lag, time.Since(before)-watchEvery)
	}
}

// wait returns when every watch is over.
func (k *killer) wait() { k.watches.Wait() }

// String tells about the kill, for people.
func (k *kill) String() string {
	text := fmt.Sprintf("kill -9 of postmaster %d, which had %d backends of the pool", k.pid, k.backends)
	if k.down > 0 {
		text += fmt.Sprintf("; it lets clients in again after %v", k.down.Round(time.Millisecond))
	}
	return text
}
