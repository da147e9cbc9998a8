package actors

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

// fullMailbox has room for one message, which is taken.
func fullMailbox(t *testing.T) *mailbox[int] {
	b := newMailbox[int]("full", 1)
	b.phase.store(phaseOf(0, Handling))
	require.NoError(t, b.tryPut(&envelope[int]{message: 1}))
	require.ErrorIs(t, b.tryPut(&envelope[int]{message: -1}), ErrFull)
	return b
}

// takeOne does what a life does first when it takes a message: it sees what waits for room only after that.
func takeOne(b *mailbox[int], then State) int {
	var e envelope[int]
	taken := b.phase.load().taken()
	b.take(taken, &e)
	b.phase.store(phaseOf(taken+1, then))
	return e.message
}

func senderOf(n int) *sender[int] {
	return &sender[int]{envelope: envelope[int]{message: n}, done: make(chan struct{}, 1)}
}

// TestQueueAfterTheRoomWasMade: a sender that comes to wait just as the life makes room, and parks, is not left there.
func TestQueueAfterTheRoomWasMade(t *testing.T) {
	b := fullMailbox(t)
	require.Equal(t, 1, takeOne(b, Waiting))
	s := senderOf(2)
	require.True(t, b.queue(s))
	require.Len(t, s.done, 1)
	require.Len(t, b.wake, 1, "the life was parked")
	require.Zero(t, b.signals.Load())
	require.Equal(t, 2, takeOne(b, Handling))
}

// TestNobodyOvertakes: between the life's making room and its letting the next sender in, nobody else gets it.
func TestNobodyOvertakes(t *testing.T) {
	b := fullMailbox(t)
	first, second := senderOf(2), senderOf(3)
	require.True(t, b.queue(first))
	require.True(t, b.queue(second))
	require.Equal(t, 1, takeOne(b, Handling))
	require.ErrorIs(t, b.tryPut(&envelope[int]{message: -1}), ErrFull)
	b.admit()
	require.Len(t, first.done, 1)
	require.Empty(t, second.done)
	require.Equal(t, 2, takeOne(b, Handling))
	b.admit()
	require.Equal(t, 3, takeOne(b, Handling))
	require.Zero(t, b.signals.Load())
}

// TestUnqueue leaves no trace, and finds out when it comes too late.
func TestUnqueue(t *testing.T) {
	b := fullMailbox(t)
	first, middle, last := senderOf(2), senderOf(3), senderOf(4)
	for _, s := range []*sender[int]{first, middle, last} {
		require.True(t, b.queue(s))
	}
	require.True(t, b.unqueue(middle))
	require.False(t, b.unqueue(middle))
	require.True(t, b.unqueue(last))
	takeOne(b, Handling)
	b.admit()
	require.False(t, b.unqueue(first))
	require.NoError(t, first.err)
	again := senderOf(5)
	require.True(t, b.queue(again))
	require.NotZero(t, b.signals.Load())
	require.True(t, b.unqueue(again))
	require.Zero(t, b.signals.Load())

	b.close()
	require.False(t, b.queue(senderOf(6)))
	require.Zero(t, b.waiting())
}

// lateContext ends in the moment in which its sender is let in.
type lateContext struct {
	context.Context
	end func() <-chan struct{}
}

func (c lateContext) Done() <-chan struct{} { return c.end() }

// TestASenderIsPutAwayAsNew: the next use of a sender must not take the news of the last one for its own.
func TestASenderIsPutAwayAsNew(t *testing.T) {
	for range 100 { // each time it is up to chance which of two events is seen first
		b := fullMailbox(t)
		s := senderOf(2)
		ctx := lateContext{t.Context(), func() <-chan struct{} {
			takeOne(b, Handling)
			b.admit()
			return over
		}}
		require.NoError(t, b.wait(ctx, s))
		require.Empty(t, s.done)
		require.False(t, s.queued)
		require.Equal(t, 2, takeOne(b, Handling))
	}
}

// TestTakenMessagesAreForgotten: the ring keeps nothing alive that was taken or thrown out.
func TestTakenMessagesAreForgotten(t *testing.T) {
	b := newMailbox[*int]("ring", 4)
	for range 3 {
		require.NoError(t, b.tryPut(&envelope[*int]{message: new(int)}))
	}
	var e envelope[*int]
	b.take(0, &e)
	b.phase.store(phaseOf(1, Handling))
	require.NotNil(t, e.message)
	b.close()
	for _, cell := range b.ring {
		require.Nil(t, cell.message)
	}
}
