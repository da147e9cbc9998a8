package multiplex

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

const (
	readBuffer = 64 << 10
	// largest is what a message has at most: the server's own limit.
	largest = 1<<30 + 1<<10
	// slow is how long a statement may keep its neighbours waiting before its text goes elsewhere.
	slow = 100 * time.Millisecond
)

// reader reads what the server sends on a lane, and sorts it into the requests. It waits for nobody but the server.
type reader struct {
	lane *lane
	err  error // why it ended; nil: in order
	// changed: the server has told of something that pgx would have taken note of.
	changed bool

	current *request // whose answer comes now
	at      int      // the part whose answer comes now
	failed  bool     // the rest of the request is skipped by the server
	bye     bool     // the farewell was answered

	buf       []byte
	from, to  int // what was read and not looked at
	skip      int // so many bytes are thrown away
	now       time.Time
	headSince time.Time // when the server could begin with what is current

	// fields are those of statements that this connection describes otherwise than the one that described it first.
	fields map[*description][]pgconn.FieldDescription
}

// run reads until the connection ends, or the farewell was answered.
func (r *reader) run() {
	defer close(r.lane.ended)
	defer func() {
		if v := recover(); v != nil {
			r.err = r.lane.panicked(v)
		}
		if r.err != nil {
			r.lane.conn.Sever() // the writer may be in the middle of something
		}
	}()
	r.err = r.read()
}

func (r *reader) read() error {
	r.buf = make([]byte, readBuffer)
	for {
		if err := r.messages(); err != nil || r.bye {
			return err
		}
		r.lane.drained()
		r.makeRoom()
		n, err := r.lane.conn.Stream().Read(r.buf[r.to:])
		r.now = time.Now()
		r.to += n
		if err != nil {
			if err := r.messages(); err != nil { // the server's own reason comes first
				return err
			}
			return err
		}
	}
}

// messages looks at every message that is there as a whole.
func (r *reader) messages() error {
	for !r.bye {
		if r.skip > 0 {
			n := min(r.skip, r.to-r.from)
			r.skip -= n
			r.from += n
		}
		if r.to-r.from < 5 {
			return nil
		}
		head := r.buf[r.from:r.to]
		length := binary.BigEndian.Uint32(head[1:])
		if length < 4 || length > largest {
			return fmt.Errorf("multiplex: a message of %d bytes", length)
		}
		whole := int(length) + 1
		if whole > len(head) {
			r.skipRow(head[0], whole)
			if r.skip > 0 {
				continue
			}
			return nil
		}
		if err := r.message(head[0], head[5:whole]); err != nil {
			return err
		}
		r.from += whole
	}
	return nil
}

// skipRow throws a row away that is larger than what is kept, if that may be done.
func (r *reader) skipRow(kind byte, whole int) {
	if kind != 'D' || whole <= maxBytes || r.current == nil || r.at >= len(r.current.parts) {
		return
	}
	if p := &r.current.parts[r.at]; p.limited {
		p.over = true
		r.skip = whole
	}
}

// makeRoom sees to it that there is room in the buffer for more of the next message: for all of it if that is not much, else
// for as much again as has come, since a length is only what somebody says.
func (r *reader) makeRoom() {
	if r.from == r.to {
		r.from, r.to = 0, 0
		if cap(r.buf) > 16*readBuffer {
			r.buf = make([]byte, readBuffer)
		}
		return
	}
	need := 5
	if rest := r.buf[r.from:r.to]; len(rest) >= 5 {
		need = int(binary.BigEndian.Uint32(rest[1:])) + 1
	}
	if r.from > 0 && (r.from+need > len(r.buf) || r.to == len(r.buf)) {
		r.to = copy(r.buf, r.buf[r.from:r.to])
		r.from = 0
	}
	if need > len(r.buf) && r.to == len(r.buf) {
		buf := make([]byte, min(need, 2*len(r.buf))+readBuffer)
		r.to = copy(buf, r.buf[r.from:r.to])
		r.from, r.buf = 0, buf
	}
}

var (
	errUnexpected  = errors.New("multiplex: the server answers what was not asked")
	errTransaction = errors.New("multiplex: a statement has left a transaction open")
	errCopy        = errors.New("multiplex: a statement wants to copy")
)

// message takes one message in.
func (r *reader) message(kind byte, body []byte) error {
	switch kind {
	case 'N':
		if e, err := decodeError(body); err == nil {
			r.lane.conn.Notice((*pgconn.Notice)(e))
		}
		return nil
	case 'S', 'A': // a setting, a notification
		r.changed = true
		return nil
	case 'E':
		e, err := decodeError(body)
		switch {
		case err != nil:
			return err
		case isFatal(e):
			return e
		}
		return r.refused(e)
	}
	if !r.begun() {
		return errUnexpected
	}
	switch kind {
	case 'Z':
		return r.ready(body)
	case '3': // CloseComplete
		return nil
	case 'G', 'H', 'W':
		return errCopy
	}
	if r.at >= len(r.current.parts) {
		return errUnexpected
	}
	return r.partial(&r.current.parts[r.at], kind, body)
}

// begun makes the oldest request current that was not answered, if there is none already.
func (r *reader) begun() bool {
	if r.current != nil {
		return true
	}
	select {
	case r.current = <-r.lane.sent:
		r.at, r.failed = 0, false
		return true
	default:
		return false
	}
}

// partial takes in what belongs to one statement.
func (r *reader) partial(p *part, kind byte, body []byte) error {
	switch kind {
	case '1':
		p.phase = parsed
	case 't':
		if r.current.describes {
			return p.d.readParams(body)
		}
	case 'T', 'n':
		return r.described(p, kind, body)
	case '2':
		p.phase = bound
		if p.fields = p.d.fields; p.fields == nil {
			p.fields = noFields
		}
		if own, differs := r.fields[p.d]; differs {
			p.fields = own
		}
	case 'D':
		r.row(p, body)
	case 'C':
		if n := len(body) - 1; n >= 0 {
			p.tag = p.text.commandTag(body[:n])
		}
		r.finish(p)
	case 's':
		p.over = true
		r.finish(p)
	case 'I':
		r.finish(p)
	default:
		return errUnexpected
	}
	return nil
}

// noFields are those of a statement without a result, which pgx does not call nil.
var noFields = []pgconn.FieldDescription{}

func (r *reader) finish(p *part) {
	p.phase = finished
	r.at++
}

func (r *reader) row(p *part, body []byte) {
	switch {
	case p.over && p.limited:
	case p.limited && len(p.rows)+len(body) > maxBytes:
		p.over = true
	default:
		p.rows = append(p.rows, body...)
		p.count++
	}
}

// described takes in what the rows of a statement are like.
func (r *reader) described(p *part, kind byte, body []byte) error {
	var fields []pgconn.FieldDescription
	if kind == 'T' {
		var err error
		if fields, err = readFields(body); err != nil {
			return err
		}
	}
	if r.current.describes {
		p.d.fields = fields
		r.finish(p)
		return nil
	}
	same := len(fields) == len(p.d.fields)
	for i := range fields {
		if i < len(p.d.formats) {
			fields[i].Format = p.d.formats[i]
		}
		same = same && fields[i] == p.d.fields[i]
	}
	if !same {
		if r.fields == nil {
			r.fields = make(map[*description][]pgconn.FieldDescription)
		}
		r.fields[p.d] = fields
	}
	return nil
}

// refused takes in an error of the server's, after which it skips the rest of the request.
func (r *reader) refused(e *pgconn.PgError) error {
	if !r.begun() {
		return errUnexpected
	}
	if r.current == goodbye {
		return e // the session is not as it was found
	}
	r.lane.conn.Refused(e)
	r.failed = true
	if r.at < len(r.current.parts) {
		r.current.parts[r.at].err = e
	} else {
		r.current.failed = e
	}
	return nil
}

// ready ends a request: only now its outcome is known.
func (r *reader) ready(body []byte) error {
	q := r.current
	if q == goodbye {
		r.bye = true
		return nil
	}
	if len(body) != 1 || body[0] != 'I' {
		return errTransaction
	}
	if !r.failed && r.at < len(q.parts) {
		return errUnexpected
	}
	began := q.writtenAt
	if r.headSince.After(began) {
		began = r.headSince
	}
	if r.now.Sub(began) > slow {
		for i := range q.parts {
			q.parts[i].text.avoid()
		}
	}
	r.headSince = r.now
	r.lane.answered(r.now.Sub(q.writtenAt))
	r.current = nil
	q.tell(sent) // nothing of it may be touched any more
	return nil
}

// answered counts an answer that took this long.
func (l *lane) answered(took time.Duration) {
	l.answers.Add(1)
	if shortest := l.trip.Load(); shortest == 0 || int64(took) < shortest {
		l.trip.Store(max(int64(took), 1))
	}
	l.underWay.Add(-1)
}

// drained wakes the writer if it rests and there is something to do for it.
func (l *lane) drained() {
	if !l.parked.Load() {
		return
	}
	if l.group.length.Load() > 0 || l.state.Load() == laneEnding {
		l.kick()
	}
}

func decodeError(body []byte) (*pgconn.PgError, error) {
	var m pgproto3.ErrorResponse
	if err := m.Decode(body); err != nil {
		return nil, fmt.Errorf("multiplex: %w", err)
	}
	return pgconn.ErrorResponseToPgError(&m), nil
}

func (d *description) readParams(body []byte) error {
	var m pgproto3.ParameterDescription
	if err := m.Decode(body); err != nil {
		return fmt.Errorf("multiplex: %w", err)
	}
	d.params = m.ParameterOIDs
	return nil
}

func readFields(body []byte) ([]pgconn.FieldDescription, error) {
	var m pgproto3.RowDescription
	if err := m.Decode(body); err != nil {
		return nil, fmt.Errorf("multiplex: %w", err)
	}
	fields := make([]pgconn.FieldDescription, len(m.Fields))
	for i, f := range m.Fields {
		fields[i] = pgconn.FieldDescription{
			Name: string(f.Name), TableOID: f.TableOID, TableAttributeNumber: f.TableAttributeNumber,
			DataTypeOID: f.DataTypeOID, DataTypeSize: f.DataTypeSize, TypeModifier: f.TypeModifier, Format: f.Format,
		}
	}
	return fields, nil
}
