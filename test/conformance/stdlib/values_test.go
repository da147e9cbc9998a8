package stdlib

import (
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// expressions are values of all kinds of types.
var expressions = []string{
	"true", "2::int2", "4::int4", "8::int8", "1.1::float4", "1.1::float8", "'NaN'::float8", "'-infinity'::float4",
	"1.50::numeric", "'NaN'::numeric", "1e40::numeric", "'a'::text", "'a'::varchar(3)", "'a'::char(3)", "'a'::name", `'a'::"char"`,
	`'\xdeadbeef'::bytea`, "''::bytea", "'2020-02-29'::date", "'infinity'::date", "'0044-03-15 BC'::date",
	"'2020-02-29 12:30:01.000002'::timestamp", "'-infinity'::timestamp", "'2020-02-29 12:30+02'::timestamptz", "'infinity'::timestamptz",
	"'12:30'::time", "'12:30+02'::timetz", "'1 day 2 hours'::interval", "'0e0e0e0e-0e0e-0e0e-0e0e-0e0e0e0e0e0e'::uuid",
	`'{"a": [1]}'::json`, `'{"a": [1]}'::jsonb`, "'null'::jsonb", "'<a/>'::xml", "26::oid", "'7'::xid", "'7'::cid", "'int4'::regtype",
	"'127.0.0.1'::inet", "'10.0.0.0/8'::cidr", "'08:00:2b:01:02:03'::macaddr", "'(1,2)'::point", "'1010'::bit(4)", "'101'::varbit",
	"'{1,null,3}'::int4[]", "'{a,\"b c\"}'::text[]", "'[1,5)'::int4range", "'a b'::tsvector", "12.5::money", "row(1, 'a')", "null", "null::int4[]",
}

// textScanner is a type of a program's own.
type textScanner struct{ text string }

func (t *textScanner) Scan(value any) error {
	switch v := value.(type) {
	case string:
		t.text = "scanned " + v
	case int64:
		return errors.New("no numbers here")
	default:
		t.text = fmt.Sprintf("scanned %T", v)
	}
	return nil
}

// textValuer is one of those that say what they are sent as.
type textValuer struct{ text string }

func (t textValuer) Value() (driver.Value, error) { return "valued " + t.text, nil }

type named string

var values = []trial{
	{name: "values of every type", everyMode: true, run: func(s *side) {
		for _, e := range expressions {
			s.asks(s, e, "select "+e)
		}
	}},
	{name: "values of every type by a prepared statement", everyMode: true, run: func(s *side) {
		for _, e := range expressions {
			var value any
			err := s.prepared("select " + e).QueryRowContext(s.ctx()).Scan(&value)
			s.saw(e, value, err)
		}
	}},
	{name: "a null into everything that takes one", everyMode: true, run: func(s *side) {
		for _, dest := range []any{
			new(*int), new(*string), new(sql.NullInt64), new(sql.NullString), new(sql.NullTime), new(sql.NullBool), new(sql.NullFloat64),
			new(sql.Null[int16]), new([]byte), new(any), new(int), new(string), new(time.Time), new(pgtype.Int4), new(textScanner),
		} {
			s.scans("null::int4", dest)
		}
	}},
	{name: "destinations of another type", everyMode: true, run: func(s *side) {
		for _, c := range []struct {
			expression string
			dest       any
		}{
			{"7::int4", new(string)},
			{"7::int4", new(int8)},
			{"700::int4", new(int8)},
			{"-7::int4", new(uint)},
			{"7::int4", new(float64)},
			{"7::int4", new(bool)},
			{"1::int4", new(bool)},
			{"7::int4", new([]byte)},
			{"7::int4", new(named)},
			{"7::int4", new(textScanner)},
			{"'12'::text", new(int)},
			{"'x'::text", new(int)},
			{"'x'::text", new([]byte)},
			{"'x'::text", new(named)},
			{"'x'::text", new(textScanner)},
			{"'x'::text", new(time.Time)},
			{"'x'::text", new(pgtype.Text)},
			{"1.5::numeric", new(float64)},
			{"1.5::numeric", new(string)},
			{"1.5::numeric", new(pgtype.Numeric)},
			{"now()::date - now()::date", new(int)},
			{"'infinity'::timestamptz", new(time.Time)},
			{"'2020-02-29'::date", new(string)},
			{"'2020-02-29'::date", new(pgtype.Date)},
			{"'2020-02-29'::timestamp", new(sql.NullTime)},
			{`'{"a":1}'::json`, new(json.RawMessage)},
			{`'{"a":1}'::jsonb`, new([]byte)},
			{`'{"a":1}'::jsonb`, new(string)},
			{"'{1,2}'::int4[]", new([]int32)},
			{"'0e0e0e0e-0e0e-0e0e-0e0e-0e0e0e0e0e0e'::uuid", new(pgtype.UUID)},
			{`'\xff'::bytea`, new(string)},
			{"true", new(string)},
			{"true", new(int)},
			{"1.1::float4", new(float32)},
			{"1.1::float4", new(string)},
		} {
			s.scans(c.expression, c.dest)
		}
	}},
	{name: "destinations of pgtype", everyMode: true, run: func(s *side) {
		m := pgtype.NewMap()
		for _, c := range []struct {
			expression string
			dest       any
		}{
			{"'{1,2}'::int8[]", new([]int64)},
			{"'{1,null}'::int4[]", new([]pgtype.Int4)},
			{"'{{1,2},{3,4}}'::int4[]", new(pgtype.Array[int32])},
			{"null::int4[]", new([]int32)},
			{"'{a,b}'::text[]", new([]string)},
			{"'[1,5)'::int4range", new(pgtype.Range[pgtype.Int4])},
			{"'1 day'::interval", new(pgtype.Interval)},
			{"'(1,2)'::point", new(pgtype.Point)},
			{"'{}'::int4[]", new([]int32)},
			{"7::int4", new([]int32)},
		} {
			err := s.QueryRowContext(s.ctx(), "select "+c.expression).Scan(m.SQLScanner(c.dest))
			s.saw(c.expression, deref(c.dest), err)
		}
	}},
	{name: "destinations that pgx can scan and database/sql cannot", everyMode: true, run: func(s *side) { // with Go 1.27, they are
		for _, c := range []struct {
			expression string
			dest       any
		}{
			{"'{1,2}'::int8[]", new([]int64)},
			{"null::int8[]", new([]int64)},
			{"'{a,null}'::text[]", new([]sql.NullString)},
			{"'{1,2}'::int4[]", new(pgtype.Array[int32])},
			{"'[1,5)'::int4range", new(pgtype.Range[pgtype.Int4])},
			{`'{"a":1}'::jsonb`, new(map[string]int)},
			{`'{"A":1}'::jsonb`, new(struct{ A int })},
			{"'127.0.0.1'::inet", new(netip.Addr)},
			{"'{1,2}'::int2[]", new(pgtype.FlatArray[byte])},
			{`'\xff00'::bytea`, new(pgtype.PreallocBytes)},
			{"'(1,2)'::point", new(pgtype.Point)},
			{"'{1,2}'::int4[]", new(string)},
			{"1", (*[]int32)(nil)},
			{"1", (*int)(nil)},
			{"1", new(time.Time)},
			{"now()::date", new(*time.Time)},
			{"row(1, 'a')", new([]any)},
			{"'0e0e0e0e-0e0e-0e0e-0e0e-0e0e0e0e0e0e'::uuid", new([16]byte)},
			{"1.5", new(complex128)},
		} {
			s.scans(c.expression, c.dest)
		}
	}},
	{name: "arguments of every type", everyMode: true, run: func(s *side) {
		seven := 7
		for _, a := range []struct {
			typ   string
			value any
		}{
			{"int2", int8(7)},
			{"int4", uint16(7)},
			{"int4", int64(math.MaxInt64)},
			{"int8", uint64(math.MaxUint64)},
			{"numeric", uint64(math.MaxUint64)},
			{"float4", float32(1.5)},
			{"float8", 1.5},
			{"float8", math.Inf(1)},
			{"bool", true},
			{"text", "a'b\\c"},
			{"text", "a\x00b"},
			{"text", named("a")},
			{"text", []byte("a")},
			{"bytea", []byte{0, 0xff}},
			{"json", []byte(`{"a":1}`)},
			{"jsonb", map[string]any{"a": 1}},
			{"jsonb", struct{ A int }{1}},
			{"jsonb", json.RawMessage(`{"a":1}`)},
			{"timestamptz", time.Date(2020, 2, 29, 1, 2, 3, 4000, time.FixedZone("", 3600))},
			{"timestamp", time.Date(2020, 2, 29, 1, 2, 3, 4000, time.UTC)},
			{"date", time.Date(2020, 2, 29, 1, 2, 3, 0, time.UTC)},
			{"date", "2020-02-29"},
			{"interval", 90 * time.Minute},
			{"inet", netip.MustParseAddr("127.0.0.1")},
			{"text[]", []string{"a", "b,c"}},
			{"int4[]", []int32{1, 2}},
			{"int4[]", []int{}},
			{"int4[]", "{1,2}"},
			{"uuid", [16]byte{1, 2}},
			{"uuid", "0e0e0e0e-0e0e-0e0e-0e0e-0e0e0e0e0e0e"},
			{"int4", &seven},
			{"int4", (*int)(nil)},
			{"int4", nil},
			{"int4", sql.NullInt32{}},
			{"int4", sql.Null[int32]{V: 7, Valid: true}},
			{"text", textValuer{"a"}},
			{"text", &textValuer{"a"}},
			{"text", (*textValuer)(nil)},
			{"int4", pgtype.Int4{Int32: 7, Valid: true}},
			{"numeric", pgtype.Numeric{}},
			{"int4", "7"},
			{"int4", "x"},
			{"int4", 7.5},
			{"int4", complex(1, 2)},
			{"point", pgtype.Point{P: pgtype.Vec2{X: 1, Y: 2}, Valid: true}},
		} {
			what := fmt.Sprintf("%T as %s", a.value, a.typ)
			s.asks(s, what, "select $1::"+a.typ+"::text", a.value)
			var value any
			err := s.prepared("select $1::"+a.typ+"::text as prepared").QueryRowContext(s.ctx(), a.value).Scan(&value)
			s.saw(what+", prepared", value, err)
		}
	}},
	{name: "a long text and many bytes", everyMode: true, run: func(s *side) {
		text := strings.Repeat("ä", 1<<20)
		var got string
		err := s.QueryRowContext(s.ctx(), "select $1::text", text).Scan(&got)
		s.saw("text", got == text, err)
		bytes := []byte(strings.Repeat("\xff\x00", 1<<19))
		var raw []byte
		err = s.QueryRowContext(s.ctx(), "select $1::bytea", bytes).Scan(&raw)
		s.saw("bytes", string(raw) == string(bytes), err)
	}},
	{name: "values stay what they are when the next row is read", everyMode: true, run: func(s *side) {
		rows, err := s.QueryContext(s.ctx(), `select n::text, n::text::bytea, ('{"n":' || n || '}')::json from generate_series(1, 3) n`)
		if err != nil {
			s.failed("query", err)
			return
		}
		defer rows.Close()
		var all []any
		for rows.Next() {
			var a, b, c any
			s.failed("scan", rows.Scan(&a, &b, &c))
			all = append(all, a, b, c)
		}
		s.failed("end", rows.Err())
		for i, v := range all {
			s.saw(fmt.Sprint(i), v, nil)
		}
	}},
	{name: "raw bytes", everyMode: true, run: func(s *side) {
		rows, err := s.QueryContext(s.ctx(), `select n, 'x' || n, '\xff'::bytea, now() is null from generate_series(1, 2) n`)
		if err != nil {
			s.failed("query", err)
			return
		}
		defer rows.Close()
		for rows.Next() {
			var a, b, c, d sql.RawBytes
			err := rows.Scan(&a, &b, &c, &d)
			s.saw("row", fmt.Sprintf("%s %s %x %s", a, b, c, d), err)
		}
		s.failed("end", rows.Err())
	}},
	{name: "types of columns", everyMode: true, run: func(s *side) {
		columns := []string{
			"1::int2", "1::int4", "1::int8", "1::float4", "1::float8", "true", "1.5::numeric(9, 2)", "'a'::text", "'a'::varchar(7)", "'a'::char(3)",
			"'1'::varbit(5)", "'1'::bit(1)", `'\xff'::bytea`, "now()", "now()::timestamp", "now()::date", "'12:00'::timetz", "'{1}'::int4[]", "'{}'::json",
			"'0e0e0e0e-0e0e-0e0e-0e0e-0e0e0e0e0e0e'::uuid", "null", "1 as named", `1 as "Named"`, "1 as named",
		}
		rows, err := s.QueryContext(s.ctx(), "select "+strings.Join(columns, ", "))
		if err != nil {
			s.failed("query", err)
			return
		}
		defer rows.Close()
		s.columns(rows)
		for rows.Next() {
		}
		s.failed("end", rows.Err())
	}},
	{name: "types of columns without rows", everyMode: true, run: func(s *side) {
		rows, err := s.QueryContext(s.ctx(), "select 1::int8 as a, 'a'::varchar(7) as b where false")
		if err != nil {
			s.failed("query", err)
			return
		}
		defer rows.Close()
		s.columns(rows)
		s.saw("next", rows.Next(), rows.Err())
	}},
}

// scans takes down what becomes of a value in a destination.
func (s *side) scans(expression string, dest any) {
	err := s.QueryRowContext(s.ctx(), "select "+expression).Scan(dest)
	s.saw(fmt.Sprintf("%s into %T", expression, dest), deref(dest), err)
}

func deref(dest any) any {
	v := reflect.ValueOf(dest)
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	return v.Interface()
}

// columns takes down what is known about the columns.
func (s *side) columns(rows *sql.Rows) {
	names, err := rows.Columns()
	s.saw("names", names, err)
	types, err := rows.ColumnTypes()
	if err != nil {
		s.failed("types", err)
		return
	}
	for _, c := range types {
		length, limited := c.Length()
		precision, scale, decimal := c.DecimalSize()
		nullable, known := c.Nullable()
		s.saw(c.Name(), fmt.Sprint(c.DatabaseTypeName(), " ", c.ScanType(), " ", length, limited, precision, scale, decimal, nullable, known), nil)
	}
}
