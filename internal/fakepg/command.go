package fakepg

import (
	"strings"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgtype"
)

// endsTransaction says whether an aborted transaction takes this statement.
func (st *statement) endsTransaction() bool {
	switch st.verb {
	case "commit", "end", "rollback", "abort":
		return true
	default:
		return false
	}
}

// control begins and ends transactions. As in PostgreSQL, a begin inside of one and an end outside of one are no errors.
func (s *session) control(st *statement) (string, error) {
	switch st.verb {
	case "begin", "start":
		if s.txStatus == 'I' {
			s.settings.begin()
			s.txStatus = 'T'
		}
		if st.verb == "start" {
			return "START TRANSACTION", nil
		}
		return "BEGIN", nil
	case "commit", "end":
		return s.endTransaction(s.txStatus != 'E'), nil
	}
	if st.verb == "abort" || st.verb == "rollback" && !st.tokensHave("to") {
		return s.endTransaction(false), nil
	}
	if s.txStatus == 'I' {
		return "", failed("25P01", strings.ToUpper(st.verb)+" can only be used in transaction blocks")
	}
	if st.verb == "rollback" {
		s.txStatus = 'T'
	}
	return strings.ToUpper(st.verb), nil
}

// endTransaction commits or rolls back, and returns the tag that says which.
func (s *session) endTransaction(commit bool) string {
	s.txStatus = 'I'
	s.settings.finish(commit)
	if commit {
		return "COMMIT"
	}
	return "ROLLBACK"
}

func (st *statement) tokensHave(word string) bool {
	for _, t := range st.tokens {
		if t.is(word) {
			return true
		}
	}
	return false
}

// configure is everything about settings and prepared statements.
func (s *session) configure(st *statement, formats []int16) (string, error) {
	switch st.verb {
	case "show":
		return "SHOW", s.show(st.word(1), formats)
	case "set":
		return "SET", s.setStatement(st)
	case "reset":
		return "RESET", s.resetSetting(st.word(1))
	case "deallocate":
		return s.deallocate(st.rest(1)), nil
	}
	if st.word(1) != "all" {
		return strings.ToUpper(st.rest(0)), nil
	}
	if s.txStatus != 'I' {
		return "", failed("25001", "DISCARD ALL cannot run inside a transaction block")
	}
	clear(s.prepared)
	clear(s.portals)
	return "DISCARD ALL", s.resetSetting("all")
}

func (s *session) show(name string, formats []int16) error {
	if !s.settings.known(name) {
		return unknownSetting(name)
	}
	value := encode(datum{text: s.settings.get(name)}, pgtype.TextOID, formatOf(formats, 0))
	s.wire.Send(&pgproto3.DataRow{Values: [][]byte{value}})
	return nil
}

// setStatement is set [session | local] name {to | =} value. What has another form (set session authorization, set role,
// set transaction) changes nothing here.
func (s *session) setStatement(st *statement) error {
	at, local := 1, st.word(1) == "local"
	if local || st.word(1) == "session" {
		at++
	}
	if sign := st.word(at + 1); sign != "to" && sign != "=" {
		return nil
	}
	if st.word(at+2) == "default" {
		return s.resetSetting(st.word(at))
	}
	return s.changeSetting(st.word(at), st.rest(at+2), local)
}

func (s *session) changeSetting(name, value string, local bool) error {
	if err := s.settings.set(name, value, local); err != nil {
		return err
	}
	s.tell(name)
	return nil
}

func (s *session) resetSetting(name string) error {
	if err := s.settings.reset(name); err != nil {
		return err
	}
	if name != "all" {
		s.tell(name)
		return nil
	}
	for each := range reported {
		s.tell(each)
	}
	return nil
}

// tell reports a setting to the client, if it is one of those that are reported.
func (s *session) tell(name string) {
	if spelling, ok := reported[name]; ok {
		s.wire.Send(&pgproto3.ParameterStatus{Name: spelling, Value: s.settings.get(name)})
	}
}

func (s *session) deallocate(name string) string {
	if strings.EqualFold(name, "all") {
		clear(s.prepared)
		return "DEALLOCATE ALL"
	}
	name = strings.TrimPrefix(name, "prepare ")
	delete(s.prepared, name)
	return "DEALLOCATE"
}
