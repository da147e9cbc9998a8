package gotest

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRunEndsWithItsContext(t *testing.T) {
	// Not t.TempDir: a socket's path may have 108 bytes at most.
	dir, err := os.MkdirTemp("", "gotest")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "hangs")
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	defer listener.Close()
	t.Setenv("SAMPLE_SOCKET", socket)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	h := &heard{}
	ended := make(chan error, 1)
	go func() {
		ended <- Command{Dir: "testdata/sample", Args: []string{"-count=1", "./hangs"}}.Run(ctx, h.handler())
	}()
	testProcess, err := listener.Accept()
	require.NoError(t, err)
	defer testProcess.Close()

	cancel()
	require.Error(t, <-ended)
	require.Equal(t, []string{"TestHangs"}, h.packages["sample/hangs"].Failures())
	_, err = testProcess.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF, "the test binary is gone, too")
}

func TestRunWithoutGo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	h := &heard{}
	require.ErrorContains(t, Command{Args: []string{"./..."}}.Run(t.Context(), h.handler()), "go test: exec")
}
