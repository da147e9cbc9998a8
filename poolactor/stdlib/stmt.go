package stdlib

import (
	"context"
	"database/sql/driver"
	"errors"
	"sync"

	"github.com/jackc/pgx/v5"
)

// stmt is a prepared statement on a lease. What the server has of it is in pgx's cache, so there is nothing to close.
type stmt struct {
	conn  *Conn
	query string
	plan  plan
}

var (
	_ driver.StmtExecContext  = (*stmt)(nil)
	_ driver.StmtQueryContext = (*stmt)(nil)
)

func (s *stmt) Close() error  { return nil }
func (s *stmt) NumInput() int { return s.plan.parameters }

func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.conn.exec(ctx, s.query, arguments(args, s.plan.mode))
}

func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.conn.query(ctx, s.query, arguments(args, resultFormats, s.plan.mode))
}

var errNoContext = errors.New("stdlib: a statement is executed with a context")

func (*stmt) Exec([]driver.Value) (driver.Result, error) { return nil, errNoContext }
func (*stmt) Query([]driver.Value) (driver.Rows, error)  { return nil, errNoContext }

// plan is what is known of a text that was prepared.
type plan struct {
	parameters int               // how many arguments it takes, which follows from the text alone
	mode       pgx.QueryExecMode // how it is executed
}

// askPlan has the server look at a text. The statement has no name there, so nothing of it is left.
func askPlan(ctx context.Context, conn *pgx.Conn, query string) (plan, error) {
	described, err := conn.Prepare(ctx, "", query)
	if err != nil {
		return plan{}, err
	}
	return plan{parameters: len(described.ParamOIDs), mode: modeFor(conn.Config())}, nil
}

// modeFor is how statements are executed that were prepared. Each of the three modes has the server say what types the
// arguments have, as whoever prepares a statement expects. Those who chose another mode do not want statements to stay on
// the server, most often for a proxy's sake: theirs are described once on each connection.
func modeFor(c *pgx.ConnConfig) pgx.QueryExecMode {
	switch {
	case c.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement && c.StatementCacheCapacity > 0:
		return pgx.QueryExecModeCacheStatement
	case c.DefaultQueryExecMode != pgx.QueryExecModeDescribeExec && c.DescriptionCacheCapacity > 0:
		return pgx.QueryExecModeCacheDescribe
	default:
		return pgx.QueryExecModeDescribeExec
	}
}

// maxPlans bounds what is remembered, for programs that make up their texts as they go. It is twice what a connection
// keeps of them.
const maxPlans = 1024

// plans are the texts that were prepared on a pool. Leases come and go; to prepare again is free.
type plans struct {
	mu  sync.Mutex
	all map[string]plan
}

func newPlans() *plans { return &plans{all: make(map[string]plan)} }

func (p *plans) of(query string) (plan, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, ok := p.all[query]
	return known, ok
}

func (p *plans) keep(query string, asked plan) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.all) >= maxPlans {
		clear(p.all)
	}
	p.all[query] = asked
}
