package poolactor_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/poolactor/pooltest"
)

// A program listens to what happens to its pool, here for the end of an outage. Reading them late loses events, never
// time of the pool.
func ExamplePool_Events() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	server := pooltest.New()
	defer server.Close()
	pool, err := poolactor.Open(ctx, server.Config())
	if err != nil {
		panic(err)
	}
	defer pool.Close()

	events := pool.Events(ctx)
	server.Stop()
	time.AfterFunc(100*time.Millisecond, server.Start)
	if err := pool.Ping(ctx); err != nil { // it waits
		panic(err)
	}
	for e := range events {
		switch e.Kind {
		case poolactor.EventOutage:
			fmt.Println("down:", e.Err != nil)
		case poolactor.EventRecovered:
			fmt.Println("up again after a moment:", e.Took < time.Minute)
			return
		}
	}
	// Output:
	// down: true
	// up again after a moment: true
}

// slowLeases is a tracer that counts leases which were held for long.
type slowLeases struct {
	limit time.Duration
	count atomic.Int64
}

func (s *slowLeases) AcquireStart(ctx context.Context) context.Context { return ctx }

func (s *slowLeases) AcquireEnd(context.Context, poolactor.AcquireEnd) {}

func (s *slowLeases) Released(r poolactor.Released) {
	if r.Held > s.limit {
		s.count.Add(1)
	}
}

// A tracer of your own is told of each lease. Tracers joins it with others: metrics, spans.
func ExampleTracers() {
	ctx := context.Background()
	server := pooltest.New()
	defer server.Close()
	cfg := server.Config()
	slow := &slowLeases{limit: 5 * time.Millisecond}
	cfg.Tracer = poolactor.Tracers(slow, nil) // where nil is another, or none
	pool, err := poolactor.Open(ctx, cfg)
	if err != nil {
		panic(err)
	}
	defer pool.Close()

	for _, sleep := range []string{"select 1", "select pg_sleep(0.01)"} {
		if _, err := pool.Exec(ctx, sleep); err != nil {
			panic(err)
		}
	}
	fmt.Println("slow:", slow.count.Load())
	// Output: slow: 1
}
