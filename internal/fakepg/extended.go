package fakepg

import (
	"fmt"

	"github.com/jackc/pgx/v5/pgproto3"
)

// portal is a statement with its parameters.
type portal struct {
	statement *statement
	args      []datum
	formats   []int16 // of the result
}

func (s *session) parse(m *pgproto3.Parse) error {
	if m.Name != "" && s.prepared[m.Name] != nil {
		return failed("42P05", fmt.Sprintf("prepared statement %q already exists", m.Name))
	}
	pieces := split(m.Query)
	if len(pieces) > 1 {
		return failed("42601", "cannot insert multiple commands into a prepared statement")
	}
	sql := ""
	if len(pieces) == 1 {
		sql = pieces[0]
	}
	st, err := s.understand(sql, m.ParameterOIDs)
	if err != nil {
		return err
	}
	s.prepared[m.Name] = st
	s.wire.Send(&pgproto3.ParseComplete{})
	return nil
}

func (s *session) bind(m *pgproto3.Bind) error {
	st := s.prepared[m.PreparedStatement]
	if st == nil {
		return failed("26000", fmt.Sprintf("prepared statement %q does not exist", m.PreparedStatement))
	}
	if len(m.Parameters) != len(st.params) {
		return failed("08P01", fmt.Sprintf("bind message supplies %d parameters, but prepared statement %q requires %d",
			len(m.Parameters), m.PreparedStatement, len(st.params)))
	}
	args := make([]datum, len(st.params))
	for i, raw := range m.Parameters {
		var err error
		if args[i], err = s.argument(raw, st.params[i], formatOf(m.ParameterFormatCodes, i)); err != nil {
			return err
		}
	}
	formats := append([]int16(nil), m.ResultFormatCodes...) // the message is the decoder's own
	s.portals[m.DestinationPortal] = &portal{st, args, formats}
	s.wire.Send(&pgproto3.BindComplete{})
	return nil
}

func (s *session) describe(m *pgproto3.Describe) error {
	var (
		columns []column
		formats []int16
	)
	if m.ObjectType == 'S' {
		st := s.prepared[m.Name]
		if st == nil {
			return failed("26000", fmt.Sprintf("prepared statement %q does not exist", m.Name))
		}
		s.wire.Send(&pgproto3.ParameterDescription{ParameterOIDs: st.params})
		columns = st.columns
	} else {
		p := s.portals[m.Name]
		if p == nil {
			return failed("34000", fmt.Sprintf("portal %q does not exist", m.Name))
		}
		columns, formats = p.statement.columns, p.formats
	}
	if columns == nil {
		s.wire.Send(&pgproto3.NoData{})
		return nil
	}
	s.wire.Send(rowDescription(columns, formats))
	return nil
}

// execute runs a portal to its end: a row limit is not obeyed.
func (s *session) execute(m *pgproto3.Execute) error {
	p := s.portals[m.Portal]
	if p == nil {
		return failed("34000", fmt.Sprintf("portal %q does not exist", m.Portal))
	}
	if p.statement.verb == "" {
		s.wire.Send(&pgproto3.EmptyQueryResponse{})
		return nil
	}
	return s.perform(p.statement, p.args, p.formats)
}

func (s *session) closeNamed(m *pgproto3.Close) error {
	if m.ObjectType == 'S' {
		delete(s.prepared, m.Name)
	} else {
		delete(s.portals, m.Name)
	}
	s.wire.Send(&pgproto3.CloseComplete{})
	return nil
}
