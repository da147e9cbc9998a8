package actors

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestClaimIsExclusive: of all who claim a generation at the same moment, one gets it. A claim and the step to the next
// generation move the word by two, so it counts the winners.
func TestClaimIsExclusive(t *testing.T) {
	const claimers = 4
	attempts := Scale(3_000_000, 100_000, 1_000_000)
	var contested ticket
	var won atomic.Uint64
	var group sync.WaitGroup
	for range claimers {
		group.Go(func() {
			for range attempts {
				generation := contested.word.Load() &^ claimed
				if contested.claim(generation) {
					won.Add(1)
					contested.word.Add(nextGeneration - claimed)
				}
			}
		})
	}
	group.Wait()
	require.Positive(t, won.Load())
	require.Equal(t, won.Load()*nextGeneration, contested.word.Load())
}
