package multiplex

import (
	"encoding/binary"
	"fmt"
	"io"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/stretchr/testify/require"
)

// tape is a connection whose server says what is on the tape, in pieces, and hangs up.
type tape struct {
	wire
	rest  []byte
	piece int
}

func (c *tape) Stream() io.ReadWriter { return c }
func (c *tape) Sever()                {}

func (c *tape) Read(b []byte) (int, error) {
	if len(c.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), c.piece)], c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// What is under way when the tape begins, one of each kind, in turns.
const (
	limitedRequest = iota
	preparingRequest
	batchRequest
	describingRequest
	repeatableRequest
	kindsOfRequests
)

// underWay makes requests as a writer leaves them for the reader.
func underWay(n int) []*request {
	var all []*request
	for i := range n {
		r := &request{done: make(chan struct{}, 1), kit: &kit{m: pgtype.NewMap()}}
		r.condition.Store(uint32(sent))
		d := newDescription(fmt.Sprint("statement ", i))
		kind := i % kindsOfRequests
		if kind != describingRequest {
			d.fields = []pgconn.FieldDescription{{Name: "text", DataTypeOID: pgtype.TextOID}}
			d.settle(r.kit.m)
		}
		parts := 1
		if kind == batchRequest {
			parts = 2
		}
		for range parts {
			p := r.add(&Text{sql: d.sql}, d)
			p.phase, p.limited = parsed, kind == limitedRequest
			if kind == preparingRequest || kind == describingRequest {
				p.phase, p.prepares = unseen, true
			}
		}
		r.describes, r.repeatable = kind == describingRequest, kind == repeatableRequest
		all = append(all, r)
	}
	return all
}

// answersTo is what a server says to them, and where each answer ends. A row has the text of its statement.
func answersTo(t testing.TB, requests []*request) (stream []byte, ends []int) {
	t.Helper()
	say := func(messages ...pgproto3.BackendMessage) {
		for _, m := range messages {
			var err error
			stream, err = m.Encode(stream)
			require.NoError(t, err)
		}
	}
	fields := &pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("text"), DataTypeOID: pgtype.TextOID}}}
	for i, r := range requests {
		if i%kindsOfRequests == preparingRequest || r.describes {
			say(&pgproto3.ParseComplete{}, &pgproto3.ParameterDescription{}, fields)
		}
		for _, p := range r.parts {
			if r.describes {
				break
			}
			say(&pgproto3.BindComplete{}, &pgproto3.DataRow{Values: [][]byte{[]byte(p.d.sql)}},
				&pgproto3.NoticeResponse{Severity: "NOTICE", Message: "by the way"},
				&pgproto3.DataRow{Values: [][]byte{[]byte(p.d.sql)}})
			if i%7 == 3 {
				say(&pgproto3.ErrorResponse{Severity: "ERROR", Code: "22012", Message: p.d.sql})
				break
			}
			say(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 2")})
		}
		say(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		ends = append(ends, len(stream))
	}
	return stream, ends
}

// FuzzReader holds a lane to its rules whatever its server says: nothing panics, every caller is told, once, and in order, and
// who is told of an answer has it to himself.
func FuzzReader(f *testing.F) {
	whole, ends := answersTo(f, underWay(20))
	f.Add(whole, uint8(0), uint8(255))
	f.Add(whole, uint8(0), uint8(1))
	for _, end := range ends {
		f.Add(binary.BigEndian.AppendUint16(nil, uint16(end)), uint8(1), uint8(7))
		f.Add(binary.BigEndian.AppendUint16(nil, uint16(end-1)), uint8(1), uint8(7))
		f.Add(append(binary.BigEndian.AppendUint16(nil, uint16(end-1)), 'I'^'T'), uint8(2), uint8(50))
	}
	f.Add([]byte{0, 0, '1' ^ 'E'}, uint8(2), uint8(3))
	f.Add([]byte{0, 0, '1' ^ 'Z', 0, 4, 255}, uint8(2), uint8(3))
	f.Add([]byte("D\x00\x04\x10\x00"), uint8(0), uint8(3))
	f.Add([]byte("2\x00\x00\x00\x04D\x00\x00\x00\x06\xff\xffC\x00\x00\x00\x05\x00Z\x00\x00\x00\x05I"), uint8(0), uint8(3))
	f.Add([]byte("2\x00\x00\x00\x04D\x00\x00\x00\x06\x00\x00C\x00\x00\x00\x05\x00Z\x00\x00\x00\x05I"), uint8(0), uint8(9))
	f.Add([]byte("T\x00\x00\x00\x06\x00\x00n\x00\x00\x00\x04G\x00\x00\x00\x04"), uint8(0), uint8(9))
	f.Add(append([]byte("2\x00\x00\x00\x04C\x40\x00\x00\x00"), make([]byte, 2*readBuffer)...), uint8(0), uint8(255))
	f.Add([]byte("2\x00\x00\x00\x04Z\x00\x00\x00\x05I"), uint8(0), uint8(9))
	f.Add([]byte("E\x00\x00\x00\x11SFATAL\x00C57P01\x00\x00"), uint8(0), uint8(9))
	f.Fuzz(func(t *testing.T, input []byte, mode, piece uint8) {
		requests := underWay(20)
		stream, ends := answersTo(t, requests)
		told, honest := 0, mode%3 == 1
		switch mode % 3 {
		case 0: // anything
			stream = append([]byte(nil), input...)
		case 1: // what a server says, until its connection is lost
			if len(input) >= 2 {
				stream = stream[:int(binary.BigEndian.Uint16(input))%(len(stream)+1)]
			}
			for _, end := range ends {
				if end <= len(stream) {
					told++
				}
			}
		case 2: // the same with faults
			for ; len(input) >= 3; input = input[3:] {
				stream[int(binary.BigEndian.Uint16(input))%len(stream)] ^= input[2]
			}
		}
		size := len(stream)
		g := New(Config{Panicked: func(err error) { t.Error(err) }})
		l := newLane(g, &tape{rest: stream, piece: int(piece) + 1})
		for _, r := range requests {
			l.sent <- r
		}
		l.reader.run()
		require.Error(t, l.reader.err)
		require.LessOrEqual(t, len(l.reader.buf), 4*(size+readBuffer), "a length that is only said takes no memory")
		l.clear(l.reader.err)
		answers := int(l.answers.Load())
		for i, r := range requests {
			require.Len(t, r.done, 1, i)
			require.True(t, r.is(answered), i)
			settled := r.lost == nil && !r.moved
			require.Equal(t, i < answers, settled, "answers come in order")
			require.Equal(t, !settled && r.repeatable, r.moved)
			for j := range r.parts {
				if settled {
					require.True(t, r.parts[j].phase == finished || refusedIn(r), "it is not answered")
					look(t, r, &r.parts[j], honest)
				}
			}
		}
		if honest {
			require.Equal(t, told, answers)
		}
	})
}

// refusedIn tells whether the server has refused something of a request.
func refusedIn(q *request) bool {
	for i := range q.parts {
		if q.parts[i].err != nil {
			return true
		}
	}
	return q.failed != nil
}

// look reads an answer as a caller does.
func look(t *testing.T, r *request, p *part, honest bool) {
	for _, read := range []func(*Rows) ([]any, error){
		(*Rows).Values,
		func(r *Rows) ([]any, error) {
			var text string
			err := r.Scan(&text)
			return []any{text}, err
		},
	} {
		rows := newRows(r, p, nil, nil)
		for rows.Next() {
			values, err := read(rows)
			if honest {
				require.NoError(t, err)
				require.Equal(t, []any{p.d.sql}, values, "it is another's")
			}
		}
		if honest {
			require.NoError(t, rows.Err())
		}
	}
	if honest && p.err != nil {
		require.Equal(t, p.d.sql, p.err.Message)
	}
}
