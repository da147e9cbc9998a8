// Package backend is one PostgreSQL connection as a pool sees it: the socket under it, a look at that socket that costs
// no round trip, statements whose deadline cancels them and leaves the connection alive, what their answers say about
// the session, and an end that any goroutine can bring about.
//
// pgx speaks the protocol. This package owns what is beside it: it dials every socket, those of cancel requests
// included, and knows at any time whether a cancel request may still hit a later statement.
package backend

import (
	"context"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// defaultCancelBound is how long the server may take to answer a cancelled statement. A server that is alive and
// reachable answers within a millisecond or two; the caller is to be back within 50 ms of its deadline.
const defaultCancelBound = 30 * time.Millisecond

// Options say where a connection's sockets come from. The zero value dials TCP and Unix sockets.
type Options struct {
	// Dial opens every socket that is to become a connection; nil means a net.Dialer with keepalive. Like
	// [net.Dialer.DialContext] it must return when its context ends. [Conn.Look] says what it asks of the sockets.
	Dial pgconn.DialFunc
	// CancelDial opens every socket for a cancel request; nil means Dial. A panic in it fails the request.
	CancelDial pgconn.DialFunc
	// Greet makes a connection ready that the server has let in; nil: nothing. Its error is that of Open, and so is a
	// connection that it leaves closed, busy or inside a transaction.
	Greet func(context.Context, *pgx.Conn) error
	// CancelBound is how long the server may take to answer a statement that was cancelled because its context ended;
	// the connection of one that is not answered by then is closed. 0 means 30 ms.
	CancelBound time.Duration
}

func (o Options) withDefaults() Options {
	if o.Dial == nil {
		o.Dial = DefaultDialer.DialContext
	}
	if o.CancelDial == nil {
		o.CancelDial = o.Dial
	}
	if o.CancelBound <= 0 {
		o.CancelBound = defaultCancelBound
	}
	return o
}

// DefaultDialer dials where nobody gave a dialer of his own. It finds out within 35 s that the other end of a silent connection is gone.
var DefaultDialer = net.Dialer{
	KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 4},
}

// Conn is one connection to a PostgreSQL server. It has one user at a time; the methods that any goroutine may call at
// any time say so. Its owner must call [Conn.Close], also after [Conn.Sever].
type Conn struct {
	link     *link
	conn     *pgx.Conn
	look     looker
	openedAt time.Time
	setUp    Changes
}

// PGX is the connection for statements. A statement whose context ends is cancelled at the server; see [Explain] for
// what its error says. Whoever closes it still owes [Conn.Close].
func (c *Conn) PGX() *pgx.Conn { return c.conn }

// PID is the process id of the server's backend. Any goroutine may ask.
func (c *Conn) PID() uint32 { return c.link.pg.PID() }

// OpenedAt is when the server let us in. Any goroutine may ask.
func (c *Conn) OpenedAt() time.Time { return c.openedAt }

// Address is where the server answered: ip:port, or the path of a Unix socket. Any goroutine may ask.
func (c *Conn) Address() string { return c.link.address }

// TLS tells whether the connection is encrypted. Any goroutine may ask.
func (c *Conn) TLS() bool { return c.link.tls }

// Look peeks at the socket without waiting: nil says that it is open and silent, as that of a resting connection is to
// be. An error says that it is not: the other end closed or reset it (an error that matches [io.EOF] or the system's),
// or there is something to read that nobody asked for ([ErrUnexpectedData]). It peeks below TLS, takes
// nothing away and allocates nothing. Only the connection's user may call it, and not during a statement.
//
// A socket that [Options.Dial] made is peeked at by its SyscallConn method; or else by its method Look() error, if it
// has one; or else by those of what its method NetConn() net.Conn returns. A socket with none of them is read from with
// a deadline that ends very soon, which takes about a millisecond.
func (c *Conn) Look() error { return c.look.look() }

// Check asks the server for an answer: SELECT 1 by the simple protocol, one round trip, no prepared statement.
func (c *Conn) Check(ctx context.Context) error {
	return Explain(ctx, c.link.pg.Exec(ctx, "SELECT 1").Close())
}

// Fit tells whether the connection can serve somebody else as it is: open, not busy, in no transaction, and out of
// reach of a cancel request that got lost. While [Conn.CancelPending], it is fit only after [Conn.WaitCancel].
func (c *Conn) Fit() bool {
	pg := c.link.pg
	return !pg.IsClosed() && !pg.IsBusy() && pg.TxStatus() == 'I' && !c.link.unsettled.Load()
}

// InTx tells whether the session is inside a transaction, a failed one included, and could run its ROLLBACK now.
func (c *Conn) InTx() bool {
	pg := c.link.pg
	tx := pg.TxStatus()
	return !pg.IsClosed() && !pg.IsBusy() && (tx == 'T' || tx == 'E')
}

// Changes are what statements since [Conn.ClearChanges] may have changed about the session. Any goroutine may ask.
func (c *Conn) Changes() Changes { return Changes(c.link.changes.Load()).conclude() }

// Note adds to what was seen. Any goroutine may call it.
func (c *Conn) Note(changes Changes) { c.link.changes.Or(uint32(changes)) }

// ClearChanges forgets what was seen so far.
func (c *Conn) ClearChanges() { c.link.changes.Store(0) }

// SetUp is what the hooks of the configuration have changed about the session while it was opened, statements that they
// prepared among it. It is not among the Changes, and nothing but a new connection brings it back when it was undone.
func (c *Conn) SetUp() Changes { return c.setUp }

// ForgetStatements makes pgx forget the prepared statements that it keeps, when the server has forgotten all of them. It
// sends nothing. Only the connection's user may call it.
func (c *Conn) ForgetStatements() {
	if c.link.sent.named { // else there are none, and new caches are not for free
		// pgx empties its caches before it asks the server to do the same, which it does not under such a context.
		_ = c.conn.DeallocateAll(ended)
	}
	c.link.sent.forget()
}

// DropNotifications throws away what pgx keeps of what LISTEN has brought. It sends nothing and does not wait. Only the
// connection's user may call it.
func (c *Conn) DropNotifications() {
	for {
		if n, _ := c.conn.WaitForNotification(ended); n == nil {
			return
		}
	}
}

// ended is a context under which pgx does what it can do without the server.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// closeLimit bounds Close where its context does not. pgx gives the end of a broken connection the same time.
const closeLimit = 15 * time.Second

// Close says goodbye to the server, closes the socket, and returns when every goroutine of the connection has ended: a
// cancel request under way, and pgx's own end of a connection that broke. A statement that still runs is cancelled.
// When ctx ends (15 s at most), the rest is done without courtesy, and Close returns its error: its only one. Only the
// connection's user may call it; closing twice is safe.
func (c *Conn) Close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, closeLimit)
	defer cancel()
	if c.link.pg.IsBusy() && !c.link.gone.Load() {
		c.link.beginCancel(c.link.pg)
	}
	forced := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(forced)
		c.link.cutShort()
	})
	_ = c.conn.Close(ctx) // says whether the server heard our goodbye: whether or not, it is over
	c.link.join()
	if !stop() {
		<-forced
		return context.Cause(ctx)
	}
	return nil
}

// Abandon is Sever for a connection whose user may never close it: cancel requests, those that pgx would send included,
// end as well. Any goroutine may call it at any time.
func (c *Conn) Abandon() { c.link.cutShort() }

// Sever closes the socket: a statement that runs fails, and so does every later one. Any goroutine may call it at any
// time, more than once. It sends no cancel request, and the connection's owner still has to call [Conn.Close].
func (c *Conn) Sever() { c.link.sever() }
