package exportdata_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/seed-4ff2b7b9/supervised/internal/exportdata"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestLoad(t *testing.T) {
	packages, err := exportdata.Load(t.Context(), ".", "context", "io")
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"context", "io"}, packages.Paths)

	pkg, err := packages.Import("context")
	require.NoError(t, err)
	require.Equal(t, "func context.Background() context.Context", pkg.Scope().Lookup("Background").String())
	_, err = packages.Import("time") // context needs it
	require.NoError(t, err)
	_, err = packages.Import("net/http")
	require.ErrorContains(t, err, "net/http was not loaded")
}

func TestLoadOfNothingIsAnError(t *testing.T) {
	_, err := exportdata.Load(t.Context(), ".", "example.com/nowhere")
	require.ErrorContains(t, err, "example.com/nowhere")
}
