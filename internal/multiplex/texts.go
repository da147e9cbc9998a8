package multiplex

import (
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// Text is what is known about the text of a statement.
type Text struct {
	Class
	sql string
	// described is nil until the server has described the statement, and after it turned out to be out of date.
	described atomic.Pointer[description]
	// describing: somebody is asking the server.
	describing atomic.Bool
	// seen: it was used before. A text that is used once only is not worth preparing.
	seen atomic.Bool
	// avoided is how many of the next uses are to go elsewhere.
	avoided atomic.Int32
	// tag is the last command tag, so that equal ones are one string.
	tag atomic.Pointer[string]
}

// avoidance is for how many uses a text goes elsewhere that did the others no good: it was slow, or its result large.
const avoidance = 64

func (t *Text) avoid() { t.avoided.Store(avoidance) }

// Passes tells whether the text may share this time.
func (t *Text) Passes() bool {
	switch {
	case !t.seen.Load():
		t.seen.Store(true)
		return false
	case t.avoided.Load() > 0:
		t.avoided.Add(-1)
		return false
	default:
		return true
	}
}

// commandTag makes the tag of an answer. Most answers to a text have the same.
func (t *Text) commandTag(tag []byte) string {
	if last := t.tag.Load(); last != nil && *last == string(tag) {
		return *last
	}
	made := string(tag)
	t.tag.Store(&made)
	return made
}

// outdated makes the next use describe the statement again.
func (t *Text) outdated(d *description) { t.described.CompareAndSwap(d, nil) }

// description is what the server said about a statement. It does not change once it stands in a Text.
type description struct {
	name    string // under which every lane prepares it
	sql     string
	params  []uint32
	fields  []pgconn.FieldDescription // with the formats that results are asked for in
	formats []int16
	sd      pgconn.StatementDescription // the same for pgx's encoder
}

var names atomic.Uint64

// newDescription is one that the server has still to fill in.
func newDescription(sql string) *description {
	return &description{name: "shared_" + strconv.FormatUint(names.Add(1), 36), sql: sql}
}

// settle ends the description; false: the statement has a parameter of a type that the map does not know, and how to send
// that is for pgx to find out.
func (d *description) settle(m *pgtype.Map) bool {
	for _, oid := range d.params {
		if _, known := m.TypeForOID(oid); !known {
			return false
		}
	}
	d.formats = make([]int16, len(d.fields))
	for i := range d.fields {
		d.formats[i] = m.FormatCodeForOID(d.fields[i].DataTypeOID)
		d.fields[i].Format = d.formats[i]
	}
	d.sd = pgconn.StatementDescription{Name: d.name, SQL: d.sql, ParamOIDs: d.params, Fields: d.fields}
	return true
}

// maxTexts is how many texts are kept in each of two ages. pgx keeps 512 statements for each connection.
const maxTexts = 512

// Texts keeps what is known about texts: those in use lately, the others are forgotten. When the young are too many they
// become the old, and the old are gone; whoever is looked up among the old is young again.
type Texts struct {
	mu    sync.RWMutex
	young map[string]*Text
	old   map[string]*Text
}

// longest is how long a text may be to be kept, and to share: its neighbours on a lane would wait until it is written there,
// and a thousand texts are to have room in memory. Whoever writes data into his statements seldom writes the same again.
const longest = 32 << 10

// Of looks a text up, and looks at it if it is new.
func (t *Texts) Of(sql string) *Text {
	if len(sql) > longest {
		long := &Text{Class: Classify(sql), sql: sql}
		if long.Verdict == Shared {
			long.Class = Class{Verdict: Elsewhere}
		}
		return long
	}
	t.mu.RLock()
	known := t.young[sql]
	t.mu.RUnlock()
	if known != nil {
		return known
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if known = t.young[sql]; known != nil {
		return known
	}
	if known = t.old[sql]; known == nil {
		known = &Text{Class: Classify(sql), sql: sql}
	}
	if t.young == nil || len(t.young) >= maxTexts {
		t.old, t.young = t.young, make(map[string]*Text)
	}
	t.young[sql] = known
	return known
}
