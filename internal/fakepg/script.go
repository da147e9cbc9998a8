package fakepg

import (
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgtype"
)

// Scripted is a statement whose answers a script knows.
type Scripted struct {
	Columns []Column // nil: it returns no rows
	// Answer is called each time that the statement runs, by the goroutine of its connection.
	Answer func(args []Argument) Reply
}

// Column is one column of a scripted result.
type Column struct {
	Name string
	OID  uint32
}

// Argument is a parameter of a statement that runs.
type Argument struct {
	OID  uint32 // its type; 0: what the client took for it
	Text string
	Null bool
}

// Reply is one answer of a scripted statement, in the order in which it is given.
type Reply struct {
	Delay      time.Duration   // before all else; a cancel request and statement_timeout end it with 57014
	Disconnect bool            // the connection ends here, without a word
	Rows       [][]any         // what pgx can encode as the columns' types; a text is taken as the server prints a value
	Err        *pgconn.PgError // ends the statement behind the rows; without a Severity it is an ERROR
	Tag        string          // of the end; empty: what the server itself would say
}

// Script lets find answer statements, before the server looks at them. It is told their texts and returns nil for those
// that the server shall answer by itself; several goroutines may call it at a time. nil ends it.
func (s *Server) Script(find func(sql string) *Scripted) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = find
}

// Normal is a statement without what does not matter: spaces, comments, the case of words, and a semicolon behind it.
func Normal(sql string) string {
	var words []string
	for _, t := range tokenize(sql) {
		switch t.kind {
		case stringToken:
			words = append(words, "'"+strings.ReplaceAll(t.text, "'", "''")+"'")
		case parameterToken:
			words = append(words, "$"+t.text)
		default:
			words = append(words, strings.ToLower(t.text))
		}
	}
	for len(words) > 0 && words[len(words)-1] == ";" {
		words = words[:len(words)-1]
	}
	return strings.Join(words, " ")
}

// longNames are names of types that pgtype does not know.
var longNames = map[string]string{
	"real": "float4", "double precision": "float8", "decimal": "numeric", "character varying": "varchar",
	"timestamp with time zone": "timestamptz", "timestamp without time zone": "timestamp",
}

// TypeNamed is the type of this name, by the names that SQL has for it; "[]" behind it makes an array of it.
func TypeNamed(name string) (uint32, bool) {
	name, array := strings.CutSuffix(strings.ToLower(strings.TrimSpace(name)), "[]")
	if long, ok := longNames[name]; ok {
		name = long
	}
	types := pgtype.NewMap()
	if oid, ok := typeNames[name]; ok {
		known, _ := types.TypeForOID(oid)
		name = known.Name
	}
	if array {
		name = "_" + name
	}
	known, ok := types.TypeForName(name)
	if !ok {
		return 0, false
	}
	return known.OID, true
}

// understand parses one statement, or finds it in the script.
func (s *session) understand(sql string, given []uint32) (*statement, error) {
	find := s.server.currentScript()
	if find == nil {
		return parseStatement(sql, given)
	}
	if scripted := find(sql); scripted != nil {
		return scriptedStatement(sql, given, scripted), nil
	}
	st, err := parseStatement(sql, given)
	if unknown, ok := err.(*failure); ok { //nolint:errorlint // parseStatement wraps none
		unknown.message += " (this server knows no answer to: " + sql + ")"
	}
	return st, err
}

func (s *Server) currentScript() func(string) *Scripted {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.script
}

func scriptedStatement(sql string, given []uint32, script *Scripted) *statement {
	st := &statement{sql: sql, tokens: tokenize(sql), params: parameterTypes(sql, given), script: script}
	st.verb = st.word(0)
	if script.Columns != nil {
		st.columns = []column{}
		for _, c := range script.Columns {
			st.columns = append(st.columns, column{c.Name, c.OID})
		}
	}
	return st
}

// follow gives the script's answer to a statement.
func (s *session) follow(st *statement, args []datum, formats []int16) (string, error) {
	given := make([]Argument, len(args))
	for i, arg := range args {
		given[i] = Argument{OID: st.params[i], Text: arg.text, Null: arg.null}
	}
	reply := st.script.Answer(given)
	if err := s.pause(reply.Delay); err != nil {
		return "", err
	}
	if reply.Disconnect {
		return "", errEnded
	}
	for _, row := range reply.Rows {
		if err := s.sendRow(st.columns, row, formats); err != nil {
			return "", err
		}
	}
	if reply.Err != nil {
		if st.endsTransaction() {
			s.endTransaction(false)
		}
		return "", scriptedFailure(reply.Err)
	}
	tag, err := s.consequence(st, formats, len(reply.Rows))
	if err == nil && reply.Tag != "" {
		tag = reply.Tag
	}
	return tag, err
}

// consequence does what a scripted statement does to its session, and returns the tag that a server would answer.
func (s *session) consequence(st *statement, formats []int16, rows int) (string, error) {
	switch st.verb {
	case "begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release":
		return s.control(st)
	case "set", "reset", "discard", "deallocate":
		return s.configure(st, formats)
	case "copy":
		return s.copyIn(st)
	case "insert", "update", "delete", "merge":
		if st.columns == nil {
			rows = 1
		}
		if st.verb == "insert" {
			return fmt.Sprintf("INSERT 0 %d", rows), nil
		}
		return fmt.Sprintf("%s %d", strings.ToUpper(st.verb), rows), nil
	}
	if st.columns != nil {
		return fmt.Sprintf("SELECT %d", rows), nil
	}
	return strings.ToUpper(st.verb), nil
}

func (s *session) sendRow(columns []column, row []any, formats []int16) error {
	if len(row) != len(columns) {
		return failed("0A000", "cached plan must not change result type")
	}
	values := make([][]byte, len(row))
	for i, value := range row {
		var err error
		if values[i], err = s.scripted(value, columns[i].oid, formatOf(formats, i)); err != nil {
			return failed("XX000", fmt.Sprintf("column %s of the scripted answer: %v", columns[i].name, err))
		}
	}
	s.wire.Send(&pgproto3.DataRow{Values: values})
	return nil
}

// scripted gives a value of a script the form that the client asked for; nil is null.
func (s *session) scripted(value any, oid uint32, format int16) ([]byte, error) {
	if value == nil {
		return nil, nil
	}
	types := s.typeMap()
	if text, ok := value.(string); ok {
		known, ok := types.TypeForOID(oid)
		if !ok {
			return []byte(text), nil
		}
		read, err := known.Codec.DecodeValue(types, oid, pgtype.TextFormatCode, []byte(text))
		if err != nil {
			return nil, err
		}
		if format == pgtype.BinaryFormatCode {
			value = read
		}
	}
	return types.Encode(oid, format, value, []byte{})
}

// argument reads a parameter, of whatever type.
func (s *session) argument(raw []byte, oid uint32, format int16) (datum, error) {
	if _, simple := dataTypes[oid]; simple || raw == nil || format != pgtype.BinaryFormatCode {
		return decode(raw, oid, format)
	}
	types := s.typeMap()
	known, ok := types.TypeForOID(oid)
	if !ok {
		return decode(raw, oid, format)
	}
	value, err := known.Codec.DecodeValue(types, oid, format, raw)
	if err != nil {
		return datum{}, failed("22P03", "incorrect binary data format in a bind parameter: "+err.Error())
	}
	text, err := types.Encode(oid, pgtype.TextFormatCode, value, nil)
	if err != nil {
		return datum{}, failed("22P03", "incorrect binary data format in a bind parameter: "+err.Error())
	}
	return datum{text: string(text)}, nil
}

func (s *session) typeMap() *pgtype.Map {
	if s.types == nil {
		s.types = pgtype.NewMap()
	}
	return s.types
}

func scriptedFailure(e *pgconn.PgError) *failure {
	severity := e.Severity
	if severity == "" {
		severity = "ERROR"
	}
	return &failure{severity: severity, code: e.Code, message: e.Message, more: *e}
}
