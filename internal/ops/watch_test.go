package ops

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
	"github.com/seed-4ff2b7b9/supervised/messages"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// served runs f in fake time beside a watch that is served. back ends the wait in WaitReady, unless the pool has one of
// its own.
func served(t *testing.T, p *fakePool, change func(*Watch), f func(t *testing.T, w *Watch, back func())) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := watchOver(p, goodTree)
		if change != nil {
			change(w)
		}
		connected := make(chan struct{})
		if p.wait == nil {
			p.wait = func(ctx context.Context) error {
				select {
				case <-connected:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Serve(ctx) }()
		f(t, w, func() { close(connected) })
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
}

func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestTheWatchOpensTheFirstConnection(t *testing.T) {
	p := &fakePool{}
	served(t, p, nil, func(t *testing.T, w *Watch, back func()) {
		pass(time.Hour)
		require.Equal(t, 1, p.waited(), "it waits, and does not ask again and again")
		require.False(t, w.Verdict().Ready)
		p.set(func(p *fakePool) { p.contact = poolactor.Contact{Open: 1, Verified: 1, Alive: time.Now()} })
		back()
		pass(time.Millisecond)
		require.True(t, w.Verdict().Ready)
		greeted := w.Verdict().Since

		p.set(func(p *fakePool) { p.contact = poolactor.Contact{} })
		pass(lookEvery)
		require.Equal(t, 2, p.waited(), "a pool without a minimum may be empty; then nobody else would notice an outage")
		require.True(t, w.Verdict().Ready, "and nothing is wrong yet")
		require.Equal(t, greeted, w.Verdict().Since)
	})
}

func TestTheWatchWaitsForTheEndOfAnOutage(t *testing.T) {
	p := wellPool()
	served(t, p, nil, func(t *testing.T, w *Watch, back func()) {
		pass(time.Second)
		require.Zero(t, p.waited())
		p.set(func(p *fakePool) { p.stat.Outage, p.contact = down(time.Now()), poolactor.Contact{} })
		pass(lookEvery)
		require.Equal(t, 1, p.waited())
		v := w.Verdict()
		require.False(t, v.Ready)
		require.Equal(t, 3, v.Attempts)

		p.set(func(p *fakePool) {
			p.stat.Outage, p.contact = messages.Outage{}, poolactor.Contact{Open: 1, Verified: 1, Alive: time.Now()}
		})
		back()
		pass(time.Millisecond)
		require.True(t, w.Verdict().Ready)
		require.Equal(t, 1, p.waited())
	})
}

// The bound of the daemon's promise: readiness is lost within the time between two rounds of checks and the bound of a
// check, whether the server is silent or gone, and also where no rounds are made: then the watch asks.
func TestReadinessIsLostInTime(t *testing.T) {
	lose := map[string]func(*fakepg.Server){"silent": (*fakepg.Server).Freeze, "gone": (*fakepg.Server).Stop}
	for name, interval := range map[string]time.Duration{"checked every half second": time.Second / 2, "not checked": -1} {
		for how, lost := range lose {
			t.Run(name+", "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := fakepg.New()
					defer server.Close()
					w := watchOverServer(t, server, interval)
					pass(time.Minute)
					require.True(t, w.Verdict().Ready)
					lost(server)
					began := time.Now()
					for w.Verdict().Ready {
						pass(10 * time.Millisecond)
					}
					bound := max(interval, 0) + time.Second
					if interval < 0 {
						bound += time.Second // one without a word, until the watch asks
					}
					require.LessOrEqual(t, time.Since(began), bound+2*lookEvery)
					server.Thaw()
					server.Start()
					pass(2 * time.Second)
					require.True(t, w.Verdict().Ready)
				})
			})
		}
	}
}

// watchOverServer runs a pool to an in-memory server, and a watch over it, until the test ends.
func watchOverServer(t *testing.T, server *fakepg.Server, interval time.Duration) *Watch {
	t.Helper()
	pool, err := poolactor.Open(t.Context(), poolactor.Config{
		ConnConfig: server.Config(), MinSize: 2, Health: poolactor.HealthConfig{Interval: interval},
		DialFunc: server.Dial, CancelDialFunc: server.CancelDial, LookupFunc: server.Lookup,
	})
	require.NoError(t, err)
	journal := &Journal{}
	w := NewWatch(Subject{Started: time.Now(), Pool: pool, Tree: goodTree, PoolPath: poolPath, Journal: journal},
		max(interval, 0)+time.Second, false, nil)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { journal.Follow(nil, pool.Events(ctx), poolPath) })
	running.Go(func() { _ = w.Serve(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		require.NoError(t, pool.Close())
	})
	return w
}

func TestTheWatchDoesNotHurryAServerThatRefuses(t *testing.T) {
	p := &fakePool{wait: func(context.Context) error { return errors.New("wrong password") }}
	served(t, p, nil, func(t *testing.T, _ *Watch, _ func()) {
		pass(10 * time.Second)
		require.LessOrEqual(t, p.waited(), 11)
		require.GreaterOrEqual(t, p.waited(), 9)
	})
}

func TestDoubtLastsUntilAConnectionIsTrustedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := wellPool()
		w := watchOver(p, goodTree)
		require.True(t, w.Verdict().Ready)
		pass(time.Second)

		w.subject.Journal.addFromPool(poolactor.Event{
			At: time.Now(), Kind: poolactor.EventDistrusted, Err: errors.New("no answer"),
		}, poolPath)
		p.set(func(p *fakePool) { p.contact.Verified = 0 })
		v := w.Verdict()
		require.False(t, v.Ready)
		require.Equal(t, "no answer", v.Cause)
		require.True(t, w.observe().unsure(), "somebody must find the way back, also when nobody calls")

		pass(time.Minute)
		p.set(func(p *fakePool) { p.contact.Verified = 1 })
		v = w.Verdict()
		require.True(t, v.Ready)
		require.Equal(t, time.Now(), v.Since)

		pass(time.Minute)
		p.set(func(p *fakePool) { p.contact = poolactor.Contact{} })
		require.True(t, w.Verdict().Ready, "that doubt was settled; the pool is empty for another reason")
		require.True(t, w.observe().unsure(), "but somebody has to look")
	})
}

func TestEachChangeIsLoggedOnce(t *testing.T) {
	var log bytes.Buffer
	logger := zerolog.New(&log)
	p := wellPool()
	p.wait = func(context.Context) error { return errors.New("still down") }
	served(t, p, func(w *Watch) { w.log = &logger }, func(t *testing.T, _ *Watch, _ func()) {
		pass(time.Second)
		p.set(func(p *fakePool) { p.stat.Outage, p.contact = down(time.Now()), poolactor.Contact{} })
		pass(10 * time.Second)
		p.set(func(p *fakePool) {
			p.stat.Outage, p.contact = messages.Outage{}, poolactor.Contact{Verified: 1, Open: 1}
		})
		pass(10 * time.Second)
	})
	type line struct {
		Level, Message, Cause string
		Remedy                string `json:"what_to_do"`
	}
	var lines []line
	for d := json.NewDecoder(&log); d.More(); {
		var l line
		require.NoError(t, d.Decode(&l))
		lines = append(lines, l)
	}
	require.Len(t, lines, 3)
	require.Equal(t, line{Level: "info", Message: "ready"}, lines[0])
	require.Equal(t, "warn", lines[1].Level)
	require.Equal(t, "not ready: the database cannot be reached", lines[1].Message)
	require.Equal(t, "connection refused", lines[1].Cause)
	require.NotEmpty(t, lines[1].Remedy)
	require.Equal(t, "ready", lines[2].Message)
}

func TestReadyWhileDownCanBeChanged(t *testing.T) {
	p := &fakePool{stat: poolactor.Stat{Outage: down(time.Now())}}
	w := watchOver(p, goodTree)
	require.False(t, w.Verdict().Ready)
	w.SetReadyWhileDown(true)
	require.True(t, w.Verdict().Ready)
	w.SetReadyWhileDown(false)
	require.False(t, w.Verdict().Ready)
}
