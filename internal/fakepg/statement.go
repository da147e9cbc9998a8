package fakepg

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgtype"
)

// statement is one parsed statement. It is not changed after that, so many portals may share it.
type statement struct {
	sql     string
	tokens  []token
	verb    string       // its first word, in lower case; empty for an empty statement
	columns []column     // nil if it returns no rows
	params  []uint32     // types of its parameters
	targets []expression // what a select computes
	from    *series      // nil: one row
	script  *Scripted    // nil: the server answers by itself
}

// series is generate_series(first, last).
type series struct{ first, last expression }

var (
	parameterPattern = regexp.MustCompile(`\$(\d+)`)
	castPattern      = regexp.MustCompile(`\$(\d+)\s*::\s*(\w+(?:\[\])?)`)
)

// parseStatement parses one statement. given are the parameter types that Parse names; the rest is found out.
func parseStatement(sql string, given []uint32) (*statement, error) {
	st := &statement{sql: sql, tokens: tokenize(sql)}
	if len(st.tokens) == 0 {
		return st, nil
	}
	st.verb = strings.ToLower(st.tokens[0].text)
	st.params = parameterTypes(sql, given)
	switch st.verb {
	case "select":
		if err := st.parseSelect(); err != nil {
			return nil, err
		}
	case "show":
		st.columns = []column{{st.word(1), pgtype.TextOID}}
	default:
		if !knownVerbs[st.verb] {
			return nil, syntaxError(st.tokens[0])
		}
	}
	return st, nil
}

// knownVerbs are the first words of statements other than select and show.
var knownVerbs = map[string]bool{
	"begin": true, "start": true, "commit": true, "end": true, "rollback": true, "abort": true, "savepoint": true,
	"release": true, "set": true, "reset": true, "discard": true, "deallocate": true, "fail": true,
	"insert": true, "update": true, "delete": true, "merge": true, "create": true, "drop": true, "alter": true,
	"truncate": true, "lock": true, "analyze": true, "vacuum": true, "grant": true, "revoke": true, "comment": true,
	"listen": true, "unlisten": true, "prepare": true, "declare": true, "close": true, "load": true, "do": true,
	"copy": true,
}

// parameterTypes finds out how many parameters there are, and which types were given or written as a cast. The type 0 is
// that of whatever the client takes for the value's.
func parameterTypes(sql string, given []uint32) []uint32 {
	count := len(given)
	for _, found := range parameterPattern.FindAllStringSubmatch(sql, -1) {
		number, _ := strconv.Atoi(found[1]) // the pattern says that it is one
		count = max(count, min(number, 0xffff))
	}
	types := make([]uint32, count)
	for _, found := range castPattern.FindAllStringSubmatch(sql, -1) {
		if number, _ := strconv.Atoi(found[1]); number >= 1 && number <= count {
			types[number-1], _ = TypeNamed(found[2])
		}
	}
	for i, oid := range given {
		if oid != 0 {
			types[i] = oid
		}
	}
	return types
}

func (st *statement) parseSelect() error {
	p := &parser{tokens: st.tokens[1:], params: st.params}
	for {
		e, err := p.expression(0)
		if err != nil {
			return err
		}
		p.take("as")
		if t := p.peek(); t.kind == wordToken && !t.is("from") {
			e.name = p.next().text
		}
		st.targets = append(st.targets, e)
		st.columns = append(st.columns, e.column)
		if !p.take(",") {
			break
		}
	}
	if p.take("from") {
		if err := st.parseFrom(p); err != nil {
			return err
		}
	}
	if t := p.next(); t.kind != endToken {
		return syntaxError(t)
	}
	return nil
}

// parseFrom reads generate_series(first, last) and the name that it may have.
func (st *statement) parseFrom(p *parser) error {
	if table := p.next(); !table.is("generate_series") {
		return failed("42P01", fmt.Sprintf("relation %q does not exist", table.text))
	}
	if err := p.expect("("); err != nil {
		return err
	}
	first, err := p.expression(pgtype.Int4OID)
	if err != nil {
		return err
	}
	if err := p.expect(","); err != nil {
		return err
	}
	last, err := p.expression(pgtype.Int4OID)
	if err != nil {
		return err
	}
	st.from = &series{castTo(first, pgtype.Int8OID), castTo(last, pgtype.Int8OID)}
	if err := p.expect(")"); err != nil {
		return err
	}
	p.take("as")
	if p.peek().kind == wordToken {
		p.next()
	}
	return nil
}

// word is the i-th token in lower case; empty if there is none.
func (st *statement) word(i int) string {
	if i >= len(st.tokens) {
		return ""
	}
	return strings.ToLower(st.tokens[i].text)
}

// rest is everything from the i-th token on, quotation marks removed, with single spaces.
func (st *statement) rest(i int) string {
	var words []string
	for ; i < len(st.tokens); i++ {
		words = append(words, st.tokens[i].text)
	}
	return strings.Join(words, " ")
}

// perform runs one statement and sends its rows and its tag.
func (s *session) perform(st *statement, args []datum, formats []int16) error {
	s.server.record(s.pid, st.sql, args)
	if s.txStatus == 'E' && !st.endsTransaction() {
		return failed("25P02", "current transaction is aborted, commands ignored until end of transaction block")
	}
	tag, err := s.carryOut(st, args, formats)
	if err != nil {
		return err
	}
	s.wire.Send(&pgproto3.CommandComplete{CommandTag: []byte(tag)})
	return nil
}

// carryOut does what the statement asks and returns its command tag.
func (s *session) carryOut(st *statement, args []datum, formats []int16) (string, error) {
	if st.script != nil {
		return s.follow(st, args, formats)
	}
	switch st.verb {
	case "select":
		return s.selectRows(st, args, formats)
	case "begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release":
		return s.control(st)
	case "set", "reset", "show", "discard", "deallocate":
		return s.configure(st, formats)
	case "insert":
		return "INSERT 0 1", nil
	case "update", "delete", "merge":
		return strings.ToUpper(st.verb) + " 1", nil
	case "create", "drop", "alter":
		return strings.ToUpper(st.verb + " " + st.object()), nil
	case "copy":
		return s.copyIn(st)
	case "declare", "close":
		return strings.ToUpper(st.verb) + " CURSOR", nil
	case "truncate", "lock":
		return strings.ToUpper(st.verb) + " TABLE", nil
	case "fail":
		return "", failed(strings.ToUpper(st.rest(1)), "the statement asked for this")
	default:
		return strings.ToUpper(st.verb), nil
	}
}

// object is what create, drop or alter is about.
func (st *statement) object() string {
	for i := 1; ; i++ {
		switch word := st.word(i); word {
		case "temp", "temporary", "unlogged", "unique", "or", "replace":
		default:
			return word
		}
	}
}

func (s *session) selectRows(st *statement, args []datum, formats []int16) (string, error) {
	first, last := int64(1), int64(1)
	if st.from != nil {
		var err error
		if first, err = st.from.first.number(s, args); err != nil {
			return "", err
		}
		if last, err = st.from.last.number(s, args); err != nil {
			return "", err
		}
	}
	count := 0
	for row := first; row <= last; row++ {
		values := make([][]byte, len(st.targets))
		for i, e := range st.targets {
			value, err := e.eval(s, args, row)
			if err != nil {
				return "", err
			}
			values[i] = encode(value, e.oid, formatOf(formats, i))
		}
		s.wire.Send(&pgproto3.DataRow{Values: values})
		count++
	}
	return fmt.Sprintf("SELECT %d", count), nil
}

// number evaluates an expression that was cast to int8.
func (e expression) number(s *session, args []datum) (int64, error) {
	d, err := e.eval(s, args, 0)
	if err != nil {
		return 0, err
	}
	number, _ := strconv.ParseInt(d.text, 10, 64) // cast has seen it; null is 0
	return number, nil
}

func (s *Server) record(pid uint32, sql string, args []datum) {
	given := make([]any, len(args))
	for i, arg := range args {
		if !arg.null {
			given[i] = arg.text
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.facts.statements = append(s.facts.statements, Statement{PID: pid, SQL: sql, Args: given, At: time.Now()})
}

func asDuration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }
