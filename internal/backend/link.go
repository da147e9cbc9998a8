package backend

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// link is one socket that was dialled for a connection, and what has to be known about it beside pgx. Every attempt to
// connect has its own, so that nothing of a failed one reaches the next.
type link struct {
	socket  net.Conn // as it was dialled: below TLS
	address string
	tls     bool           // set before the first message
	clear   bool           // likewise: what pgx writes reaches the wire as it is
	wrapped bool           // likewise: it does not, because of TLS or a hook
	tap     *tap           // likewise: what pgx reads and writes through
	pg      *pgconn.PgConn // set when the server has let us in

	cancelDial    pgconn.DialFunc
	cancelNetwork string
	cancelAddress string
	cancelBound   time.Duration

	changes   atomic.Uint32 // of the session, as seen on the wire: a set of Changes
	sent      outgoing      // used by whoever writes
	wrote     atomic.Bool   // something of a statement was written
	sending   atomic.Bool   // what is written now came through the tap
	leaving   atomic.Bool   // Terminate was sent, or is being sent
	idle      atomic.Bool   // the server has answered everything (with several Syncs under way: the first of them)
	gone      atomic.Bool   // the other end has closed
	unsettled atomic.Bool   // a cancel request got lost: it may hit at any later time

	flight     atomic.Pointer[flight] // the cancel request under way; nil if there is none
	severed    chan struct{}          // closed by sever
	severOnce  sync.Once
	life       context.Context // of every cancel request
	end        context.CancelFunc
	goroutines sync.WaitGroup

	over atomic.Bool // the context of the current statement has ended; written under mu

	mu       sync.Mutex    // guards what follows; held for a few instructions
	overTold chan struct{} // closed when over becomes true
	ended    bool          // no cancel request begins any more
}

func newLink(o Options, socket net.Conn, network, address string) *link {
	l := &link{
		socket: socket, address: address,
		cancelDial: o.CancelDial, cancelNetwork: network, cancelAddress: address, cancelBound: o.CancelBound,
		severed: make(chan struct{}), overTold: make(chan struct{}),
	}
	// A name behind the dialled address may lead to another server by now, so a cancel request goes to the address that
	// answered. Dialers that tunnel may have none to tell; then it is dialled as the connection was.
	if a, ok := socket.RemoteAddr().(*net.TCPAddr); ok && a.Port != 0 && !a.IP.IsUnspecified() {
		l.address = a.String()
		l.cancelNetwork, l.cancelAddress = "tcp", l.address
	}
	l.life, l.end = context.WithCancel(context.Background())
	return l
}

// setUp ends the time of the configuration's hooks: it takes away what they have changed, and the statements that they
// prepared past pgx's own books are noted nowhere else.
func (l *link) setUp() Changes {
	changes := Changes(l.changes.Swap(0)).conclude()
	if l.sent.named {
		l.sent.named = false
		changes |= ChangedPrepared
	}
	return changes
}

// sever closes the socket; any goroutine, any time.
func (l *link) sever() {
	l.severOnce.Do(func() {
		close(l.severed)
		_ = l.socket.Close() // there is nothing to be done about it
	})
}

// cutShort closes every socket, those of cancel requests included, so that nothing waits any more; any goroutine.
func (l *link) cutShort() {
	l.sever()
	l.end()
}

// hijackGrace bounds the wait for the end of a connection that pgx calls closed. It is reached only by a connection
// that its user took away with pgconn.PgConn.Hijack: pgx never reports the end of one.
const hijackGrace = time.Second

// join returns when no goroutine uses the link any more. The connection must have been closed or cut short, and only
// its user may call it.
func (l *link) join() {
	if l.pg != nil && l.pg.IsClosed() {
		select {
		case <-l.pg.CleanupDone():
		case <-l.life.Done():
			timer := time.NewTimer(hijackGrace)
			defer timer.Stop()
			select {
			case <-l.pg.CleanupDone():
			case <-timer.C:
			}
		}
	}
	l.mu.Lock()
	l.ended = true // not earlier: pgx may have a statement to cancel while it closes a broken connection
	l.mu.Unlock()
	l.goroutines.Wait()
	l.cutShort()
}
