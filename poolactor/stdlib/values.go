package stdlib

import (
	"database/sql/driver"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// resultFormats asks for the binary format of those types that have one in database/sql. Everything else comes as text,
// which is what a program gets to see of it.
var resultFormats = pgx.QueryResultFormatsByOID{
	pgtype.BoolOID:        pgx.BinaryFormatCode,
	pgtype.ByteaOID:       pgx.BinaryFormatCode,
	pgtype.CIDOID:         pgx.BinaryFormatCode,
	pgtype.DateOID:        pgx.BinaryFormatCode,
	pgtype.Float4OID:      pgx.BinaryFormatCode,
	pgtype.Float8OID:      pgx.BinaryFormatCode,
	pgtype.Int2OID:        pgx.BinaryFormatCode,
	pgtype.Int4OID:        pgx.BinaryFormatCode,
	pgtype.Int8OID:        pgx.BinaryFormatCode,
	pgtype.OIDOID:         pgx.BinaryFormatCode,
	pgtype.TimestampOID:   pgx.BinaryFormatCode,
	pgtype.TimestamptzOID: pgx.BinaryFormatCode,
	pgtype.XIDOID:         pgx.BinaryFormatCode,
}

// decoder makes of what the server has sent for a value, which was not null, what database/sql is given of it.
type decoder func(raw []byte) (driver.Value, error)

func decodersFor(types *pgtype.Map, fields []pgconn.FieldDescription) []decoder {
	all := make([]decoder, len(fields))
	for i, f := range fields {
		decoded, ok := byType[f.DataTypeOID]
		if !ok {
			decoded = plain[string]
		}
		all[i] = decoded(types, f)
	}
	return all
}

// byType are those of the types that do not become a string.
var byType = map[uint32]func(*pgtype.Map, pgconn.FieldDescription) decoder{
	pgtype.BoolOID:        plain[bool],
	pgtype.Int2OID:        plain[int64],
	pgtype.Int4OID:        plain[int64],
	pgtype.Int8OID:        plain[int64],
	pgtype.Float4OID:      float4,
	pgtype.Float8OID:      plain[float64],
	pgtype.ByteaOID:       plain[[]byte],
	pgtype.JSONOID:        plain[[]byte],
	pgtype.JSONBOID:       plain[[]byte],
	pgtype.XMLOID:         plain[[]byte],
	pgtype.CIDOID:         valued[pgtype.Uint32],
	pgtype.OIDOID:         valued[pgtype.Uint32],
	pgtype.XIDOID:         valued[pgtype.Uint32],
	pgtype.DateOID:        valued[pgtype.Date],
	pgtype.TimestampOID:   valued[pgtype.Timestamp],
	pgtype.TimestamptzOID: valued[pgtype.Timestamptz],
}

// plain is for Go types that are those of database/sql.
func plain[T any](types *pgtype.Map, f pgconn.FieldDescription) decoder {
	var value T
	plan := types.PlanScan(f.DataTypeOID, f.Format, &value)
	return func(raw []byte) (driver.Value, error) {
		if err := plan.Scan(raw, &value); err != nil {
			return nil, err
		}
		return value, nil
	}
}

// float4 is the same number whether it came in binary or as text.
func float4(types *pgtype.Map, f pgconn.FieldDescription) decoder {
	narrow := plain[float32](types, f)
	return func(raw []byte) (driver.Value, error) {
		value, err := narrow(raw)
		if err != nil {
			return nil, err
		}
		return float64(value.(float32)), nil
	}
}

// valued is for types of pgtype, which can say what they are in database/sql: an infinite time is a string there.
func valued[T driver.Valuer](types *pgtype.Map, f pgconn.FieldDescription) decoder {
	var value T
	plan := types.PlanScan(f.DataTypeOID, f.Format, &value)
	return func(raw []byte) (driver.Value, error) {
		if err := plan.Scan(raw, &value); err != nil {
			return nil, err
		}
		return value.Value()
	}
}
