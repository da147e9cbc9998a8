package backend

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// ErrUnexpectedData says that there is something to read on a connection on which nothing was asked: the server's last
// words, most often. A notice, a notification of LISTEN, or the new value of a setting that the server reports (after a
// reload of its configuration) looks the same; [Conn.Check] tells them apart.
var ErrUnexpectedData = errors.New("backend: unexpected data on a resting connection")

// errPeerClosed is made once, so that a look does not allocate.
var errPeerClosed = fmt.Errorf("backend: the server closed the connection: %w", io.EOF)

// looker looks at a socket: nil means that it is open and silent.
type looker interface{ look() error }

// newLooker finds the best way to look at a socket.
func newLooker(socket net.Conn) looker {
	for conn := socket; conn != nil; {
		if c, ok := conn.(syscall.Conn); ok {
			if raw, err := c.SyscallConn(); err == nil {
				if p := newPeek(raw); p != nil {
					return p
				}
			}
		}
		if c, ok := conn.(interface{ Look() error }); ok {
			return ownLook{c}
		}
		wrapper, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = wrapper.NetConn()
	}
	return newRead(socket)
}

// ownLook is a socket that can tell by itself.
type ownLook struct{ conn interface{ Look() error } }

func (o ownLook) look() error { return o.conn.Look() }

// read looks at a socket by reading from it, with a deadline that is over at once or soon.
type read struct {
	conn     net.Conn
	patience time.Duration
}

// readPatience is long enough for a read to reach the system: with a deadline in the past, it would not even try.
const readPatience = 200 * time.Microsecond

func newRead(conn net.Conn) *read {
	r := &read{conn: conn, patience: readPatience}
	// A net.Pipe sees that its other end is closed before it looks at its deadline.
	if a := conn.LocalAddr(); a != nil && a.Network() == "pipe" {
		r.patience = 0
	}
	return r
}

func (r *read) look() error {
	until := time.Unix(1, 0)
	if r.patience > 0 {
		until = time.Now().Add(r.patience)
	}
	if err := r.conn.SetReadDeadline(until); err != nil {
		return err
	}
	var b [1]byte
	n, err := r.conn.Read(b[:])
	switch {
	case n > 0:
		return ErrUnexpectedData
	case errors.Is(err, os.ErrDeadlineExceeded):
		return r.conn.SetReadDeadline(time.Time{})
	case errors.Is(err, io.EOF):
		return errPeerClosed
	default:
		return err
	}
}
