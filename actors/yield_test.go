package actors

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestYieldTrial: yielding is tried after a sample without it, kept while messages come through, and left alone for a
// while where it put the actor behind others.
func TestYieldTrial(t *testing.T) {
	var trial yieldTrial
	require.True(t, trial.goesOn(false, 1000, Handling))
	require.True(t, trial.goesOn(true, 1500, Handling))
	require.True(t, trial.goesOn(true, 600, Handling), "chance")
	require.True(t, trial.goesOn(true, 10, Waiting), "nobody sends more")
	require.False(t, trial.goesOn(true, 10, Handling))
	for range restFor - 1 {
		require.False(t, trial.goesOn(false, 800, Handling))
	}
	require.True(t, trial.goesOn(false, 800, Handling))
	require.True(t, trial.goesOn(true, 400, Handling), "compared with the last sample without")
	require.False(t, trial.goesOn(true, 399, Handling))
}
