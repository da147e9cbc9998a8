package poolactor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

func TestThePoolActorIsNeverGivenUp(t *testing.T) {
	standard := SupervisionConfig{}.pool()
	require.True(t, standard.Immediate)
	require.Equal(t, 5*time.Millisecond, standard.Initial)
	require.Equal(t, time.Second, standard.Max)
	require.Negative(t, standard.Intensity)

	own := SupervisionConfig{Pool: supervisor.Restart{Initial: time.Minute, Max: time.Hour, Intensity: 3, Never: true}}.pool()
	require.Equal(t, supervisor.Restart{Initial: time.Minute, Max: time.Hour, Intensity: -1}, own)
}
