package lab

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

// A row that the laboratory cannot make costs none of the others.
func TestARowThatIsBrokenOffIsTold(t *testing.T) {
	broken := errors.New("no server")
	run := func(id string, wrong Kind) Row {
		return Row{ID: id, Run: func(_ context.Context, _ *Lab, k Kind) (Result, error) {
			if k == wrong {
				return Result{}, broken
			}
			return Result{Calls: 1}, nil
		}}
	}
	outcomes, err := (&Lab{}).Run(t.Context(), []Row{run("1", ""), run("2", Ours), run("3", Stdlib), run("4", "")})
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, "row 2: ")
	require.ErrorContains(t, err, "row 3: database/sql: ")
	require.Len(t, outcomes, 4)
	require.False(t, outcomes[1].Judged)
	require.ErrorIs(t, outcomes[1].Err, broken)
	require.True(t, outcomes[2].Judged)
	require.ErrorIs(t, outcomes[2].Err, broken)
	require.Len(t, outcomes[2].Peers, 1, "the one before it")
	require.NoError(t, outcomes[3].Err)
	require.Len(t, outcomes[3].Peers, 2)

	over, cancel := context.WithCancel(t.Context())
	outcomes, err = (&Lab{}).Run(over, []Row{{ID: "1", Alone: true, Run: func(context.Context, *Lab, Kind) (Result, error) {
		cancel()
		return Result{}, context.Canceled
	}}, run("2", "")})
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, outcomes, 1, "whoever breaks off wants no other row")
}
