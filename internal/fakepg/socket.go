package fakepg

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// errUnread is what Look says of a socket with bytes that nobody asked for.
var errUnread = errors.New("fakepg: unread bytes on the connection")

// socket is one end of a connection in memory that behaves like a kernel's: a write is buffered and never blocks, what
// was written before a close can still be read after it, and then comes EOF. (net.Pipe does neither: its writes block
// until they are read, and a close throws away what was not.)
//
// In one thing it is kinder than a kernel: bytes that are there are read even after the deadline.
type socket struct {
	in, out       *stream
	local, remote net.Addr
}

// socketPair returns both ends of a new connection.
func socketPair(client, server net.Addr) (*socket, *socket) {
	up, down := &stream{}, &stream{}
	return &socket{in: down, out: up, local: client, remote: server},
		&socket{in: up, out: down, local: server, remote: client}
}

func (s *socket) Read(p []byte) (int, error) {
	n, err := s.in.read(p)
	return n, s.wrap("read", err)
}

func (s *socket) Write(p []byte) (int, error) {
	n, err := s.out.write(p)
	return n, s.wrap("write", err)
}

// Close ends both directions. The other end reads what it has not read yet, then EOF.
func (s *socket) Close() error {
	s.in.shutReader()
	s.out.end(nil)
	return nil
}

// closeWith writes last and closes, with nothing in between.
func (s *socket) closeWith(last []byte) {
	s.out.end(last)
	s.in.shutReader()
}

// Look says at once whether the connection is open and silent (nil), closed (io.EOF or net.ErrClosed), or has bytes to
// read. It takes no byte away.
func (s *socket) Look() error { return s.in.look() }

func (s *socket) LocalAddr() net.Addr  { return s.local }
func (s *socket) RemoteAddr() net.Addr { return s.remote }

func (s *socket) SetDeadline(t time.Time) error {
	s.in.setReadDeadline(t)
	s.out.setWriteDeadline(t)
	return nil
}

func (s *socket) SetReadDeadline(t time.Time) error {
	s.in.setReadDeadline(t)
	return nil
}

func (s *socket) SetWriteDeadline(t time.Time) error {
	s.out.setWriteDeadline(t)
	return nil
}

// wrap dresses an error as package net does. EOF stays bare.
func (s *socket) wrap(op string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return &net.OpError{Op: op, Net: s.remote.Network(), Source: s.local, Addr: s.remote, Err: err}
}

// stream is one direction of a connection.
type stream struct {
	mu sync.Mutex // guards all below; held for a few instructions, never while anybody waits

	unread bytes.Buffer
	ended  bool // the writer has closed: EOF follows what is unread
	shut   bool // the reader has closed: nothing will be read any more

	readTimer *time.Timer // nil without a read deadline in the future
	readTurn  int         // counts read deadlines, so that an old timer changes nothing
	readOver  bool        // the read deadline has passed
	writeBy   time.Time   // zero without a write deadline

	changed chan struct{} // closed at the next change; nil while no reader waits
}

func (s *stream) read(p []byte) (int, error) {
	for {
		s.mu.Lock()
		switch {
		case s.shut:
			s.mu.Unlock()
			return 0, net.ErrClosed
		case s.unread.Len() > 0 || len(p) == 0:
			n := copy(p, s.unread.Next(len(p)))
			s.mu.Unlock()
			return n, nil
		case s.ended:
			s.mu.Unlock()
			return 0, io.EOF
		case s.readOver:
			s.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		}
		if s.changed == nil {
			s.changed = make(chan struct{})
		}
		changed := s.changed
		s.mu.Unlock()
		<-changed
	}
}

func (s *stream) write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
		return 0, net.ErrClosed
	case s.shut:
		return 0, syscall.EPIPE
	case !s.writeBy.IsZero() && !time.Now().Before(s.writeBy):
		return 0, os.ErrDeadlineExceeded
	}
	s.unread.Write(p)
	s.wake()
	return len(p), nil
}

// end closes the writer's side after one last piece.
func (s *stream) end(last []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.unread.Write(last)
	}
	s.ended = true
	s.wake()
}

func (s *stream) shutReader() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = true
	s.dropReadTimer()
	s.wake()
}

func (s *stream) look() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.shut:
		return net.ErrClosed
	case s.unread.Len() > 0:
		return errUnread
	case s.ended:
		return io.EOF
	default:
		return nil
	}
}

func (s *stream) setReadDeadline(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropReadTimer()
	if s.shut {
		return
	}
	left := time.Until(t)
	s.readOver = !t.IsZero() && left <= 0
	if !t.IsZero() && left > 0 {
		turn := s.readTurn
		s.readTimer = time.AfterFunc(left, func() { s.endRead(turn) })
	}
	s.wake()
}

// dropReadTimer forgets the read deadline; s.mu is held.
func (s *stream) dropReadTimer() {
	s.readTurn++
	s.readOver = false
	if s.readTimer != nil {
		s.readTimer.Stop()
		s.readTimer = nil
	}
}

// endRead is the read deadline's timer.
func (s *stream) endRead(turn int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readTurn == turn {
		s.readOver = true
		s.wake()
	}
}

func (s *stream) setWriteDeadline(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writeBy = t
}

// wake lets the waiting readers look again; s.mu is held.
func (s *stream) wake() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}
