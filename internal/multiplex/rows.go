package multiplex

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// Rows are the answer to one statement, which is there as a whole: pgx rows that need no connection.
type Rows struct {
	r    *request // nil when they are closed; it goes back to the group with release
	p    *part
	done func(*request) // nil: the request is somebody else's

	fields []pgconn.FieldDescription
	m      *pgtype.Map
	rest   []byte // what comes after the current row
	values [][]byte
	plans  []pgtype.ScanPlan
	kinds  []reflect.Type
	tag    pgconn.CommandTag
	err    error
	end    error // what Err says once they are closed
}

// newRows makes rows of a part; done gets the request when they are closed.
func newRows(r *request, p *part, end error, done func(*request)) *Rows {
	return &Rows{
		r: r, p: p, done: done, fields: p.fields, m: r.kit.m, rest: p.rows,
		tag: pgconn.NewCommandTag(p.tag), end: end,
	}
}

// Close ends the rows. The values of the last one are gone with it.
func (r *Rows) Close() {
	if r.r == nil {
		return
	}
	if r.err == nil {
		r.err = r.end
	}
	q := r.r
	r.r, r.p, r.rest, r.values, r.plans, r.kinds = nil, nil, nil, nil, nil, nil
	if r.done != nil {
		r.m = nil
		r.done(q)
	}
}

// Err is nil until the rows are closed.
func (r *Rows) Err() error { return r.err }

// CommandTag says what the statement did, once the rows are closed.
func (r *Rows) CommandTag() pgconn.CommandTag {
	if r.r != nil {
		return pgconn.CommandTag{}
	}
	return r.tag
}

// FieldDescriptions are those of the columns.
func (r *Rows) FieldDescriptions() []pgconn.FieldDescription { return r.fields }

var errMalformed = errors.New("multiplex: a row of the server's is malformed")

// Next goes to the next row, and closes the rows if there is none.
func (r *Rows) Next() bool {
	if r.r == nil {
		return false
	}
	if len(r.rest) == 0 {
		r.Close()
		return false
	}
	if !r.cut() {
		r.fail(errMalformed)
		return false
	}
	return true
}

// cut takes one row off the front of the rest.
func (r *Rows) cut() bool {
	if len(r.rest) < 2 {
		return false
	}
	columns := int(binary.BigEndian.Uint16(r.rest))
	rest := r.rest[2:]
	if cap(r.values) < columns {
		r.values = make([][]byte, columns)
	}
	r.values = r.values[:columns]
	for i := range r.values {
		if len(rest) < 4 {
			return false
		}
		n := int32(binary.BigEndian.Uint32(rest))
		rest = rest[4:]
		if n < 0 {
			r.values[i] = nil
			continue
		}
		if int(n) > len(rest) {
			return false
		}
		r.values[i], rest = rest[:n:n], rest[n:]
	}
	r.rest = rest
	return true
}

func (r *Rows) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.Close()
}

var errClosed = errors.New("rows is closed")

// Scan reads the current row; it closes the rows if it fails.
func (r *Rows) Scan(dest ...any) error {
	if r.r == nil {
		return errors.Join(errClosed, r.err)
	}
	if len(dest) == 1 {
		if s, ok := dest[0].(pgx.RowScanner); ok {
			err := s.ScanRow(r)
			if err != nil {
				r.fail(err)
			}
			return err
		}
	}
	err := r.scan(dest)
	if err != nil {
		r.fail(err)
	}
	return err
}

func (r *Rows) scan(dest []any) error {
	switch {
	case len(r.fields) != len(r.values):
		return fmt.Errorf("number of field descriptions must equal number of values, got %d and %d", len(r.fields), len(r.values))
	case len(r.fields) != len(dest):
		return fmt.Errorf("number of field descriptions must equal number of destinations, got %d and %d", len(r.fields), len(dest))
	}
	if r.plans == nil {
		r.plans, r.kinds = make([]pgtype.ScanPlan, len(dest)), make([]reflect.Type, len(dest))
	}
	for i, d := range dest {
		if d == nil {
			continue
		}
		if kind := reflect.TypeOf(d); r.kinds[i] != kind {
			r.plans[i] = r.m.PlanScan(r.fields[i].DataTypeOID, r.fields[i].Format, d)
			r.kinds[i] = kind
		}
		if err := r.plans[i].Scan(r.values[i], d); err != nil {
			return pgx.ScanArgError{ColumnIndex: i, FieldName: r.fields[i].Name, Err: err}
		}
	}
	return nil
}

// Values decodes the current row.
func (r *Rows) Values() ([]any, error) {
	if r.r == nil {
		return nil, errClosed
	}
	if len(r.values) != len(r.fields) {
		r.fail(errMalformed)
		return nil, errMalformed
	}
	values := make([]any, 0, len(r.values))
	for i, raw := range r.values {
		v, err := r.value(&r.fields[i], raw)
		if err != nil {
			r.fail(err)
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}

func (r *Rows) value(f *pgconn.FieldDescription, raw []byte) (any, error) {
	if raw == nil {
		return nil, nil
	}
	if t, known := r.m.TypeForOID(f.DataTypeOID); known {
		return t.Codec.DecodeValue(r.m, f.DataTypeOID, f.Format, raw)
	}
	if f.Format == pgtype.TextFormatCode {
		return string(raw), nil
	}
	return append([]byte(nil), raw...), nil
}

// RawValues are the current row as it came, valid until the next one or the end.
func (r *Rows) RawValues() [][]byte { return r.values }

// Conn is nil: the rows have none.
func (r *Rows) Conn() *pgx.Conn { return nil }

// TypeMap is what the values are decoded with; it is this caller's alone until the rows are closed.
func (r *Rows) TypeMap() *pgtype.Map { return r.m }
