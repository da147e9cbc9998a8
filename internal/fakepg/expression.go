package fakepg

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"
)

// expression is what a select computes: eval is called once per row, with the number that generate_series is at.
type expression struct {
	column
	eval func(s *session, args []datum, row int64) (datum, error)
}

// function is a function that a select may call.
type function struct {
	args   []uint32
	result uint32
	call   func(s *session, args []datum) (datum, error)
}

// functionNamed returns what a statement may call by this name.
func functionNamed(name string) (function, bool) {
	switch strings.TrimPrefix(name, "pg_catalog.") {
	case "pg_backend_pid":
		return function{nil, pgtype.Int4OID, backendPID}, true
	case "pg_sleep":
		return function{[]uint32{pgtype.Float8OID}, voidOID, sleep}, true
	case "pg_is_in_recovery":
		return function{nil, pgtype.BoolOID, inRecovery}, true
	case "pg_terminate_backend":
		return function{[]uint32{pgtype.Int4OID}, pgtype.BoolOID, terminateBackend}, true
	case "current_setting":
		return function{[]uint32{pgtype.TextOID}, pgtype.TextOID, currentSetting}, true
	case "pg_advisory_lock":
		return function{[]uint32{pgtype.Int8OID}, voidOID, nothing}, true
	case "pg_advisory_unlock_all":
		return function{nil, voidOID, nothing}, true
	case "set_config":
		args := []uint32{pgtype.TextOID, pgtype.TextOID, pgtype.BoolOID}
		return function{args, pgtype.TextOID, setConfig}, true
	default:
		return function{}, false
	}
}

func backendPID(s *session, _ []datum) (datum, error) { return integer(int64(s.pid)), nil }

func inRecovery(s *session, _ []datum) (datum, error) { return boolean(s.server.isStandby()), nil }

// nothing is what the functions do whose effect nobody asks about.
func nothing(*session, []datum) (datum, error) { return datum{}, nil }

func sleep(s *session, args []datum) (datum, error) {
	seconds, _ := strconv.ParseFloat(args[0].text, 64) // cast has seen it
	return datum{}, s.pause(asDuration(seconds))
}

func terminateBackend(s *session, args []datum) (datum, error) {
	pid, _ := strconv.ParseUint(args[0].text, 10, 32) // cast has seen it; a negative one is nobody's
	if uint32(pid) == s.pid {
		return datum{}, fatal("57P01", terminationText("57P01"))
	}
	target := s.server.find(uint32(pid))
	if target != nil {
		target.terminate("57P01")
	}
	return boolean(target != nil), nil
}

func currentSetting(s *session, args []datum) (datum, error) {
	name := strings.ToLower(args[0].text)
	if !s.settings.known(name) {
		return datum{}, unknownSetting(name)
	}
	return datum{text: s.settings.get(name)}, nil
}

func setConfig(s *session, args []datum) (datum, error) {
	return args[1], s.changeSetting(strings.ToLower(args[0].text), args[1].text, args[2].text == "t")
}

// parser reads the tokens of one select.
type parser struct {
	tokens []token
	params []uint32 // types of the parameters; 0 where nothing is known yet
}

func (p *parser) peek() token {
	if len(p.tokens) == 0 {
		return token{}
	}
	return p.tokens[0]
}

func (p *parser) next() token {
	t := p.peek()
	if len(p.tokens) > 0 {
		p.tokens = p.tokens[1:]
	}
	return t
}

// take takes the next token if it is this symbol or word.
func (p *parser) take(text string) bool {
	if p.peek().is(text) {
		p.next()
		return true
	}
	return false
}

func (p *parser) expect(text string) error {
	if t := p.next(); !t.is(text) {
		return syntaxError(t)
	}
	return nil
}

// expression reads a value and the casts behind it.
func (p *parser) expression(want uint32) (expression, error) {
	value, err := p.primary(want)
	for err == nil && p.take("::") {
		var oid uint32
		if oid, err = typeNamed(p.next()); err == nil {
			value = castTo(value, oid)
		}
	}
	return value, err
}

// primary reads one value. want is the type that its place asks for, 0 if any will do.
func (p *parser) primary(want uint32) (expression, error) {
	t := p.next()
	switch t.kind {
	case numberToken:
		if strings.Contains(t.text, ".") {
			return literal(t.text, pgtype.Float8OID), nil
		}
		return literal(t.text, pgtype.Int4OID), nil
	case stringToken:
		return literal(t.text, pgtype.TextOID), nil
	case parameterToken:
		return p.parameter(t, want)
	case wordToken:
		return p.word(t)
	}
	switch t.text {
	case "(":
		inner, err := p.expression(want)
		if err != nil {
			return inner, err
		}
		return inner, p.expect(")")
	case "-":
		if number := p.next(); number.kind == numberToken {
			p.tokens = append([]token{{numberToken, "-" + number.text}}, p.tokens...)
			return p.primary(want)
		}
	}
	return expression{}, syntaxError(t)
}

func (p *parser) parameter(t token, want uint32) (expression, error) {
	number, err := strconv.Atoi(t.text)
	if err != nil || number < 1 || number > len(p.params) {
		return expression{}, failed("42P02", "there is no parameter $"+t.text)
	}
	index := number - 1
	if p.params[index] == 0 {
		p.params[index] = want
	}
	if p.params[index] == 0 {
		p.params[index] = pgtype.TextOID
	}
	value := func(_ *session, args []datum, _ int64) (datum, error) { return args[index], nil }
	return expression{column{"?column?", p.params[index]}, value}, nil
}

// word reads a constant, a function call, or the name of generate_series' column.
func (p *parser) word(t token) (expression, error) {
	switch name := strings.ToLower(t.text); {
	case name == "null":
		null := func(*session, []datum, int64) (datum, error) { return datum{null: true}, nil }
		return expression{column{"?column?", pgtype.TextOID}, null}, nil
	case name == "true" || name == "false":
		return literal(name[:1], pgtype.BoolOID), nil
	case p.take("("):
		return p.call(name)
	default:
		series := func(_ *session, _ []datum, row int64) (datum, error) { return integer(row), nil }
		return expression{column{name, pgtype.Int4OID}, series}, nil
	}
}

// call reads a function's arguments, behind the opening parenthesis.
func (p *parser) call(name string) (expression, error) {
	f, ok := functionNamed(name)
	if !ok {
		return expression{}, failed("42883", fmt.Sprintf("function %s does not exist", name))
	}
	args := make([]expression, len(f.args))
	for i, oid := range f.args {
		if i > 0 {
			if err := p.expect(","); err != nil {
				return expression{}, err
			}
		}
		arg, err := p.expression(oid)
		if err != nil {
			return expression{}, err
		}
		args[i] = castTo(arg, oid)
	}
	value := func(s *session, given []datum, row int64) (datum, error) {
		values := make([]datum, len(args))
		for i, arg := range args {
			var err error
			if values[i], err = arg.eval(s, given, row); err != nil {
				return datum{}, err
			}
		}
		return f.call(s, values)
	}
	return expression{column{name, f.result}, value}, p.expect(")")
}

func literal(text string, oid uint32) expression {
	value := func(*session, []datum, int64) (datum, error) { return datum{text: text}, nil }
	return expression{column{"?column?", oid}, value}
}

func castTo(inner expression, oid uint32) expression {
	value := func(s *session, args []datum, row int64) (datum, error) {
		d, err := inner.eval(s, args, row)
		if err != nil {
			return d, err
		}
		return cast(d, oid)
	}
	return expression{column{dataTypes[oid].name, oid}, value}
}

func typeNamed(t token) (uint32, error) {
	oid, ok := typeNames[strings.ToLower(t.text)]
	if !ok {
		return 0, failed("42704", fmt.Sprintf("type %q does not exist", t.text))
	}
	return oid, nil
}

func syntaxError(t token) error {
	if t.kind == endToken {
		return failed("42601", "syntax error at end of input")
	}
	return failed("42601", fmt.Sprintf("syntax error at or near %q", t.text))
}
