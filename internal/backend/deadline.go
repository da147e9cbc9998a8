package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgproto3"
)

// deadline is what pgx calls when the context of a statement ends. It asks the server to cancel the statement at once,
// and gives it a short time to say that it did: then the connection lives on. pgx closes the connection of a statement
// that got no answer by then.
//
// [ctxwatch.ContextWatcher] calls HandleCancel from a goroutine of its own and then HandleUnwatchAfterCancel from the
// connection's user, never both at once.
type deadline struct {
	link  *link
	pg    *pgconn.PgConn
	until time.Time // when the time for the answer is over
}

// HandleCancel is called when the context has ended.
func (d *deadline) HandleCancel(context.Context) {
	d.until = time.Now().Add(d.link.cancelBound)
	_ = d.pg.Conn().SetDeadline(d.until) // fails on a closed socket only
	d.link.expire()
	// Nothing runs when the statement is not yet sent (the tap cancels it right after that), when it was answered just
	// now, and while pgx waits for notifications or closes the connection.
	if !d.link.idle.Load() {
		d.link.beginCancel(d.pg)
	}
}

// HandleUnwatchAfterCancel is called when the statement has ended, one way or another.
func (d *deadline) HandleUnwatchAfterCancel() {
	d.link.renew()
	if d.pg.IsClosed() {
		return // pgx ends it with deadlines of its own
	}
	if d.link.idle.Load() {
		d.link.settle(d.until)
	}
	_ = d.pg.Conn().SetDeadline(time.Time{}) // fails on a closed socket only
}

// expire notes that the context of the current statement has ended.
func (l *link) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.over.Load() {
		l.over.Store(true)
		close(l.overTold)
	}
}

// renew notes that the current statement is no more.
func (l *link) renew() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over.Store(false)
	l.overTold = make(chan struct{})
}

// overdue tells whether the context of the current statement has ended, and the server has not answered it.
func (l *link) overdue() bool { return l.over.Load() && !l.idle.Load() }

// settle waits for the cancel request of a statement that has been answered, so that nearly always nothing is pending
// when the caller has its answer. A request that is still being dialled for is given up: it is no longer needed.
func (l *link) settle(until time.Time) {
	f := l.flight.Load()
	if f == nil {
		return
	}
	f.giveUp()
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-f.done:
	case <-timer.C:
	case <-l.severed:
	}
}

// gate holds a new statement back while a cancel request that was meant for an earlier one may hit it. An error closes
// the connection: by then nothing of the statement was sent.
func (l *link) gate() error {
	for f := l.flight.Load(); f != nil; f = l.flight.Load() {
		l.mu.Lock()
		over := l.overTold
		l.mu.Unlock()
		select {
		case <-f.done:
		case <-over:
			return os.ErrDeadlineExceeded // pgx reports it as the context's error
		case <-l.severed:
			return net.ErrClosed
		}
	}
	if l.unsettled.Load() {
		return ErrCancelUnsettled
	}
	return nil
}

// queryCanceled is the SQLSTATE of a statement that a cancel request, or a time-out of the server, has ended.
const queryCanceled = "57014"

// Explain says why a statement failed that ran under ctx. A statement that was cancelled because ctx ended comes back
// from pgx with the server's error only; what Explain returns for it matches the error of ctx, and [pgconn.Timeout] is true
// of a deadline, as for a statement without an answer; it still holds the *[pgconn.PgError]. Every other error is returned
// as it is, nil included.
func Explain(ctx context.Context, err error) error {
	cause := ctx.Err()
	if err == nil || cause == nil || errors.Is(err, cause) {
		return err
	}
	var answer *pgconn.PgError
	if !errors.As(err, &answer) || answer.Code != queryCanceled {
		return err
	}
	return &cancelledError{cause: cause, answer: err}
}

// cancelledError is the error of a statement whose context ended and that the server has cancelled.
type cancelledError struct{ cause, answer error }

func (e *cancelledError) Error() string { return fmt.Sprintf("%v (%v)", e.cause, e.answer) }

func (e *cancelledError) Unwrap() []error {
	if e.Timeout() {
		return []error{e.cause, e.answer, timeout()}
	}
	return []error{e.cause, e.answer}
}

// Timeout makes the deadline of a cancelled statement look like that of one without an answer.
func (e *cancelledError) Timeout() bool { return errors.Is(e.cause, context.DeadlineExceeded) }

// SafeToRetry is for [pgconn.SafeToRetry], which would take timeout for the whole.
func (e *cancelledError) SafeToRetry() bool { return false }

// timeout is the error by which [pgconn.Timeout] knows a time-out. Its type is pgx's own, so pgx has to be brought to say it:
// by a wait that ends before it begins, on a connection to nobody.
var timeout = sync.OnceValue(func() error {
	nobody, _ := net.Pipe()
	passed, cancel := context.WithDeadline(context.Background(), time.Time{})
	defer cancel()
	pg, err := pgconn.Construct(&pgconn.HijackedConn{Conn: nobody, Config: &pgconn.Config{
		BuildFrontend: func(r io.Reader, w io.Writer) *pgproto3.Frontend { return pgproto3.NewFrontend(r, w) },
		BuildContextWatcherHandler: func(pg *pgconn.PgConn) ctxwatch.Handler {
			return &pgconn.DeadlineContextWatcherHandler{Conn: pg.Conn()}
		},
	}})
	if err != nil {
		return err
	}
	return pg.WaitForNotification(passed)
})
