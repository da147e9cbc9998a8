package pooltest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

// Answer is what a statement is answered with. The zero value is an answer without rows, which says that one row was
// changed where that is what the statement does.
type Answer struct {
	// Args are the arguments that this answer is for, compared as the server would print them: 1, int64(1) and "1" are the
	// same. nil: for any. A call for which there is no answer is an error.
	Args []any

	// Columns are the names of the result's columns. A type behind two colons, as in "id::uuid", is needed where the rows do
	// not show it: where there are none, where a value is nil or a text of another type, or for a smaller integer than
	// int8. Without it a column has the type that pgx takes the first value that is not nil for, else text. All answers to
	// one statement have the columns of the first that has any.
	Columns []string
	// Rows are the result, one value for each column: nil for null, else whatever pgx can encode as the column's type, or a
	// string as the server prints it.
	Rows [][]any
	// Tag is the command tag, of which pgx takes the number of rows: "UPDATE 3". Default: what fits the statement and the
	// number of Rows; without columns, one changed row.
	Tag string

	// Err fails the statement, behind the Rows. Code is its SQLSTATE; without a Severity it is an ERROR. One that is FATAL
	// ends the connection. A scripted COMMIT that fails rolls back.
	Err *pgconn.PgError
	// Disconnect ends the connection instead of an answer.
	Disconnect bool
	// Delay is how long the answer takes. A cancel request ends it with 57014, as does statement_timeout.
	Delay time.Duration
}

// Answer says how a statement is answered: by one of the answers after another, the last of them from then on. Where they
// have Args, that goes for those that fit a call. It replaces what was said of this statement before. Without an answer
// the statement is forgotten.
//
// A connection that has run a statement keeps its columns, as with a real server. A mistake in an answer, such as a row
// that is too short, is what the statement then fails with, by an error of class XX000.
func (s *Server) Answer(sql string, answers ...Answer) { s.book.write(sql, answers) }

// book holds what statements are answered with.
type book struct {
	mu    sync.Mutex // guards all below; held for a few instructions, never while anybody waits
	pages map[string]*page
}

// page is one statement.
type page struct {
	mu      sync.Mutex // guards given and types
	sql     string
	answers []Answer
	given   []bool // which answers were given
	columns []fakepg.Column
	types   *pgtype.Map
}

func (b *book) write(sql string, answers []Answer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pages == nil {
		b.pages = make(map[string]*page)
	}
	key := fakepg.Normal(sql)
	delete(b.pages, key)
	if len(answers) > 0 {
		b.pages[key] = newPage(sql, answers)
	}
}

func (b *book) page(key string) *page {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pages[key]
}

// find is what the server asks about a statement that it parses.
func (b *book) find(sql string) *fakepg.Scripted {
	key := fakepg.Normal(sql)
	p := b.page(key)
	if p == nil {
		return nil
	}
	return &fakepg.Scripted{Columns: p.columns, Answer: func(args []fakepg.Argument) fakepg.Reply {
		if now := b.page(key); now != nil { // it may have been rewritten since the statement was prepared
			return now.answer(args)
		}
		return mistake(sql, errors.New("its answer was taken back"))
	}}
}

func mistake(sql string, err error) fakepg.Reply {
	return fakepg.Reply{Err: &pgconn.PgError{Code: "XX000", Message: fmt.Sprintf("pooltest: %s: %v", sql, err)}}
}

func newPage(sql string, answers []Answer) *page {
	p := &page{sql: sql, answers: answers, given: make([]bool, len(answers)), types: pgtype.NewMap()}
	for _, a := range answers {
		if len(a.Columns) > 0 {
			for i, name := range a.Columns {
				p.columns = append(p.columns, p.column(name, i))
			}
			break
		}
	}
	return p
}

// column finds out the type of a column: from what stands behind its name, else from the first value in it.
func (p *page) column(name string, index int) fakepg.Column {
	if name, kind, explicit := strings.Cut(name, "::"); explicit {
		oid, _ := fakepg.TypeNamed(kind) // 0 is a mistake, which is told when the statement runs
		return fakepg.Column{Name: name, OID: oid}
	}
	for _, a := range p.answers {
		for _, row := range a.Rows {
			if index >= len(row) || row[index] == nil {
				continue
			}
			if known, ok := p.types.TypeForValue(row[index]); ok {
				return fakepg.Column{Name: name, OID: known.OID}
			}
		}
	}
	return fakepg.Column{Name: name, OID: pgtype.TextOID}
}

// answer is one run of the statement.
func (p *page) answer(args []fakepg.Argument) fakepg.Reply {
	p.mu.Lock()
	defer p.mu.Unlock()
	a, err := p.choose(args)
	if err == nil {
		err = p.check(a)
	}
	if err != nil {
		return mistake(p.sql, err)
	}
	return fakepg.Reply{Delay: a.Delay, Disconnect: a.Disconnect, Rows: a.Rows, Err: a.Err, Tag: a.Tag}
}

// choose takes the first answer that fits and was not given, else the last that fits; p.mu is held.
func (p *page) choose(args []fakepg.Argument) (Answer, error) {
	last := -1
	for i, a := range p.answers {
		fits, err := p.fits(a, args)
		if err != nil {
			return a, err
		}
		if !fits {
			continue
		}
		if last = i; !p.given[i] {
			break
		}
	}
	if last < 0 {
		texts := make([]string, len(args))
		for i, arg := range args {
			if texts[i] = arg.Text; arg.Null {
				texts[i] = "null"
			}
		}
		return Answer{}, fmt.Errorf("there is no answer for the arguments %s", strings.Join(texts, ", "))
	}
	p.given[last] = true
	return p.answers[last], nil
}

// fits tells whether an answer is for these arguments.
func (p *page) fits(a Answer, args []fakepg.Argument) (bool, error) {
	if a.Args == nil {
		return true, nil
	}
	if len(a.Args) != len(args) {
		return false, fmt.Errorf("an answer is for %d arguments, the statement has %d", len(a.Args), len(args))
	}
	for i, want := range a.Args {
		text, err := p.types.Encode(args[i].OID, pgtype.TextFormatCode, want, []byte{})
		if err != nil {
			return false, fmt.Errorf("argument %d of an answer: %w", i+1, err)
		}
		if args[i].Null != (text == nil) || string(text) != args[i].Text {
			return false, nil
		}
	}
	return true, nil
}

// check says what is wrong with an answer.
func (p *page) check(a Answer) error {
	if n := len(a.Columns); n > 0 && n != len(p.columns) {
		return fmt.Errorf("an answer has %d columns, the first has %d", n, len(p.columns))
	}
	for _, c := range p.columns {
		if c.OID == 0 {
			return fmt.Errorf("the type of the column %s is not known: take one of pgtype's, as in \"id::int8\"", c.Name)
		}
	}
	for i, row := range a.Rows {
		if len(row) != len(p.columns) {
			return fmt.Errorf("row %d of an answer has %d values for %d columns", i+1, len(row), len(p.columns))
		}
	}
	return nil
}
