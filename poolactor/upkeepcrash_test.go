//go:build failpoint

package poolactor

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/actors"
	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
	"github.com/seed-4ff2b7b9/supervised/messages"
)

// These tests crash the actors that keep the pool up, between any two of their steps.

const upkeepSize = 3

// upkeepConfig gives every one of these actors much to do.
func upkeepConfig(c *Config) {
	c.MaxSize, c.MinSize = upkeepSize, upkeepSize
	c.MaxLifetime, c.MaxLifetimeJitter = 800*time.Millisecond, -1
	c.Health.Interval = 100 * time.Millisecond
}

// upkeepScript is a history in which every one of these actors takes part: connections grow old, one dies, the server
// goes and comes back, and some callers ask by message. It returns how many calls failed.
func upkeepScript(t *testing.T, p *Pool, server *fakepg.Server) int {
	var (
		wg     sync.WaitGroup
		failed atomic.Int32
	)
	end := time.Now().Add(3 * time.Second)
	calling := func(pause time.Duration, call func(context.Context) error) {
		wg.Go(func() {
			for time.Now().Before(end) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				if call(ctx) != nil {
					failed.Add(1)
				}
				cancel()
				pass(pause)
			}
		})
	}
	for range 2 {
		calling(7*time.Millisecond, func(ctx context.Context) error { _, err := p.Exec(ctx, "select 1"); return err })
	}
	calling(50*time.Millisecond, func(ctx context.Context) error { return byMessage(ctx, p) })
	pass(500 * time.Millisecond)
	server.Kill(server.PIDs()[0])
	pass(500 * time.Millisecond)
	server.Stop()
	pass(700 * time.Millisecond)
	server.Start()
	wg.Wait()
	return int(failed.Load())
}

// byMessage acquires and releases a lease as an actor does.
func byMessage(ctx context.Context, p *Pool) error {
	l, err := actors.Ask(ctx, p.Ref(), func(r actors.Reply[*Lease]) ToPool {
		return ToPool{Acquire: messages.Acquire{Deadline: time.Now().Add(time.Minute)}, Reply: r}
	})
	if err != nil {
		return err
	}
	return p.Ref().Tell(ctx, ToPool{Release: l})
}

// replayUpkeep runs the script and panics at one hit of an actor's failpoints; it returns how many there were.
func replayUpkeep(t *testing.T, prefix string, panicAt int64) (hits int64) {
	var n atomic.Int64
	hooked(t, func(name string) {
		if strings.HasPrefix(name, prefix) {
			if n.Add(1) == panicAt {
				panic(fmt.Sprintf("injected at %s (hit %d)", name, panicAt))
			}
		}
	})
	inMemory(t, upkeepConfig, func(t *testing.T, p *Pool, server *fakepg.Server) {
		require.LessOrEqual(t, upkeepScript(t, p, server), 1+upkeepSize, "a call for each connection that died")
		hits = n.Load()
		var all []*Lease
		for range upkeepSize {
			l, err := p.Acquire(within(t, 5*time.Second))
			require.NoError(t, err, "a place is lost: %+v", p.Stat())
			all = append(all, l)
		}
		require.LessOrEqual(t, p.Stat().Total(), upkeepSize)
		for _, l := range all {
			l.Release()
		}
	})
	return hits
}

func TestUpkeepWithAPanicAtEveryHit(t *testing.T) {
	for _, actor := range []string{"dialer.", "health.", "janitor.", "desk."} {
		total := replayUpkeep(t, actor, 0)
		require.Greater(t, total, int64(5), actor)
		for at := int64(1); at <= total; at++ {
			if !t.Run(fmt.Sprint(actor, at), func(t *testing.T) { replayUpkeep(t, actor, at) }) {
				break
			}
		}
	}
}
