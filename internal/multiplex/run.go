package multiplex

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Statement is one statement with its arguments.
type Statement struct {
	Text *Text
	Args []any
}

// Options say how statements are run.
type Options struct {
	// Idempotent: the statement may run twice, so what was lost with a connection goes elsewhere.
	Idempotent bool
}

// Exec runs one statement and drops its rows. Errors: ErrElsewhere, *LostError, *pgconn.PgError, the context's, pgx's own
// about arguments.
func (g *Group) Exec(ctx context.Context, s Statement, o Options) (pgconn.CommandTag, error) {
	r, err := g.run(ctx, []Statement{s}, o)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	tag, err := pgconn.NewCommandTag(r.parts[0].tag), r.outcome(0)
	g.recycle(r)
	return tag, err
}

// Query runs one statement. What the server has refused while the statement ran is the error of the rows. Other errors are
// those of Exec.
func (g *Group) Query(ctx context.Context, s Statement, o Options) (*Rows, error) {
	r, err := g.run(ctx, []Statement{s}, o)
	if err != nil {
		return nil, err
	}
	return newRows(r, &r.parts[0], r.outcome(0), g.recycle), nil
}

// outcome is the error of a part of a request that was answered.
func (r *request) outcome(i int) error {
	if e := r.parts[i].err; e != nil {
		return e
	}
	if r.failed != nil && i == len(r.parts)-1 {
		return r.failed
	}
	return nil
}

// run sends statements as one request, and returns it with its answers. They are one transaction.
func (g *Group) run(ctx context.Context, statements []Statement, o Options) (*request, error) {
	if g.open.Load() == 0 {
		g.openFirst()
		return nil, ErrElsewhere
	}
	r := g.request()
	for range 2 { // once more with a new description
		mine, err := g.attempt(ctx, r, statements, o)
		switch {
		case !mine:
			return nil, err
		case err == nil:
			return r, nil
		case !errors.Is(err, errOutdated):
			g.recycle(r)
			return nil, err
		}
	}
	for _, s := range statements {
		s.Text.avoid() // it is not the description
	}
	g.recycle(r)
	return nil, ErrElsewhere
}

// errOutdated says that nothing has run, because a description was not up to date.
var errOutdated = errors.New("multiplex: a statement is to be described anew")

// attempt sends statements once. The request is the caller's again if it says so.
func (g *Group) attempt(ctx context.Context, r *request, statements []Statement, o Options) (mine bool, err error) {
	for _, s := range statements {
		if s.Text.described.Load() == nil {
			if mine, err := g.describe(ctx, r, s.Text); err != nil {
				return mine, err
			}
		}
	}
	if err := r.compose(statements, o); err != nil {
		return true, err
	}
	if mine, err := g.submit(ctx, r); err != nil {
		return mine, err
	}
	return true, r.judge()
}

// compose encodes statements into the request.
func (r *request) compose(statements []Statement, o Options) error {
	r.reset()
	r.repeatable = o.Idempotent
	again := true // all of it can be read again
	for _, s := range statements {
		again = again && (s.Text.Reads || o.Idempotent)
	}
	for _, s := range statements {
		d := s.Text.described.Load()
		if d == nil || len(d.params) != len(s.Args) {
			return ErrElsewhere // where the error is pgx's own
		}
		if err := r.bind(s.Text, d, s.Args, again); err != nil {
			return ErrElsewhere
		}
	}
	if len(r.wire) > maxBytes {
		return ErrElsewhere // others would wait until it is written
	}
	return nil
}

// describe asks the server what a statement is like. Only one caller does; others go elsewhere meanwhile.
func (g *Group) describe(ctx context.Context, r *request, t *Text) (mine bool, err error) {
	if !t.describing.CompareAndSwap(false, true) {
		return true, ErrElsewhere
	}
	defer t.describing.Store(false)
	r.reset()
	r.describes, r.repeatable = true, true
	d := newDescription(t.sql)
	r.add(t, d)
	if mine, err := g.submit(ctx, r); err != nil {
		var lost *LostError
		if errors.As(err, &lost) {
			err = lost.Err // nothing has run
		}
		return mine, err
	}
	if r.parts[0].err != nil || r.failed != nil || !d.settle(r.kit.m) {
		t.avoid()
		return true, ErrElsewhere
	}
	t.described.Store(d)
	return true, nil
}

// judge says what is to be done about an answer; nil: it is good, whatever it says.
func (r *request) judge() error {
	if r.lost != nil {
		return &LostError{Err: r.lost}
	}
	again := true
	over := false
	for i := range r.parts {
		p := &r.parts[i]
		again = again && p.limited
		over = over || p.over
		if len(p.rows) > maxBytes || p.over {
			p.text.avoid()
		}
		if p.err != nil {
			return p.misfit()
		}
	}
	if over && again {
		return ErrElsewhere
	}
	return nil
}

// misfit tells whether an error came before anything had run, because the statement is not what it was described as.
func (p *part) misfit() error {
	switch {
	case p.phase == unseen && p.prepares: // the server takes the text no more, with these types at least
		p.text.outdated(p.d)
		p.text.avoid()
		return ErrElsewhere
	case p.phase != parsed:
		return nil
	}
	if outdates(p.err.Code) {
		p.text.outdated(p.d)
		return errOutdated
	}
	return nil
}

// outdates tells whether an error with which a statement was refused before it ran may come of the way it was described.
// Else it is the caller's: a value of an argument, a time-out behind a lock.
func outdates(code string) bool {
	switch code {
	case "0A000", // cached plan must not change result type
		"08P01", // there are more columns, or less
		"26000", // somebody has made the server forget it
		"XX000": // what it was made of is not there any more
		return true
	default:
		return strings.HasPrefix(code, "42") // the names and types in it mean something else, or nothing
	}
}

// Rewrite applies what pgx calls a query rewriter, and tells whether the arguments can go to a lane then: other options of
// pgx's do not.
func Rewrite(ctx context.Context, sql string, args []any) (string, []any, bool) {
	if len(args) == 0 {
		return sql, args, true
	}
	switch a := args[0].(type) {
	case pgx.NamedArgs:
		return rewritten(a.RewriteQuery(ctx, nil, sql, args[1:]))
	case pgx.StrictNamedArgs:
		return rewritten(a.RewriteQuery(ctx, nil, sql, args[1:]))
	case pgx.QueryExecMode, pgx.QueryResultFormats, pgx.QueryResultFormatsByOID, pgx.QueryRewriter:
		return sql, args, false
	default:
		return sql, args, true
	}
}

func rewritten(sql string, args []any, err error) (string, []any, bool) { return sql, args, err == nil }
