package archtest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// builds are the sets of tags that the module is built with. Both are the house.
var builds = map[string]string{"plain": "", "failpoint": "failpoint"}

func eachBuild(t *testing.T, check func(*testing.T, graph)) {
	t.Helper()
	for name, tags := range builds {
		t.Run(name, func(t *testing.T) {
			g, err := load(t.Context(), "../..", tags)
			require.NoError(t, err)
			require.Contains(t, g, module+"/messages", "go list finds the module")
			check(t, g)
		})
	}
}

func TestEveryRoomIsThere(t *testing.T) {
	eachBuild(t, func(t *testing.T, g graph) {
		require.Empty(t, missing(g, rooms), "these rooms of the house have no Go files")
	})
}

func TestImportsKeepToTheHouse(t *testing.T) {
	eachBuild(t, func(t *testing.T, g graph) {
		for _, b := range bans {
			require.Empty(t, broken(g, b), b.why)
		}
	})
}

func TestThePoolPullsInNoMoreThanItMay(t *testing.T) {
	eachBuild(t, func(t *testing.T, g graph) {
		require.Empty(t, beyond(g, poolAllowance), "users of the pool would get these with it")
	})
}

func TestPackagesAreNamedForWhatIsInside(t *testing.T) {
	eachBuild(t, func(t *testing.T, g graph) { require.Empty(t, badNames(g)) })
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	eachBuild(t, func(t *testing.T, g graph) { require.Empty(t, undocumented(g)) })
}

func TestLoadOfNoModuleIsAnError(t *testing.T) {
	_, err := load(t.Context(), t.TempDir(), "")
	require.ErrorContains(t, err, "go list")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = load(ended, "../..", "")
	require.Error(t, err)
}
