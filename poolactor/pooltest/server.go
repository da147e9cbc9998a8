package pooltest

import (
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// Server is a PostgreSQL in memory. New makes one; the zero value is of no use. Its methods are safe from any goroutine
// and, but for Close, do not wait.
type Server struct {
	fake *fakepg.Server
	book book
}

// New returns a running server, which the caller closes.
func New() *Server {
	s := &Server{fake: fakepg.New()}
	s.fake.Script(s.book.find)
	return s
}

// Close kills every connection, refuses all further ones, and returns when every goroutine of the server has ended. The
// pool is closed before, or it goes on trying to connect.
func (s *Server) Close() { s.fake.Close() }

// Config returns a configuration of a pool that leads to this server, with every other field at its default. It is the
// caller's own to change. It panics if a PG* variable of the environment is such that pgx can make no configuration at all.
func (s *Server) Config() poolactor.Config {
	return poolactor.Config{
		ConnConfig: s.ConnConfig(), DialFunc: s.fake.Dial, CancelDialFunc: s.fake.CancelDial, LookupFunc: s.fake.Lookup,
	}
}

// ConnConfig returns a configuration of a single connection that leads to this server, for pgx or for another pool. It is
// the caller's own to change, and panics as Config does.
func (s *Server) ConnConfig() *pgx.ConnConfig { return s.fake.Config() }

// Statement is one statement as the server began to run it.
type Statement struct {
	PID  uint32    // the server process of its connection
	SQL  string    // as it was sent, without the spaces around it
	Args []any     // its arguments as the server prints them, each a string, or nil for null; empty if it has none
	At   time.Time // when it began
}

// Statements lists every statement that the server began to run since New, in order, the pool's own among them (BEGIN,
// COMMIT, checks). The result is the caller's.
func (s *Server) Statements() []Statement {
	log := s.fake.Log()
	statements := make([]Statement, len(log))
	for i, st := range log {
		statements[i] = Statement{PID: st.PID, SQL: st.SQL, Args: st.Args, At: st.At}
	}
	return statements
}

// Stat is what a server has counted since New.
type Stat struct {
	Dials       int // attempts to connect, those that were refused or hung included; cancel requests are not
	LogIns      int // connections that were let in
	Connections int // those of them that are open now
	Peak        int // the most that Connections ever was
	Cancels     int // cancel requests
	Statements  int // statements that began to run
}

// Stat returns the counters.
func (s *Server) Stat() Stat {
	return Stat{
		Dials: s.fake.Dials(), LogIns: s.fake.LogIns(), Connections: s.fake.Connections(),
		Peak: s.fake.PeakConnections(), Cancels: s.fake.Cancels(), Statements: len(s.fake.Log()),
	}
}
