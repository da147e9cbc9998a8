package ports_test

import (
	"net"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/seed-4ff2b7b9/supervised/internal/ports"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFreePortIsFreeAndNoPortOfOutgoingConnections(t *testing.T) {
	for range 20 {
		port, err := ports.Free()
		require.NoError(t, err)
		require.Less(t, port, 32768)
		l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		require.NoError(t, err)
		require.NoError(t, l.Close())
	}
}
