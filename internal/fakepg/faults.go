package fakepg

import "time"

// Stop refuses every dial from now on and kills every connection: its end is EOF, without a word. It ends a freeze.
func (s *Server) Stop() { s.kill(stopped) }

// StopBehindProxy is a Stop behind something that stays up, as docker-proxy does: dials are accepted, and then nothing
// answers. What was dialled meanwhile is never answered, also not after Start.
func (s *Server) StopBehindProxy() { s.kill(behindProxy) }

// Start ends Stop and StopBehindProxy.
func (s *Server) Start() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mode == stopped || s.mode == behindProxy {
		s.mode = serving
		s.announce()
	}
}

// Terminate ends every connection as an administrator or a crash would: FATAL with this SQLSTATE (57P01, 57P02, 57P05),
// then EOF. Dials are still accepted.
func (s *Server) Terminate(code string) {
	for _, session := range s.everySession() {
		session.terminate(code)
	}
}

// TerminateOne is Terminate for the connection with this PID. An unknown one changes nothing.
func (s *Server) TerminateOne(pid uint32, code string) {
	if session := s.find(pid); session != nil {
		session.terminate(code)
	}
}

// Kill ends the connection with this PID: EOF, without a word. An unknown one changes nothing.
func (s *Server) Kill(pid uint32) {
	if session := s.find(pid); session != nil {
		session.end()
	}
}

// Freeze makes a black hole of the server: connections swallow what is sent, dials hang, nothing answers, until Thaw.
// What was sent meanwhile is then answered.
func (s *Server) Freeze() { s.setFrozen(true) }

// Thaw ends Freeze.
func (s *Server) Thaw() { s.setFrozen(false) }

// Refuse answers every start-up with FATAL and this SQLSTATE, after the password was asked for, as PostgreSQL does for
// most of its reasons. An empty code ends it.
func (s *Server) Refuse(code, message string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusal = nil
	if code != "" {
		s.refusal = fatal(code, message)
	}
}

// RefuseParameter answers every start-up that carries this parameter with FATAL and this SQLSTATE: 42704 for a name that
// an older server does not know, 22023 for a value it does not take. An empty code ends it.
func (s *Server) RefuseParameter(name, code string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.refusedParams, name)
	if code != "" {
		s.refusedParams[name] = code
	}
}

// RequirePassword asks every start-up for a password, in clear text, and refuses any other than this with 28P01.
func (s *Server) RequirePassword(password string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.password = &password
}

// Standby says whether the server is one: in_hot_standby changes on every connection with its next answer, and
// pg_is_in_recovery() tells. It refuses no statement.
func (s *Server) Standby(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.standby = on
}

// Delay makes each log-in, each Query and each extended round trip take d before it begins to be answered. A cancel
// request ends the wait with 57014. Zero ends the delay.
func (s *Server) Delay(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delay = d
}

// DelayCancels makes a cancel request hit d after it came, whatever the connection does by then.
func (s *Server) DelayCancels(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cancelDelay = d
}

// kill changes the mode, ends a freeze, and ends every connection.
func (s *Server) kill(to mode) {
	s.mu.Lock()
	if s.mode != closed {
		s.mode = to
	}
	s.frozen = false
	s.announce()
	s.mu.Unlock()
	for _, session := range s.everySession() {
		session.end()
	}
}

func (s *Server) setFrozen(frozen bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mode != closed && s.frozen != frozen {
		s.frozen = frozen
		s.announce()
	}
}

// announce wakes all that wait for the server to change; s.mu is held.
func (s *Server) announce() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// thawed returns nil if nothing is frozen, else a channel that says when to ask again.
func (s *Server) thawed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.frozen {
		return nil
	}
	return s.changed
}

func (s *Server) everySession() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	sessions := make([]*session, 0, len(s.open))
	for session := range s.open {
		sessions = append(sessions, session)
	}
	return sessions
}

func (s *Server) find(pid uint32) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.backend[pid]
}
