package backend

import (
	"io"
	"net"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// wired returns both ends of a socket.
func wired(t testing.TB, network, address string) (here, there net.Conn) {
	t.Helper()
	listener, err := net.Listen(network, address)
	require.NoError(t, err)
	defer func() { require.NoError(t, listener.Close()) }()
	accepted := make(chan net.Conn, 1)
	go func() {
		conn, _ := listener.Accept()
		accepted <- conn
	}()
	here, err = net.Dial(network, listener.Addr().String())
	require.NoError(t, err)
	there = <-accepted
	require.NotNil(t, there)
	t.Cleanup(func() {
		_ = here.Close()
		_ = there.Close()
	})
	return here, there
}

// opaque is a socket that shows nothing but net.Conn.
type opaque struct{ net.Conn }

// transparent is one that shows what it wraps.
type transparent struct{ net.Conn }

func (c transparent) NetConn() net.Conn { return c.Conn }

// sockets are all the kinds of sockets that a look has a way for.
var sockets = map[string]func(testing.TB) (here, there net.Conn){
	"tcp":  func(t testing.TB) (net.Conn, net.Conn) { return wired(t, "tcp", "127.0.0.1:0") },
	"unix": func(t testing.TB) (net.Conn, net.Conn) { return wired(t, "unix", filepath.Join(t.TempDir(), "s")) },
	"wrapped, transparent": func(t testing.TB) (net.Conn, net.Conn) {
		here, there := wired(t, "tcp", "127.0.0.1:0")
		return transparent{transparent{here}}, there
	},
	"wrapped, opaque": func(t testing.TB) (net.Conn, net.Conn) {
		here, there := wired(t, "tcp", "127.0.0.1:0")
		return opaque{here}, there
	},
	"pipe": func(testing.TB) (net.Conn, net.Conn) { return net.Pipe() },
}

func TestLookAtSilence(t *testing.T) {
	for name, pair := range sockets {
		t.Run(name, func(t *testing.T) {
			here, there := pair(t)
			l := newLooker(here)
			for range 3 {
				require.NoError(t, l.look())
			}
			// The socket is as it was.
			go func() { _, _ = there.Write([]byte("x")) }()
			n, err := here.Read(make([]byte, 8))
			require.NoError(t, err)
			require.Equal(t, 1, n)
			require.NoError(t, l.look())
		})
	}
}

func TestLookAtClosedPeer(t *testing.T) {
	for name, pair := range sockets {
		t.Run(name, func(t *testing.T) {
			here, there := pair(t)
			l := newLooker(here)
			require.NoError(t, there.Close())
			requireSoon(t, func() bool { return l.look() != nil })
			if name != "pipe" { // its deadline cannot even be set any more
				require.ErrorIs(t, l.look(), io.EOF)
			}
		})
	}
}

func TestLookAtUnexpectedData(t *testing.T) {
	for name, pair := range sockets {
		if name == "pipe" {
			continue // its writer waits for a reader: there is nothing to be seen
		}
		t.Run(name, func(t *testing.T) {
			here, there := pair(t)
			l := newLooker(here)
			_, err := there.Write([]byte("FATAL"))
			require.NoError(t, err)
			var seen error
			requireSoon(t, func() bool { seen = l.look(); return seen != nil })
			require.ErrorIs(t, seen, ErrUnexpectedData)
		})
	}
}

func TestLookAtReset(t *testing.T) {
	for _, name := range []string{"tcp", "wrapped, opaque"} {
		t.Run(name, func(t *testing.T) {
			here, there := sockets[name](t)
			l := newLooker(here)
			require.NoError(t, there.(*net.TCPConn).SetLinger(0))
			require.NoError(t, there.Close())
			var seen error
			requireSoon(t, func() bool { seen = l.look(); return seen != nil })
			require.ErrorIs(t, seen, syscall.ECONNRESET)
		})
	}
}

func TestLookAtOwnEnd(t *testing.T) {
	for name, pair := range sockets {
		t.Run(name, func(t *testing.T) {
			here, _ := pair(t)
			l := newLooker(here)
			require.NoError(t, here.Close())
			require.Error(t, l.look())
		})
	}
}

// TestLookBesideRead: pgx can leave a read behind that waits in the background. A look does not queue behind it.
func TestLookBesideRead(t *testing.T) {
	here, there := sockets["tcp"](t)
	l := newLooker(here)
	read := make(chan error, 1)
	go func() {
		_, err := here.Read(make([]byte, 1))
		read <- err
	}()
	for range 100 {
		require.NoError(t, l.look())
	}
	_, err := there.Write([]byte("x"))
	require.NoError(t, err)
	require.NoError(t, <-read)
}

func TestLookAllocatesNothing(t *testing.T) {
	for _, name := range []string{"tcp", "unix", "wrapped, transparent"} {
		here, there := sockets[name](t)
		l := newLooker(here)
		require.Zero(t, testing.AllocsPerRun(100, func() { _ = l.look() }), name)
		require.NoError(t, there.Close())
		requireSoon(t, func() bool { return l.look() != nil })
		require.Zero(t, testing.AllocsPerRun(100, func() { _ = l.look() }), name)
	}
}

// TestLookAtServer: with and without TLS, a resting connection is silent, and one whose backend was ended is not.
func TestLookAtServer(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		c := open(t, realConfig(t, encrypted), Options{})
		killer := open(t, realConfig(t, false), Options{})
		require.NoError(t, c.Look())
		require.NoError(t, c.Check(t.Context()))
		require.NoError(t, c.Look())
		_, err := killer.PGX().Exec(t.Context(), "select pg_terminate_backend($1)", c.PID())
		require.NoError(t, err)
		requireSoon(t, func() bool { return c.Look() != nil })
		require.NoError(t, killer.Look())
	}
}

func requireSoon(t testing.TB, condition func() bool) {
	t.Helper()
	require.Eventually(t, condition, 5*time.Second, time.Millisecond)
}

func BenchmarkLook(b *testing.B) {
	for _, name := range []string{"tcp", "unix", "wrapped, opaque", "pipe"} {
		b.Run(name, func(b *testing.B) {
			here, _ := sockets[name](b)
			l := newLooker(here)
			b.ReportAllocs()
			for b.Loop() {
				if err := l.look(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
