package actors

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestKeptIsBounded: however many requests a life keeps for a while, no more than half of the list was answered.
func TestKeptIsBounded(t *testing.T) {
	for name, pick := range map[string]func() int{
		"first":  func() int { return 0 },
		"random": func() int { return rand.IntN(open) },
		"last":   func() int { return open - 1 },
	} {
		t.Run(name, func(t *testing.T) { keepAndAnswer(t, pick) })
	}
}

const open = 50

func keepAndAnswer(t *testing.T, pick func() int) {
	var k kept
	var tickets []*ticket
	for range 5_000 {
		if len(tickets) == open {
			i := pick()
			tickets[i].claim(0)
			tickets[i] = tickets[open-1]
			tickets = tickets[:open-1]
		}
		tickets = append(tickets, &ticket{wake: make(chan struct{}, 1)})
		k.add(pending{ticket: tickets[len(tickets)-1]})
		if len(k.requests) > 2*open+looksPerRequest {
			t.Fatalf("%d requests are kept, %d wait", len(k.requests), open)
		}
	}
	boom := errors.New("boom")
	k.fail(boom)
	for _, waiting := range tickets {
		<-waiting.wake
		require.Equal(t, boom, waiting.err)
	}
	require.Empty(t, k.requests)
}
