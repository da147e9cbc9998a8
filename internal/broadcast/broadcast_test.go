package broadcast_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/seed-4ff2b7b9/supervised/internal/broadcast"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func drain[E any](events <-chan E) []E {
	var got []E
	for e := range events {
		got = append(got, e)
	}
	return got
}

func TestEverySubscriberSeesEverythingInOrder(t *testing.T) {
	var bus broadcast.Bus[int]
	a, b := bus.Subscribe(t.Context(), 3), bus.Subscribe(t.Context(), 3)
	for i := range 3 {
		bus.Publish(i)
	}
	bus.Close()
	require.Equal(t, []int{0, 1, 2}, drain(a))
	require.Equal(t, []int{0, 1, 2}, drain(b))
	require.Zero(t, bus.Lost())
}

func TestASlowSubscriberLosesAndIsCountedAloneForItsLoss(t *testing.T) {
	var bus broadcast.Bus[int]
	slow, quick := bus.Subscribe(t.Context(), 2), bus.Subscribe(t.Context(), 5)
	for i := range 5 {
		bus.Publish(i)
	}
	require.Equal(t, uint64(3), bus.Lost())
	bus.Close()
	require.Equal(t, []int{0, 1}, drain(slow))
	require.Len(t, drain(quick), 5)
}

func TestABufferBelowOneHoldsOne(t *testing.T) {
	var bus broadcast.Bus[string]
	events := bus.Subscribe(t.Context(), -1)
	bus.Publish("kept")
	bus.Publish("lost")
	bus.Close()
	require.Equal(t, []string{"kept"}, drain(events))
	require.Equal(t, uint64(1), bus.Lost())
}

func TestAContextThatEndsClosesItsSubscriptionOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bus broadcast.Bus[int]
		ctx, cancel := context.WithCancel(t.Context())
		gone, stays := bus.Subscribe(ctx, 4), bus.Subscribe(t.Context(), 4)
		bus.Publish(1)
		cancel()
		synctest.Wait()
		bus.Publish(2)
		require.Equal(t, []int{1}, drain(gone), "what was published before can still be read")
		bus.Close()
		require.Equal(t, []int{1, 2}, drain(stays))
		require.Zero(t, bus.Lost(), "a subscriber that left loses nothing")
	})
}

func TestAClosedBusAndAnEndedContextGiveAClosedChannel(t *testing.T) {
	var bus broadcast.Bus[int]
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.Empty(t, drain(bus.Subscribe(ended, 1)))

	bus.Close()
	bus.Close()
	bus.Publish(1)
	require.Empty(t, drain(bus.Subscribe(t.Context(), 1)))
	require.Zero(t, bus.Lost())
}

func TestPublishSubscribeAndCloseAtOnce(t *testing.T) {
	var bus broadcast.Bus[int]
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 200 {
				bus.Publish(i)
			}
		})
		all.Go(func() {
			for range 200 {
				ctx, cancel := context.WithCancel(t.Context())
				events := bus.Subscribe(ctx, 1)
				cancel()
				drain(events) // ends only if the channel is closed, whoever closes it
			}
		})
	}
	all.Go(bus.Close)
	all.Wait()
}

func ExampleBus() {
	var bus broadcast.Bus[string]
	events := bus.Subscribe(context.Background(), 2)
	bus.Publish("crashed")
	bus.Publish("restarted")
	bus.Publish("one too many for this buffer")
	bus.Close()
	for e := range events {
		fmt.Println(e)
	}
	fmt.Println("lost:", bus.Lost())
	// Output:
	// crashed
	// restarted
	// lost: 1
}

func TestCloseTwice(t *testing.T) {
	var b broadcast.Bus[int]
	events := b.Subscribe(t.Context(), 1)
	b.Publish(1)
	b.Close()
	b.Close()
	require.Equal(t, 1, <-events)
	_, open := <-events
	require.False(t, open)
	b.Publish(2) // to nobody
}
