package fakepg

import (
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func newPair() (*socket, *socket) {
	return socketPair(address{"tcp", "192.0.2.2:1"}, address{"tcp", "192.0.2.1:5432"})
}

func TestSocketReadsWhatCameBeforeTheClose(t *testing.T) {
	client, server := newPair()
	require.NoError(t, server.Look())
	_, err := client.Write([]byte("hello"))
	require.NoError(t, err)
	require.ErrorIs(t, server.Look(), errUnread)
	client.closeWith([]byte(" and bye"))
	require.ErrorIs(t, client.Look(), net.ErrClosed)

	all, err := io.ReadAll(server)
	require.NoError(t, err)
	require.Equal(t, "hello and bye", string(all))
	require.ErrorIs(t, server.Look(), io.EOF)

	_, err = server.Write([]byte("too late"))
	require.ErrorIs(t, err, syscall.EPIPE)
	_, err = client.Write([]byte("mine is closed"))
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = client.Read(make([]byte, 1))
	require.ErrorIs(t, err, net.ErrClosed)
	var full *net.OpError
	require.ErrorAs(t, err, &full)
	require.Equal(t, client.RemoteAddr(), full.Addr)
	require.Equal(t, client.LocalAddr(), full.Source)
	require.NoError(t, client.SetDeadline(time.Now().Add(time.Hour)), "and leaves no timer behind")
}

func TestSocketDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := newPair()
		begun := time.Now()
		require.NoError(t, client.SetReadDeadline(begun.Add(time.Hour)))
		require.NoError(t, client.SetReadDeadline(begun.Add(time.Second)))
		_, err := client.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, time.Second, time.Since(begun))

		require.NoError(t, client.SetWriteDeadline(begun))
		_, err = client.Write([]byte("x"))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.NoError(t, client.SetDeadline(time.Time{}))
		_, err = client.Write([]byte("x"))
		require.NoError(t, err)

		time.AfterFunc(time.Second, func() { _ = client.SetReadDeadline(time.Unix(1, 0)) })
		_, err = client.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded, "a deadline in the past wakes a reader")
		_, err = server.Write([]byte("y"))
		require.NoError(t, err)
		_, err = client.Read(make([]byte, 1))
		require.NoError(t, err, "what is there is read")

		require.NoError(t, client.SetReadDeadline(time.Now().Add(time.Second)))
		require.NoError(t, client.SetReadDeadline(time.Time{}))
		time.AfterFunc(time.Minute, func() { _ = client.Close() })
		_, err = client.Read(make([]byte, 1))
		require.ErrorIs(t, err, net.ErrClosed)
	})
}
