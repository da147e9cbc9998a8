//go:build go1.27

package stdlib

import (
	"database/sql"
	"database/sql/driver"
	"reflect"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
)

// From Go 1.27 on, database/sql has the rows themselves scan a value, so that pgx can do it where database/sql cannot.
var _ driver.RowsColumnScanner = (*rows)(nil)

// ScanColumn scans a value of the row that NextRow went to. What database/sql knows how to fill, it fills, as ever; slices,
// maps, structs and the types of pgtype are filled by pgx.
func (r *rows) ScanColumn(ctx driver.ScanContext, i int, dest any) error {
	if v := reflect.ValueOf(dest); v.Kind() == reflect.Pointer && !v.IsNil() && !isStandard(v.Type()) {
		field := r.fields[i]
		return r.inner.TypeMap().Scan(field.DataTypeOID, field.Format, r.inner.RawValues()[i], dest)
	}
	value, err := r.value(i)
	if err != nil {
		return err
	}
	return sql.ConvertAssign(ctx, dest, value)
}

// standard remembers what isStandard found out: it is asked for each value.
var standard sync.Map // reflect.Type -> bool

// isStandard tells whether database/sql fills destinations of a type.
func isStandard(t reflect.Type) bool {
	known, ok := standard.Load(t)
	if !ok {
		known, _ = standard.LoadOrStore(t, looksStandard(t))
	}
	return known.(bool)
}

// maxPointers is more than anybody puts before a value. A type that points to itself has no end of them.
const maxPointers = 8

func looksStandard(t reflect.Type) bool {
	for range maxPointers {
		switch {
		case t.Implements(reflect.TypeFor[sql.Scanner]()):
			return true
		case t.Implements(reflect.TypeFor[pgtype.ArraySetter]()), t.Implements(reflect.TypeFor[pgtype.BytesScanner]()):
			return false // though it may be a []byte
		case t.Kind() != reflect.Pointer:
			return isStandardValue(t)
		}
		t = t.Elem()
	}
	return false
}

func isStandardValue(t reflect.Type) bool {
	switch kind := t.Kind(); {
	case kind >= reflect.Bool && kind <= reflect.Float64 && kind != reflect.Uintptr, kind == reflect.String, kind == reflect.Interface:
		return true
	case kind == reflect.Slice:
		return t.Elem().Kind() == reflect.Uint8
	case kind == reflect.Struct:
		return t.ConvertibleTo(reflect.TypeFor[time.Time]())
	default:
		return false
	}
}
