package multiplex

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/stretchr/testify/require"
)

// answer is what a server in memory says to the execution of a statement.
type answer struct {
	rows    int           // of one text column
	wide    int           // bytes in each; 0: one
	takes   time.Duration // before it answers
	refuses string        // a code: it refuses when it executes
	atEnd   string        // a code: it refuses at Sync
	unbound string        // a code: it refuses at Bind
	unread  string        // a code: it refuses at Parse
	dies    bool          // it closes the connection instead of an answer
	leaves  byte          // the state of the transaction that ReadyForQuery tells; 0: idle
}

// memory is a server in memory, whose connections last as long as its test.
type memory struct {
	t       *testing.T
	mu      sync.Mutex
	answers map[string]answer // by text
	ran     []string          // texts, in the order in which they were executed
	parsed  map[string]int    // by text, over all connections
	lent    []*wire
	syncs   int
}

func (m *memory) on(sql string, a answer) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answers[sql] = a
}

func (m *memory) answer(sql string) answer {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.answers[sql]
}

func (m *memory) count(sql string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, s := range m.ran {
		if s == sql {
			n++
		}
	}
	return n
}

func (m *memory) prepared(sql string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.parsed[sql]
}

func (m *memory) wires() []*wire {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]*wire(nil), m.lent...)
}

// wire is one connection to it.
type wire struct {
	server   *memory
	near     net.Conn
	types    *pgtype.Map
	wanted   atomic.Bool
	deaf     atomic.Bool // what is written to it fails before a byte of it is sent
	cut      atomic.Bool // or after one
	refused  atomic.Int32
	returned chan error
	left     map[string]string // what the session has prepared; the server's until it is returned
}

func (w *wire) Stream() io.ReadWriter   { return w }
func (w *wire) Types() *pgtype.Map      { return w.types }
func (w *wire) Wanted() bool            { return w.wanted.Load() }
func (w *wire) Notice(*pgconn.Notice)   {}
func (w *wire) Refused(*pgconn.PgError) { w.refused.Add(1) }
func (w *wire) Sever()                  { _ = w.near.Close() }
func (w *wire) Return(err error)        { _ = w.near.Close(); w.returned <- err }

func (w *wire) Read(b []byte) (int, error) { return w.near.Read(b) }

func (w *wire) Write(b []byte) (int, error) {
	switch {
	case w.deaf.Load():
		return 0, io.ErrClosedPipe
	case w.cut.Load():
		n, _ := w.near.Write(b[:1])
		return n, io.ErrClosedPipe
	}
	return w.near.Write(b)
}

// dial connects.
func (m *memory) dial() *wire {
	near, far := net.Pipe()
	w := &wire{server: m, near: near, types: pgtype.NewMap(), returned: make(chan error, 1), left: map[string]string{}}
	m.mu.Lock()
	m.lent = append(m.lent, w)
	m.mu.Unlock()
	go w.serve(far)
	return w
}

// serve is the server's side: a reader and a writer, since neither must wait for the other.
func (w *wire) serve(far net.Conn) {
	in := make(chan pgproto3.FrontendMessage, 1<<16)
	go func() {
		defer close(in)
		backend := pgproto3.NewBackend(far, nil)
		for {
			msg, err := backend.Receive()
			if err != nil {
				return
			}
			in <- kept(msg)
		}
	}()
	defer func() { _ = far.Close() }()
	session := session{wire: w, to: pgproto3.NewBackend(nil, far)}
	for msg := range in {
		if !session.message(msg) {
			return
		}
	}
}

// kept is a message that the next one does not overwrite.
func kept(msg pgproto3.FrontendMessage) pgproto3.FrontendMessage {
	switch msg := msg.(type) {
	case *pgproto3.Parse:
		c := *msg
		return &c
	case *pgproto3.Bind:
		return &pgproto3.Bind{PreparedStatement: strings.Clone(msg.PreparedStatement)}
	case *pgproto3.Describe:
		c := *msg
		return &c
	case *pgproto3.Execute:
		c := *msg
		return &c
	case *pgproto3.Close:
		c := *msg
		return &c
	default:
		return msg
	}
}

type session struct {
	wire    *wire
	to      *pgproto3.Backend
	bound   string
	skips   bool   // until Sync
	atEnd   string // a code
	leaving byte
}

func (s *session) refuse(code string) bool {
	s.to.Send(&pgproto3.ErrorResponse{Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: code, Message: "no"})
	s.skips = true
	return true
}

// message answers one message; false: the connection ends.
func (s *session) message(msg pgproto3.FrontendMessage) bool {
	m := s.wire.server
	if _, end := msg.(*pgproto3.Sync); s.skips && !end {
		return true
	}
	switch msg := msg.(type) {
	case *pgproto3.Parse:
		m.mu.Lock()
		m.parsed[msg.Query]++
		m.mu.Unlock()
		if code := m.answer(msg.Query).unread; code != "" {
			return s.refuse(code)
		}
		if _, there := s.wire.left[msg.Name]; there {
			return s.refuse("42P05")
		}
		s.wire.left[msg.Name] = msg.Query
		s.to.Send(&pgproto3.ParseComplete{})
	case *pgproto3.Describe:
		n := strings.Count(s.wire.left[msg.Name], "$")
		oids := make([]uint32, n)
		for i := range oids {
			oids[i] = pgtype.TextOID
		}
		s.to.Send(&pgproto3.ParameterDescription{ParameterOIDs: oids})
		s.to.Send(&pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("text"), DataTypeOID: pgtype.TextOID}}})
	case *pgproto3.Bind:
		sql, there := s.wire.left[msg.PreparedStatement]
		if !there {
			return s.refuse("26000")
		}
		if code := m.answer(sql).unbound; code != "" {
			return s.refuse(code)
		}
		s.bound = sql
		s.to.Send(&pgproto3.BindComplete{})
	case *pgproto3.Execute:
		return s.execute(m.answer(s.bound), int(msg.MaxRows))
	case *pgproto3.Close:
		if code := m.answer("close").refuses; code != "" {
			return s.refuse(code)
		}
		delete(s.wire.left, msg.Name)
		s.to.Send(&pgproto3.CloseComplete{})
	case *pgproto3.Sync:
		if s.atEnd != "" && !s.skips {
			s.refuse(s.atEnd)
		}
		m.mu.Lock()
		m.syncs++
		m.mu.Unlock()
		state := byte('I')
		if s.leaving != 0 {
			state = s.leaving
		}
		s.skips, s.atEnd, s.leaving = false, "", 0
		s.to.Send(&pgproto3.ReadyForQuery{TxStatus: state})
		return s.to.Flush() == nil
	}
	return true
}

// execute answers with rows whose text is that of the statement: so an answer tells whose it is.
func (s *session) execute(a answer, most int) bool {
	m := s.wire.server
	m.mu.Lock()
	m.ran = append(m.ran, s.bound)
	m.mu.Unlock()
	time.Sleep(a.takes)
	switch {
	case a.dies:
		return false
	case a.refuses != "":
		return s.refuse(a.refuses)
	}
	s.atEnd, s.leaving = a.atEnd, a.leaves
	value := []byte(s.bound + strings.Repeat("x", a.wide))
	for i := range a.rows {
		if most > 0 && i == most {
			s.to.Send(&pgproto3.PortalSuspended{})
			return true
		}
		s.to.Send(&pgproto3.DataRow{Values: [][]byte{value}})
	}
	s.to.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")})
	return true
}

// inMemory runs a test in fake time, with a group whose connections go to a server in memory, and with a crowd of callers that
// run nothing but let there be lanes.
func inMemory(t *testing.T, most int, f func(t *testing.T, g *Group, m *memory)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := &memory{t: t, answers: map[string]answer{}, parsed: map[string]int{}}
		var crew sync.WaitGroup
		g := New(Config{
			Open:     func() (Connection, error) { return m.dial(), nil },
			Go:       func(f func()) bool { crew.Go(f); return true },
			Most:     func() int { return most },
			Crowded:  func() bool { return false },
			Panicked: func(err error) { t.Error(err) },
		})
		for range shareFrom {
			g.Enter()
		}
		_, err := g.Exec(t.Context(), one(g, "select"), Options{})
		require.ErrorIs(t, err, ErrElsewhere, "it opens a lane for its like")
		synctest.Wait()
		defer func() {
			for range shareFrom {
				g.Leave()
			}
			for _, w := range m.wires() {
				w.wanted.Store(true)
			}
			crew.Wait()
		}()
		f(t, g, m)
	})
}

// one is a statement that is known well enough to share.
func one(g *Group, sql string, args ...any) Statement {
	text := g.Text(sql)
	text.seen.Store(true)
	return Statement{Text: text, Args: args}
}

// texts are the rows of a statement.
func texts(ctx context.Context, g *Group, s Statement, o Options) ([]string, error) {
	rows, err := g.Query(ctx, s, o)
	if err != nil {
		return nil, err
	}
	var all []string
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

func code(t *testing.T, err error) string {
	t.Helper()
	var said *pgconn.PgError
	if !errors.As(err, &said) {
		t.Errorf("%v is no error of the server's", err)
		return ""
	}
	return said.Code
}
