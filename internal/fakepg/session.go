package fakepg

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgtype"
)

// errEnded says that the connection is over; there is nobody to tell it to.
var errEnded = errors.New("fakepg: the connection has ended")

// session is one connection as the server sees it. Its goroutine runs run and owns every field, but for those that say
// otherwise.
type session struct {
	server     *Server
	socket     *socket // the server's end; end may close it from any goroutine
	wire       *pgproto3.Backend
	counted    bool // it was dialled with Dial, not with CancelDial
	unanswered bool // something in front of the server took the dial and says nothing

	gone    chan struct{} // closed by end
	endOnce sync.Once

	pid      uint32 // set when it logs in, under Server.mu
	key      []byte // likewise
	busy     atomic.Bool
	canceled chan struct{} // a cancel request hit while busy; room for one

	inBatch  bool // a round trip has begun and was not answered with ReadyForQuery
	skipping bool // an extended round trip failed: everything up to Sync is ignored

	types      *pgtype.Map // for scripted values; nil until one comes
	settings   settings
	prepared   map[string]*statement
	portals    map[string]*portal
	txStatus   byte
	wasStandby bool // what the client was last told
}

func newSession(server *Server, socket *socket) *session {
	return &session{
		server:   server,
		socket:   socket,
		wire:     pgproto3.NewBackend(socket, socket),
		gone:     make(chan struct{}),
		canceled: make(chan struct{}, 1),
		prepared: make(map[string]*statement),
		portals:  make(map[string]*portal),
		txStatus: 'I',
	}
}

// run serves the connection until it ends.
func (s *session) run() {
	defer s.server.leave(s)
	defer s.end()
	if s.unanswered {
		s.swallow()
		return
	}
	if s.logIn() != nil {
		return
	}
	for s.serveMessage() == nil {
	}
}

// end closes the connection; any goroutine, any time, idempotent.
func (s *session) end() { s.endWith(nil) }

// terminate says why before it closes; any goroutine.
func (s *session) terminate(code string) {
	reason := fatal(code, terminationText(code))
	if last, err := reason.response().Encode(nil); err == nil {
		s.endWith(last)
	}
}

func (s *session) endWith(last []byte) {
	s.endOnce.Do(func() {
		s.socket.closeWith(last)
		close(s.gone)
	})
}

func (s *session) ended() bool {
	select {
	case <-s.gone:
		return true
	default:
		return false
	}
}

// swallow reads and says nothing until one of both ends closes.
func (s *session) swallow() {
	buffer := make([]byte, 512)
	for {
		if _, err := s.socket.Read(buffer); err != nil {
			return
		}
	}
}

// serveMessage takes one message and does what it asks. An error ends the session.
func (s *session) serveMessage() error {
	message, err := s.wire.Receive()
	if err != nil {
		return err
	}
	if err := s.whileThawed(); err != nil {
		return err
	}
	switch message.(type) {
	case *pgproto3.Terminate:
		return errEnded
	case *pgproto3.CopyData, *pgproto3.CopyDone, *pgproto3.CopyFail:
		return nil // of a COPY that has failed
	}
	problem := s.beginBatch()
	if problem == nil && !s.skipping {
		problem = s.obey(message)
	}
	if problem != nil {
		if err := s.report(problem, message); err != nil {
			return err
		}
	}
	switch message.(type) {
	case *pgproto3.Query, *pgproto3.Sync:
		s.skipping = false
		return s.ready()
	case *pgproto3.Flush:
		return s.flush()
	}
	return nil
}

// obey does what one message asks.
func (s *session) obey(message pgproto3.FrontendMessage) error {
	switch m := message.(type) {
	case *pgproto3.Query:
		return s.query(m.String)
	case *pgproto3.Parse:
		return s.parse(m)
	case *pgproto3.Bind:
		return s.bind(m)
	case *pgproto3.Describe:
		return s.describe(m)
	case *pgproto3.Execute:
		return s.execute(m)
	case *pgproto3.Close:
		return s.closeNamed(m)
	case *pgproto3.Sync, *pgproto3.Flush:
		return nil
	default:
		return fatal("08P01", "this message is not understood here")
	}
}

// query runs the statements of a simple Query until one fails.
func (s *session) query(text string) error {
	pieces := split(text)
	if len(pieces) == 0 {
		s.wire.Send(&pgproto3.EmptyQueryResponse{})
		return nil
	}
	for _, piece := range pieces {
		statement, err := s.understand(piece, nil)
		if err != nil {
			return err
		}
		if columns := statement.columns; columns != nil {
			s.wire.Send(rowDescription(columns, nil))
		}
		if err := s.perform(statement, nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// beginBatch begins a round trip, if none is under way: from here on a cancel request hits, and the delay is waited.
func (s *session) beginBatch() error {
	if s.inBatch {
		return nil
	}
	s.inBatch = true
	select {
	case <-s.canceled: // it came too late for what it was meant for
	default:
	}
	s.busy.Store(true)
	return s.pause(s.server.currentDelay())
}

// ready ends a round trip.
func (s *session) ready() error {
	s.busy.Store(false)
	s.inBatch = false
	if standby := s.server.isStandby(); standby != s.wasStandby {
		s.wasStandby = standby
		s.wire.Send(&pgproto3.ParameterStatus{Name: "in_hot_standby", Value: onOff(standby)})
	}
	s.wire.Send(&pgproto3.ReadyForQuery{TxStatus: s.txStatus})
	return s.flush()
}

// report tells the client of a failure. It returns an error if that ends the session.
func (s *session) report(problem error, message pgproto3.FrontendMessage) error {
	var reason *failure
	if !errors.As(problem, &reason) {
		return problem
	}
	s.wire.Send(reason.response())
	if reason.severity == "FATAL" {
		_ = s.flush() // it is over either way
		return errEnded
	}
	if s.txStatus == 'T' {
		s.txStatus = 'E'
	}
	if _, simple := message.(*pgproto3.Query); !simple {
		s.skipping = true
	}
	return nil
}

// flush sends what was answered, once nothing is frozen.
func (s *session) flush() error {
	if err := s.whileThawed(); err != nil {
		return err
	}
	return s.wire.Flush()
}

// whileThawed waits while the server is frozen.
func (s *session) whileThawed() error {
	for {
		changed := s.server.thawed()
		if changed == nil {
			return nil
		}
		select {
		case <-changed:
		case <-s.gone:
			return errEnded
		}
	}
}

// pause takes time as a statement does: a cancel request and statement_timeout end it with 57014.
func (s *session) pause(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	limit := s.settings.duration("statement_timeout")
	late := limit > 0 && limit < d
	if late {
		d = limit
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-s.gone:
		return errEnded
	case <-s.canceled:
		return failed("57014", "canceling statement due to user request")
	case <-timer.C:
		if late {
			return failed("57014", "canceling statement due to statement timeout")
		}
		return nil
	}
}

func (s *Server) currentDelay() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.delay
}

func (s *Server) isStandby() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.standby
}

// failure is an error as it is told to a client.
type failure struct {
	severity, code, message string
	more                    pgconn.PgError // of a scripted one: what else is told; severity, code and message are above
}

func failed(code, message string) *failure {
	return &failure{severity: "ERROR", code: code, message: message}
}

func fatal(code, message string) *failure {
	return &failure{severity: "FATAL", code: code, message: message}
}

func (f *failure) Error() string { return f.severity + " " + f.code + ": " + f.message }

func (f *failure) response() *pgproto3.ErrorResponse {
	return &pgproto3.ErrorResponse{
		Severity:            f.severity,
		SeverityUnlocalized: f.severity,
		Code:                f.code,
		Message:             f.message,
		Detail:              f.more.Detail,
		Hint:                f.more.Hint,
		Position:            f.more.Position,
		Where:               f.more.Where,
		SchemaName:          f.more.SchemaName,
		TableName:           f.more.TableName,
		ColumnName:          f.more.ColumnName,
		DataTypeName:        f.more.DataTypeName,
		ConstraintName:      f.more.ConstraintName,
	}
}

// terminationText is what PostgreSQL says with the codes that end a connection.
func terminationText(code string) string {
	switch code {
	case "57P01":
		return "terminating connection due to administrator command"
	case "57P02":
		return "terminating connection because of crash of another server process"
	case "57P05":
		return "terminating connection due to idle-session timeout"
	default:
		return "terminating connection (" + strings.ToUpper(code) + ")"
	}
}
