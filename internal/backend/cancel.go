package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// ErrCancelUnsettled says that a cancel request was sent and that nobody can tell whether the server has carried it
// out: the connection can serve no further statement and is to be closed.
var ErrCancelUnsettled = errors.New("backend: a cancel request that was sent may still hit this connection")

var (
	errCancelNeedless   = errors.New("backend: a cancel request for this connection is under way, or was lost, or would hit nothing")
	errCancelNotDialled = errors.New("backend: no socket for a cancel request")
)

// cancelLimit bounds a cancel request from the dial to the server's answer, and with it how long a connection rests
// before it is given up.
const cancelLimit = 2 * time.Second

// cancelPause is the wait before a cancel request is repeated that came before the backend had begun the statement, and
// so was ignored; each further wait is twice as long. With a bound of 30 ms there is one repetition.
const cancelPause = 10 * time.Millisecond

// flight is one cancel request, from the decision to send it until it is known that it cannot hit any more. A
// connection has at most one at a time.
//
// The server answers a cancel request by closing its connection, after it has sent the signal to the backend. So
// when that EOF was seen, and the answer of the statement that it was meant for, no later statement can be hit: the
// backend takes the signal before it can read the next statement, and while it waits for one it ignores it. (A proxy
// that closes before it has passed the request on takes this certainty away.)
type flight struct {
	link *link
	done chan struct{} // closed when the request is settled
	err  error         // why it was not carried out, or is not known to be; read after done

	limit   context.Context // of the whole request
	release context.CancelFunc
	dialing context.Context
	giveUp  context.CancelFunc // ends a dial that is going on, before which nothing was sent, and the repetitions

	written  atomic.Bool // something was written to its socket
	answered atomic.Bool // its last read brought EOF, or data: under TLS the record that announces the EOF
}

// flightKey marks the context of a cancel request, by its *flight.
type flightKey struct{}

// Cancel asks the server to cancel what the connection runs, and returns when the server has sent its signal, or with
// the reason why that is not so. Only one request is under way at a time: whoever comes meanwhile waits for that one.
// It takes 2 s at most; when ctx ends earlier, the request goes on without its caller. Any goroutine may call it.
func (c *Conn) Cancel(ctx context.Context) error {
	f := c.link.beginCancel(c.link.pg)
	if f == nil {
		return net.ErrClosed
	}
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// CancelPending tells whether a cancel request is under way or may still hit. A statement that is begun meanwhile is
// not sent before the request is settled. Any goroutine may ask.
func (c *Conn) CancelPending() bool {
	return c.link.flight.Load() != nil || c.link.unsettled.Load()
}

// WaitCancel returns when no cancel request can hit a statement that begins now: after 2 s at most. The error is that
// of ctx, or [ErrCancelUnsettled]: the connection is to be closed. Any goroutine may call it.
func (c *Conn) WaitCancel(ctx context.Context) error {
	for f := c.link.flight.Load(); f != nil; f = c.link.flight.Load() {
		select {
		case <-f.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if c.link.unsettled.Load() {
		return ErrCancelUnsettled
	}
	return nil
}

// beginCancel sends a cancel request from a goroutine of its own, which join waits for. It returns the request that is
// under way if there is one, and nil at the end of the connection.
func (l *link) beginCancel(pg *pgconn.PgConn) *flight {
	f, mine := l.takeOff()
	if mine {
		go f.run(pg)
	}
	return f
}

// takeOff registers a new cancel request, or returns the one that is under way. Whoever gets a new one has to land it
// and then to say so to the link's goroutines.
func (l *link) takeOff() (f *flight, mine bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.flight.Load(); f != nil || l.ended {
		return f, false
	}
	f = &flight{link: l, done: make(chan struct{})}
	f.limit, f.release = context.WithTimeout(l.life, cancelLimit)
	f.dialing, f.giveUp = context.WithCancel(f.limit)
	l.flight.Store(f)
	l.goroutines.Add(1)
	return f, true
}

// run sends the request and waits for the server to close: again, if that has no effect on a statement that is to end.
func (f *flight) run(pg *pgconn.PgConn) {
	defer f.link.goroutines.Done()
	lost, err := true, ErrCancelUnsettled // for a runtime.Goexit in the dialer
	defer func() { f.land(lost, err) }()
	ctx := context.WithValue(f.limit, flightKey{}, f)
	for pause := cancelPause; ; pause *= 2 {
		if lost, err = f.send(ctx, pg); err != nil || !f.missed(pause) {
			return
		}
	}
}

// missed tells whether a statement whose context has ended is still without an answer after a pause.
func (f *flight) missed(pause time.Duration) bool {
	if !f.link.overdue() {
		return false
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return f.link.overdue()
	case <-f.dialing.Done():
		return false
	}
}

// send reports whether the request may still hit, beside the error.
func (f *flight) send(ctx context.Context, pg *pgconn.PgConn) (lost bool, err error) {
	defer func() {
		if p := recover(); p != nil { // of a callback in the TLS configuration
			lost, err = f.written.Load(), fmt.Errorf("backend: panic in a cancel request: %v", p)
		}
	}()
	// pgx returns an error only before the whole request was written; what becomes of it then, it does not tell.
	if err := pg.CancelRequest(ctx); err != nil {
		return false, fmt.Errorf("backend: cancel request: %w", err)
	}
	if !f.answered.Load() {
		return true, ErrCancelUnsettled
	}
	return false, nil
}

// land ends the request. A lost one leaves its mark before it is taken away, so that nobody sees neither.
func (f *flight) land(lost bool, err error) {
	f.release()
	f.err = err
	if lost {
		f.link.unsettled.Store(true)
	}
	f.link.flight.Store(nil)
	close(f.done)
}

// dial opens the socket for the request.
func (f *flight) dial(ctx context.Context) (_ *cancelSocket, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("backend: panic in the dialer for cancel requests: %v", p)
		}
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(f.dialing, cancel)()
	socket, err := f.link.cancelDial(ctx, f.link.cancelNetwork, f.link.cancelAddress)
	if err != nil {
		return nil, err
	}
	if socket == nil {
		return nil, errNoSocket
	}
	if err := f.dialing.Err(); err != nil {
		_ = socket.Close() // nothing was sent
		return nil, err
	}
	return &cancelSocket{Conn: socket, flight: f}, nil
}

// dialForPGX dials for a cancel request that pgx sends by itself: when it closes a broken connection, or when its user
// asks it to. pgx ends it by closing the socket.
func (l *link) dialForPGX(ctx context.Context) (net.Conn, error) {
	if l.gone.Load() || l.unsettled.Load() {
		return nil, errCancelNeedless
	}
	f, mine := l.takeOff()
	if !mine {
		return nil, errCancelNeedless
	}
	land := func(lost bool, err error) {
		f.land(lost, err)
		l.goroutines.Done()
	}
	var socket *cancelSocket
	err := errCancelNotDialled // stays so by a runtime.Goexit in the dialer
	defer func() {
		if socket == nil {
			land(false, err)
		}
	}()
	if socket, err = f.dial(ctx); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(f.limit, func() { _ = socket.Conn.Close() }) // pgx notices, and closes in its turn
	socket.onClose = func() {
		stop()
		if f.written.Load() && !f.answered.Load() {
			land(true, ErrCancelUnsettled)
		} else {
			land(false, nil)
		}
	}
	return socket, nil
}

// cancelSocket notes how far a cancel request got.
type cancelSocket struct {
	net.Conn
	flight  *flight
	onClose func() // called once; nil if somebody else lands the flight
	once    sync.Once
}

func (s *cancelSocket) Write(p []byte) (int, error) {
	s.flight.written.Store(true)
	return s.Conn.Write(p)
}

func (s *cancelSocket) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	s.flight.answered.Store(err == nil || errors.Is(err, io.EOF))
	return n, err
}

func (s *cancelSocket) Close() error {
	err := s.Conn.Close()
	if s.onClose != nil {
		s.once.Do(s.onClose)
	}
	return err
}
