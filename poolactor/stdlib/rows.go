package stdlib

import (
	"database/sql/driver"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// rows are the rows of a query, each value as one that database/sql knows.
type rows struct {
	inner    pgx.Rows
	fields   []pgconn.FieldDescription
	decoders []decoder // made with the first value
	first    bool      // the first row was read, or found missing, and nobody has asked for it yet
	more     bool      // what that has found
}

var (
	_ driver.RowsColumnTypeDatabaseTypeName = (*rows)(nil)
	_ driver.RowsColumnTypeLength           = (*rows)(nil)
	_ driver.RowsColumnTypePrecisionScale   = (*rows)(nil)
	_ driver.RowsColumnTypeScanType         = (*rows)(nil)
)

// newRows reads the first row: only then is it known whether the statement was sent, whether the server takes it, and
// with every protocol, what columns it has. The error is that of the statement, and the rows are closed then.
func newRows(inner pgx.Rows) (*rows, error) {
	more := inner.Next()
	if err := inner.Err(); err != nil {
		inner.Close()
		return nil, err
	}
	return &rows{inner: inner, fields: inner.FieldDescriptions(), first: true, more: more}, nil
}

func (r *rows) Columns() []string {
	names := make([]string, len(r.fields))
	for i, f := range r.fields {
		names[i] = f.Name
	}
	return names
}

func (r *rows) Close() error {
	r.inner.Close()
	return r.inner.Err()
}

func (r *rows) Next(dest []driver.Value) error {
	if err := r.NextRow(); err != nil {
		return err
	}
	for i := range dest {
		var err error
		if dest[i], err = r.value(i); err != nil {
			return fmt.Errorf("stdlib: column %d, %q: %w", i, r.fields[i].Name, err)
		}
	}
	return nil
}

// NextRow goes to the next row; io.EOF says that there is none.
func (r *rows) NextRow() error {
	more := r.more
	if !r.first {
		more = r.inner.Next()
	}
	r.first = false
	if more {
		return nil
	}
	if err := r.inner.Err(); err != nil {
		return err
	}
	return io.EOF
}

// value is one of the row's, as database/sql knows it.
func (r *rows) value(i int) (driver.Value, error) {
	raw := r.inner.RawValues()[i]
	if raw == nil {
		return nil, nil
	}
	if r.decoders == nil {
		r.decoders = decodersFor(r.inner.TypeMap(), r.fields)
	}
	return r.decoders[i](raw)
}

// ColumnTypeDatabaseTypeName is the name of a type that the connection knows, in capital letters, or the number of
// another.
func (r *rows) ColumnTypeDatabaseTypeName(i int) string {
	oid := r.fields[i].DataTypeOID
	if known, ok := r.inner.TypeMap().TypeForOID(oid); ok {
		return strings.ToUpper(known.Name)
	}
	return strconv.FormatUint(uint64(oid), 10)
}

// lengthHeader is by how much the server's word on the size of varchar, bpchar and numeric is larger than that.
const lengthHeader = 4

// ColumnTypeLength is how long values can be of a type whose values differ in length.
func (r *rows) ColumnTypeLength(i int) (int64, bool) {
	limit := int64(r.fields[i].TypeModifier) // negative: there is none
	switch r.fields[i].DataTypeOID {
	case pgtype.TextOID, pgtype.ByteaOID:
		return math.MaxInt64, true
	case pgtype.VarcharOID, pgtype.BPCharOID:
		limit -= lengthHeader
	case pgtype.VarbitOID:
	default:
		return 0, false
	}
	if limit < 0 {
		limit = math.MaxInt64
	}
	return limit, true
}

// ColumnTypePrecisionScale is what a numeric was declared with.
func (r *rows) ColumnTypePrecisionScale(i int) (precision, scale int64, ok bool) {
	declared := r.fields[i].TypeModifier - lengthHeader // negative: with nothing
	if r.fields[i].DataTypeOID != pgtype.NumericOID || declared < 0 {
		return 0, 0, false
	}
	return int64(declared >> 16), numericScale(declared), true
}

// numericScale is a number of 11 bits, the sign among them: a numeric(3, -2) counts in hundreds.
func numericScale(declared int32) int64 { return int64(declared&0x7ff^0x400) - 0x400 }

var scanTypes = map[uint32]reflect.Type{
	pgtype.BoolOID:        reflect.TypeFor[bool](),
	pgtype.Int2OID:        reflect.TypeFor[int16](),
	pgtype.Int4OID:        reflect.TypeFor[int32](),
	pgtype.Int8OID:        reflect.TypeFor[int64](),
	pgtype.Float4OID:      reflect.TypeFor[float32](),
	pgtype.Float8OID:      reflect.TypeFor[float64](),
	pgtype.NumericOID:     reflect.TypeFor[float64](),
	pgtype.ByteaOID:       reflect.TypeFor[[]byte](),
	pgtype.DateOID:        reflect.TypeFor[time.Time](),
	pgtype.TimestampOID:   reflect.TypeFor[time.Time](),
	pgtype.TimestamptzOID: reflect.TypeFor[time.Time](),
}

// ColumnTypeScanType is a type into which values can be scanned that are not null: string, if there is none better.
func (r *rows) ColumnTypeScanType(i int) reflect.Type {
	if t, ok := scanTypes[r.fields[i].DataTypeOID]; ok {
		return t
	}
	return reflect.TypeFor[string]()
}
