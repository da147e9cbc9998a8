package pooltest

import "time"

// Stop is the beginning of an outage: every connection ends without a word, and further ones are refused, until Start. It
// ends a Freeze.
func (s *Server) Stop() { s.fake.Stop() }

// StopBehindProxy is a Stop behind something that stays up, as a load balancer does: connections are accepted, and then
// nothing answers on them, also not after Start.
func (s *Server) StopBehindProxy() { s.fake.StopBehindProxy() }

// Start ends Stop and StopBehindProxy.
func (s *Server) Start() { s.fake.Start() }

// Kill ends every connection without a word, as a broken network or kill -9 does. New ones are accepted.
func (s *Server) Kill() {
	for _, pid := range s.fake.PIDs() {
		s.fake.Kill(pid)
	}
}

// Terminate ends every connection with a FATAL error of this SQLSTATE: 57P01 as an administrator does it, 57P02 as after
// the crash of another process, 57P05 as for one that was idle for too long. New ones are accepted.
func (s *Server) Terminate(code string) { s.fake.Terminate(code) }

// Freeze makes everything hang, attempts to connect included, until Thaw. What was sent meanwhile is then answered.
func (s *Server) Freeze() { s.fake.Freeze() }

// Thaw ends Freeze.
func (s *Server) Thaw() { s.fake.Thaw() }

// Delay makes each log-in and each round trip take d before it begins to be answered. A cancel request ends the wait of a
// statement with 57014. 0 ends the delay.
func (s *Server) Delay(d time.Duration) { s.fake.Delay(d) }

// Refuse turns every log-in away with a FATAL error of this SQLSTATE and message: 28P01 for a wrong password, 3D000 for a
// database that does not exist, 53300 for too many clients, 57P03 for a server that is starting. What is connected stays.
// An empty code ends it.
func (s *Server) Refuse(code, message string) { s.fake.Refuse(code, message) }

// RequirePassword asks every log-in for a password from now on, and turns away any other than this one with 28P01. What
// is connected stays.
func (s *Server) RequirePassword(password string) { s.fake.RequirePassword(password) }
