package multiplex

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// What a lane does with the queue.
const (
	laneOpen    int32 = iota // takes statements from it
	laneStalled              // is stuck behind a slow one: takes none until that is done
	laneEnding               // takes no more
)

// maxPrepared is how many statements a lane prepares before it makes room for a fresh one.
const maxPrepared = 2 * maxTexts

// lane is one connection. Its fields belong to the writer but for those that say otherwise.
type lane struct {
	group *Group
	conn  Connection

	state    atomic.Int32  // changes under the group's mu
	parked   atomic.Bool   // the writer waits for wake, or is about to
	wake     chan struct{} // has room for one
	underWay atomic.Int64  // taken, and not answered
	window   atomic.Int64  // how much may be
	full     atomic.Bool   // the window was: it is to be half empty before more is taken
	sent     chan *request // written or about to be, in order; the reader takes them
	ended    chan struct{} // closed by the reader when it ends

	prepared map[*description]struct{}
	batch    []*request // taken, and not handed to the reader
	starts   []int
	out      []byte

	answers atomic.Int64 // for the keeper
	trip    atomic.Int64 // the shortest since the keeper last looked, in nanoseconds; 0: none
	reader  reader
	view    view
}

// view is what only the keeper keeps of a lane.
type view struct {
	window  window
	answers int64
	still   int // turns in which nothing was answered
	at      time.Time
}

func newLane(g *Group, c Connection) *lane {
	l := &lane{
		group: g, conn: c,
		wake:     make(chan struct{}, 1),
		sent:     make(chan *request, widest+1), // and a farewell
		ended:    make(chan struct{}),
		prepared: make(map[*description]struct{}),
	}
	l.window.Store(narrowest)
	l.reader.lane = l
	return l
}

func (l *lane) kick() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *lane) taking() bool { return l.state.Load() == laneOpen }

// room is how many statements the lane may take when so many are under way. One whose window was full takes none before half
// of it is empty, so that what it writes then is worth it.
func (l *lane) room(underWay int) int {
	if !l.taking() {
		return 0
	}
	most := int(l.window.Load())
	switch {
	case underWay >= most:
		l.full.Store(true)
		return 0
	case l.full.Load() && underWay > most/2:
		return 0
	}
	l.full.Store(false)
	return most - underWay
}

// run works until the lane ends, and gives the connection back.
func (l *lane) run() {
	go l.reader.run()
	err := l.work()
	if err != nil {
		l.conn.Sever()
	}
	<-l.ended
	switch r := &l.reader; {
	case r.err != nil:
		err = r.err // it says more than that nothing can be written
	case err == nil && r.changed:
		err = errChanged
	}
	l.group.leave(l)
	l.clear(err)
	l.conn.Return(err)
}

// work is the writer. A panic in it ends the lane, as a lost connection would.
func (l *lane) work() (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = l.panicked(v)
		}
	}()
	return l.write()
}

// write takes and writes until the connection is lost or the lane has ended in order.
func (l *lane) write() error {
	for {
		runtime.Gosched() // so that others can add theirs: it saves four of five writes
		l.batch = l.group.take(l, l.batch[:0])
		if len(l.batch) > 0 {
			l.parked.Store(false)
			if err := l.flush(); err != nil {
				return err
			}
			continue
		}
		if l.parked.CompareAndSwap(false, true) {
			continue // look once more: whoever came meanwhile saw nobody to wake
		}
		if l.state.Load() == laneEnding && l.underWay.Load() == 0 {
			return l.farewell()
		}
		select {
		case <-l.wake:
		case <-l.ended:
			return errReaderEnded
		}
		l.parked.Store(false)
	}
}

// errChanged says that the session is not what it was, or that pgx does not know what it is like now.
var errChanged = errors.New("multiplex: the session has changed")

var errReaderEnded = errors.New("multiplex: the connection ended")

// flush writes what was taken, at once.
func (l *lane) flush() error {
	l.out, l.starts = l.out[:0], l.starts[:0]
	now := time.Now()
	var err error
	for _, r := range l.batch {
		l.starts = append(l.starts, len(l.out))
		r.writtenAt = now
		if l.out, err = l.encode(l.out, r); err != nil {
			return fmt.Errorf("multiplex: %w", err)
		}
	}
	batch := l.batch
	l.batch = l.batch[len(l.batch):]
	for _, r := range batch {
		l.sent <- r
	}
	n, err := l.conn.Stream().Write(l.out)
	if err != nil {
		for i, start := range l.starts {
			if start >= n {
				batch[i].unwritten = true
			}
		}
		return err
	}
	if cap(l.out) > 4*maxBytes {
		l.out = nil
	}
	clear(batch)
	l.batch = batch[:0]
	return nil
}

// encode appends the messages of a request, and before each statement that is new here those that prepare it.
func (l *lane) encode(out []byte, r *request) ([]byte, error) {
	var err error
	for i := range r.parts {
		p := &r.parts[i]
		p.phase = parsed
		if _, known := l.prepared[p.d]; !known {
			l.prepared[p.d] = struct{}{}
			p.phase, p.prepares = unseen, true
			if out, err = p.d.prepare(out); err != nil {
				return out, err
			}
		}
		out = append(out, r.wire[p.from:r.end(i)]...)
	}
	if len(l.prepared) > maxPrepared {
		l.group.mu.Lock()
		l.group.stop(l)
		l.group.mu.Unlock()
	}
	return (&pgproto3.Sync{}).Encode(out)
}

// prepare appends the messages that prepare the statement, with the types that its parameters are encoded for.
func (d *description) prepare(out []byte) ([]byte, error) {
	out, err := (&pgproto3.Parse{Name: d.name, Query: d.sql, ParameterOIDs: d.params}).Encode(out)
	if err != nil {
		return out, err
	}
	return (&pgproto3.Describe{ObjectType: 'S', Name: d.name}).Encode(out)
}

// farewell makes the server forget what was prepared here, and waits for its answer: so the session is left as it was found.
func (l *lane) farewell() error {
	l.out = l.out[:0]
	var err error
	for d := range l.prepared {
		if l.out, err = (&pgproto3.Close{ObjectType: 'S', Name: d.name}).Encode(l.out); err != nil {
			return err
		}
	}
	if l.out, err = (&pgproto3.Sync{}).Encode(l.out); err != nil {
		return err
	}
	l.sent <- goodbye
	if _, err = l.conn.Stream().Write(l.out); err != nil {
		return err
	}
	<-l.ended
	return nil
}

// clear finds a place for what is left of a lane that was lost: both goroutines have ended.
func (l *lane) clear(cause error) {
	if cause == nil {
		cause = errReaderEnded
	}
	var left, again []*request
	if r := l.reader.current; r != nil && r != goodbye {
		left = append(left, r)
	}
	for len(l.sent) > 0 {
		if r := <-l.sent; r != goodbye {
			left = append(left, r)
		}
	}
	for _, r := range left {
		switch {
		case r.unwritten:
			again = append(again, r)
		case r.repeatable: // on a connection of its own: another lane may be the next to be lost
			r.moved = true
			r.tell(sent)
		default:
			r.lost = cause
			r.tell(sent)
		}
	}
	l.group.putBack(again)
	for _, r := range l.batch { // it could not be encoded, which is no better on another lane
		r.moved = true
		r.tell(sent)
	}
}

// goodbye stands for the last messages of a lane among its requests.
var goodbye = new(request)

// panicked makes an error of a panic, and tells about it.
func (l *lane) panicked(v any) error {
	err := &PanicError{Value: v, Stack: debug.Stack()}
	l.group.cfg.Panicked(err)
	return err
}

// PanicError is a panic inside of a lane.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("multiplex: panic: %v", e.Value) }

// isFatal tells whether an error ends its session.
func isFatal(e *pgconn.PgError) bool {
	return e.SeverityUnlocalized == "FATAL" || e.SeverityUnlocalized == "PANIC"
}
