package fakepg

import (
	"maps"
	"slices"
	"time"
)

// Statement is one statement as the server began to run it.
type Statement struct {
	PID  uint32
	SQL  string // as it was sent, without the spaces around it
	Args []any  // its parameters, each as a text or nil
	At   time.Time
}

// facts is what the server has seen; Server.mu guards it.
type facts struct {
	dials      int // calls of Dial
	dialled    int // cancel requests that came through Dial
	cancels    int
	logIns     int
	peak       int
	startUps   map[uint32]map[string]string
	statements []Statement
}

// Dials counts the calls of Dial, refused and hanging ones included, less those that turned out to carry a cancel
// request.
func (s *Server) Dials() int {
	return read(s, func(f *facts) int { return f.dials - f.dialled })
}

// Cancels counts the cancel requests that arrived, whatever they hit.
func (s *Server) Cancels() int { return read(s, func(f *facts) int { return f.cancels }) }

// LogIns counts the start-ups that were completed.
func (s *Server) LogIns() int { return read(s, func(f *facts) int { return f.logIns }) }

// Connections counts the connections that are logged in. A statement that still runs keeps its connection, also when
// the client has gone.
func (s *Server) Connections() int {
	return len(s.PIDs())
}

// PeakConnections is the most that Connections ever was.
func (s *Server) PeakConnections() int { return read(s, func(f *facts) int { return f.peak }) }

// PIDs lists the connections that are logged in, oldest first.
func (s *Server) PIDs() []uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connected()
}

// connected is PIDs; s.mu is held.
func (s *Server) connected() []uint32 {
	var pids []uint32
	for pid, session := range s.backend {
		if !session.ended() { // one that was ended has gone, even if its goroutine has not yet
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// Parameters are the start-up parameters (user and database among them) that this PID logged in with; nil for an
// unknown one.
func (s *Server) Parameters(pid uint32) map[string]string {
	return read(s, func(f *facts) map[string]string { return maps.Clone(f.startUps[pid]) })
}

// Log lists every statement that the server began to run, in order. Parse alone is none.
func (s *Server) Log() []Statement {
	return read(s, func(f *facts) []Statement { return slices.Clone(f.statements) })
}

// Statements is Log without times and PIDs.
func (s *Server) Statements() []string {
	log := s.Log()
	texts := make([]string, len(log))
	for i, statement := range log {
		texts[i] = statement.SQL
	}
	return texts
}

func (s *Server) count(change func(*facts)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.facts)
}

func read[T any](s *Server, fact func(*facts) T) T {
	s.mu.Lock()
	defer s.mu.Unlock()
	return fact(&s.facts)
}
