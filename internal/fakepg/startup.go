package fakepg

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// logIn leads a new connection to its first ReadyForQuery. An error ends the session.
func (s *session) logIn() error {
	message, err := s.startUpMessage()
	if err != nil {
		return err
	}
	// The message is the decoder's own and valid until its next one only.
	version, parameters := message.ProtocolVersion, maps.Clone(message.Parameters)
	if err := s.pause(s.server.currentDelay()); err != nil {
		return err
	}
	if version != pgproto3.ProtocolVersion30 {
		s.wire.Send(&pgproto3.NegotiateProtocolVersion{})
	}
	if reason := s.admit(parameters); reason != nil {
		return s.report(reason, nil)
	}
	s.settings = startSettings(parameters)
	if !s.server.register(s, parameters) {
		return errEnded
	}
	s.wire.Send(&pgproto3.AuthenticationOk{})
	s.wasStandby = s.server.isStandby()
	for _, status := range s.statuses(parameters["user"]) {
		s.wire.Send(&status)
	}
	s.wire.Send(&pgproto3.BackendKeyData{ProcessID: s.pid, SecretKey: s.key})
	return s.ready()
}

// startUpMessage answers encryption requests with no, carries out a cancel request, and returns what logs in.
func (s *session) startUpMessage() (*pgproto3.StartupMessage, error) {
	for {
		message, err := s.wire.ReceiveStartupMessage()
		if err != nil {
			return nil, err
		}
		if err := s.whileThawed(); err != nil {
			return nil, err
		}
		switch m := message.(type) {
		case *pgproto3.StartupMessage:
			return m, nil
		case *pgproto3.CancelRequest:
			s.cancelOther(m.ProcessID, bytes.Clone(m.SecretKey))
			return nil, errEnded
		default:
			if _, err := s.socket.Write([]byte{'N'}); err != nil {
				return nil, err
			}
		}
	}
}

// admit checks password, refusals and refused parameters; nil lets the client in.
func (s *session) admit(parameters map[string]string) error {
	password, refusal, refused := s.server.admission(parameters)
	if password != nil {
		given, err := s.askPassword()
		if err != nil {
			return err
		}
		if given != *password {
			return fatal("28P01", fmt.Sprintf("password authentication failed for user %q", parameters["user"]))
		}
	}
	if refusal != nil {
		return refusal
	}
	if refused != nil {
		return refused
	}
	return nil
}

func (s *session) askPassword() (string, error) {
	s.wire.Send(&pgproto3.AuthenticationCleartextPassword{})
	if err := s.flush(); err != nil {
		return "", err
	}
	message, err := s.wire.Receive()
	if err != nil {
		return "", err
	}
	answer, ok := message.(*pgproto3.PasswordMessage)
	if !ok {
		return "", fatal("08P01", "expected a password")
	}
	return answer.Password, nil
}

// admission is what stands between a client with these parameters and its log-in.
func (s *Server) admission(parameters map[string]string) (password *string, refusal, refused *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		switch code := s.refusedParams[name]; code {
		case "":
			continue
		case "42704":
			refused = fatal(code, fmt.Sprintf("unrecognized configuration parameter %q", name))
		default:
			refused = fatal(code, fmt.Sprintf("invalid value for parameter %q: %q", name, parameters[name]))
		}
		break
	}
	return s.password, s.refusal, refused
}

// statuses is what a server tells at the log-in.
func (s *session) statuses(user string) []pgproto3.ParameterStatus {
	return []pgproto3.ParameterStatus{
		{Name: "application_name", Value: s.settings.get("application_name")},
		{Name: "client_encoding", Value: s.settings.get("client_encoding")},
		{Name: "DateStyle", Value: s.settings.get("datestyle")},
		{Name: "default_transaction_read_only", Value: s.settings.get("default_transaction_read_only")},
		{Name: "in_hot_standby", Value: onOff(s.wasStandby)},
		{Name: "integer_datetimes", Value: "on"},
		{Name: "IntervalStyle", Value: "postgres"},
		{Name: "is_superuser", Value: "off"},
		{Name: "server_encoding", Value: "UTF8"},
		{Name: "server_version", Value: s.settings.get("server_version")},
		{Name: "session_authorization", Value: user},
		{Name: "standard_conforming_strings", Value: s.settings.get("standard_conforming_strings")},
		{Name: "TimeZone", Value: s.settings.get("timezone")},
	}
}

// cancelOther carries out a cancel request: if PID and key fit and that connection is busy, what it waits for ends with
// 57014. There is no answer but the end of this connection, which comes when the request has hit or missed.
func (s *session) cancelOther(pid uint32, key []byte) {
	delay := s.server.countCancel(s.counted)
	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-s.gone:
			return
		}
	}
	target := s.server.find(pid)
	if target == nil || !bytes.Equal(target.key, key) || !target.busy.Load() {
		return
	}
	select {
	case target.canceled <- struct{}{}:
	default: // one is enough
	}
}

func (s *Server) countCancel(dialled bool) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.facts.cancels++
	if dialled {
		s.facts.dialled++
	}
	return s.cancelDelay
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
