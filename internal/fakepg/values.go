package fakepg

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgtype"
)

// voidOID is the type of pg_sleep's result, which pgtype does not name.
const voidOID = 2278

// dataType is a type that values here can have.
type dataType struct {
	name string
	size int16 // as RowDescription tells it; -1: any
}

var dataTypes = map[uint32]dataType{
	pgtype.BoolOID:    {"bool", 1},
	pgtype.Int2OID:    {"int2", 2},
	pgtype.Int4OID:    {"int4", 4},
	pgtype.Int8OID:    {"int8", 8},
	pgtype.Float8OID:  {"float8", 8},
	pgtype.TextOID:    {"text", -1},
	pgtype.VarcharOID: {"varchar", -1},
	voidOID:           {"void", 4},
}

// typeNames is how statements may call the types.
var typeNames = map[string]uint32{
	"bool": pgtype.BoolOID, "boolean": pgtype.BoolOID,
	"smallint": pgtype.Int2OID, "int2": pgtype.Int2OID,
	"int": pgtype.Int4OID, "integer": pgtype.Int4OID, "int4": pgtype.Int4OID,
	"bigint": pgtype.Int8OID, "int8": pgtype.Int8OID,
	"float8": pgtype.Float8OID,
	"text":   pgtype.TextOID, "varchar": pgtype.VarcharOID,
}

// datum is a value in its text form, whatever its type.
type datum struct {
	text string
	null bool
}

// column is one column of a result.
type column struct {
	name string
	oid  uint32
}

func isInteger(oid uint32) bool {
	return oid == pgtype.Int2OID || oid == pgtype.Int4OID || oid == pgtype.Int8OID
}

// cast checks that a value can have a type, and gives it the form that it has there.
func cast(d datum, oid uint32) (datum, error) {
	if d.null {
		return d, nil
	}
	invalid := func() error {
		return failed("22P02", fmt.Sprintf("invalid input syntax for type %s: %q", dataTypes[oid].name, d.text))
	}
	switch {
	case isInteger(oid):
		number, err := strconv.ParseInt(d.text, 10, int(dataTypes[oid].size)*8)
		if err != nil {
			return d, invalid()
		}
		return datum{text: strconv.FormatInt(number, 10)}, nil
	case oid == pgtype.Float8OID:
		if _, err := strconv.ParseFloat(d.text, 64); err != nil {
			return d, invalid()
		}
	case oid == pgtype.BoolOID:
		truth, err := strconv.ParseBool(d.text)
		if err != nil {
			return d, invalid()
		}
		return boolean(truth), nil
	}
	return d, nil
}

func boolean(truth bool) datum {
	if truth {
		return datum{text: "t"}
	}
	return datum{text: "f"}
}

// encode gives a value the form that a client asked for; nil is null.
func encode(d datum, oid uint32, format int16) []byte {
	if d.null {
		return nil
	}
	if format == pgtype.BinaryFormatCode {
		switch oid {
		case pgtype.BoolOID:
			if d.text == "t" {
				return []byte{1}
			}
			return []byte{0}
		case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID:
			number, _ := strconv.ParseInt(d.text, 10, 64) // cast has seen it
			wide := binary.BigEndian.AppendUint64(nil, uint64(number))
			return wide[8-dataTypes[oid].size:]
		case pgtype.Float8OID:
			number, _ := strconv.ParseFloat(d.text, 64) // likewise
			return binary.BigEndian.AppendUint64(nil, math.Float64bits(number))
		}
	}
	return []byte(d.text)
}

// decode reads a parameter.
func decode(raw []byte, oid uint32, format int16) (datum, error) {
	if raw == nil {
		return datum{null: true}, nil
	}
	if format != pgtype.BinaryFormatCode {
		return cast(datum{text: string(raw)}, oid)
	}
	if size := dataTypes[oid].size; size > 0 && len(raw) != int(size) {
		return datum{}, failed("22P03", "incorrect binary data format in a bind parameter")
	}
	switch oid {
	case pgtype.BoolOID:
		return boolean(raw[0] != 0), nil
	case pgtype.Int2OID:
		return integer(int64(int16(binary.BigEndian.Uint16(raw)))), nil
	case pgtype.Int4OID:
		return integer(int64(int32(binary.BigEndian.Uint32(raw)))), nil
	case pgtype.Int8OID:
		return integer(int64(binary.BigEndian.Uint64(raw))), nil
	case pgtype.Float8OID:
		number := math.Float64frombits(binary.BigEndian.Uint64(raw))
		return datum{text: strconv.FormatFloat(number, 'g', -1, 64)}, nil
	default:
		return datum{text: string(raw)}, nil
	}
}

func integer(number int64) datum { return datum{text: strconv.FormatInt(number, 10)} }

// formatOf is the format of value i by the rules of Bind: none means text, one means that for all.
func formatOf(formats []int16, i int) int16 {
	switch {
	case len(formats) == 1:
		return formats[0]
	case i < len(formats):
		return formats[i]
	default:
		return pgtype.TextFormatCode
	}
}

// rowDescription describes a result in the formats that Bind asked for.
func rowDescription(columns []column, formats []int16) *pgproto3.RowDescription {
	fields := make([]pgproto3.FieldDescription, len(columns))
	for i, c := range columns {
		fields[i] = pgproto3.FieldDescription{
			Name:         []byte(c.name),
			DataTypeOID:  c.oid,
			DataTypeSize: dataTypes[c.oid].size,
			TypeModifier: -1,
			Format:       formatOf(formats, i),
		}
	}
	return &pgproto3.RowDescription{Fields: fields}
}
