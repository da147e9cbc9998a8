package multiplex

import (
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgtype"
)

// maxRows is how many rows are asked for of a statement that can be read again elsewhere, and maxBytes how many bytes of
// them are kept: enough for a page of a list, and nothing that a neighbour would notice.
const (
	maxRows  = 256
	maxBytes = 256 << 10
)

// condition is how far a request has come. It is the only word between a caller that gives up, the writer and the reader:
// each step is a compare-and-swap, and whoever gives up first owns nothing any more.
type condition uint32

const (
	queued    condition = iota // in the queue: nothing of it was written
	sent                       // on its way: perhaps on the wire
	answered                   // with its caller again, who may look at everything in it
	abandoned                  // its caller has left
)

// request is one statement, or several that are one transaction, on its way through a lane. Between the caller's hand-over
// and answered, it belongs to the queue, the writer or the reader; the condition says to whom.
type request struct {
	condition atomic.Uint32
	done      chan struct{} // gets one value with answered

	parts []part
	wire  []byte // the messages of all parts, without Sync
	// describes: it only asks the server what its one statement is like.
	describes bool
	// repeatable: it can be sent again if it is lost.
	repeatable bool

	// What has become of it. moved: nothing that counts, it is to go elsewhere. lost: it was sent, and nobody can tell. failed: all parts were
	// answered, and then their transaction could not be committed.
	moved  bool
	lost   error
	failed *pgconn.PgError

	writtenAt time.Time
	unwritten bool // not a byte of it was

	kit *kit
}

// kit is what encodes and decodes for one caller at a time.
type kit struct {
	types   *types
	m       *pgtype.Map
	builder pgx.ExtendedQueryBuilder
}

// part is one statement of a request.
type part struct {
	text   *Text
	d      *description
	from   int // where its messages begin in wire
	fields []pgconn.FieldDescription
	// limited: its rows may be thrown away, because it can be read again.
	limited bool

	// prepares: the lane has prepared the statement with this request.
	prepares bool

	phase phase
	rows  []byte // the bodies of DataRow messages, one behind the other
	count int
	tag   string
	err   *pgconn.PgError
	over  bool // it has more rows than are kept
}

// phase is how far the server has come with a part.
type phase uint8

const (
	unseen phase = iota
	parsed
	bound
	finished
)

func (r *request) swap(from, to condition) bool {
	return r.condition.CompareAndSwap(uint32(from), uint32(to))
}

func (r *request) is(c condition) bool { return condition(r.condition.Load()) == c }

// tell gives the request back to its caller, if that still waits.
func (r *request) tell(from condition) {
	if r.swap(from, answered) {
		r.done <- struct{}{}
	}
}

// move tells the caller of a request in the queue that nothing will become of it here.
func (r *request) move() {
	if r.swap(queued, answered) {
		r.moved = true
		r.done <- struct{}{}
	}
}

// reset makes a request ready for its next use.
func (r *request) reset() {
	r.condition.Store(uint32(queued))
	r.wire = r.wire[:0]
	for i := range r.parts {
		rows := r.parts[i].rows[:0]
		if cap(rows) > maxBytes/4 {
			rows = nil
		}
		r.parts[i] = part{rows: rows}
	}
	r.parts = r.parts[:0]
	if cap(r.wire) > maxBytes/4 {
		r.wire = nil
	}
	r.describes, r.repeatable = false, false
	r.moved, r.lost, r.failed, r.unwritten = false, nil, nil, false
}

// add gives the request one more part, which keeps the memory of an earlier use.
func (r *request) add(text *Text, d *description) *part {
	if len(r.parts) < cap(r.parts) {
		r.parts = r.parts[:len(r.parts)+1]
	} else {
		r.parts = append(r.parts, part{})
	}
	p := &r.parts[len(r.parts)-1]
	rows := p.rows[:0]
	*p = part{text: text, d: d, from: len(r.wire), rows: rows}
	return p
}

// rewind forgets what a lost lane has brought of the answer.
func (r *request) rewind() {
	r.failed, r.unwritten = nil, false
	for i := range r.parts {
		p := &r.parts[i]
		*p = part{text: p.text, d: p.d, from: p.from, limited: p.limited, rows: p.rows[:0]}
	}
}

// bind appends the messages that run a statement with these arguments. Errors are those of pgx's encoder.
func (r *request) bind(text *Text, d *description, args []any, limited bool) error {
	if err := r.kit.builder.Build(r.kit.m, &d.sd, args); err != nil {
		return err
	}
	p := r.add(text, d)
	p.limited = limited
	bind := pgproto3.Bind{
		PreparedStatement:    d.name,
		ParameterFormatCodes: r.kit.builder.ParamFormats,
		Parameters:           r.kit.builder.ParamValues,
		ResultFormatCodes:    d.formats,
	}
	wire, err := bind.Encode(r.wire)
	if err != nil {
		return err
	}
	execute := pgproto3.Execute{}
	if limited {
		execute.MaxRows = maxRows
	}
	if wire, err = execute.Encode(wire); err != nil {
		return err
	}
	r.wire = wire
	return nil
}

// end is where the messages of part i end in wire.
func (r *request) end(i int) int {
	if i+1 < len(r.parts) {
		return r.parts[i+1].from
	}
	return len(r.wire)
}
