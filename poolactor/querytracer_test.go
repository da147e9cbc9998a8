package poolactor

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

// statements is a pgx.QueryTracer and pgx.BatchTracer as people have them: it knows nothing of this pool. It takes down each
// statement, whose context it was, and whether its end came back to where it had begun.
type statements struct {
	mu  sync.Mutex
	all []string
}

type (
	callerKey    struct{}
	statementKey struct{ of *statements }
)

func (s *statements) write(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, fmt.Sprintf(format, args...))
}

func (s *statements) begin(ctx context.Context, sql string) context.Context {
	return context.WithValue(ctx, statementKey{s}, fmt.Sprintf("%v: %s", ctx.Value(callerKey{}), sql))
}

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	return s.begin(ctx, d.SQL)
}

func (s *statements) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryEndData) {
	s.write("%v, %s, failed: %v", ctx.Value(statementKey{s}), d.CommandTag, d.Err != nil)
}

func (s *statements) TraceBatchStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceBatchStartData) context.Context {
	return s.begin(ctx, fmt.Sprintf("batch of %d", d.Batch.Len()))
}

func (s *statements) TraceBatchQuery(ctx context.Context, _ *pgx.Conn, d pgx.TraceBatchQueryData) {
	s.write("%v has %s", ctx.Value(statementKey{s}), d.SQL)
}

func (s *statements) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchEndData) {
	s.write("%v", ctx.Value(statementKey{s}))
}

// TestAnyQueryTracerWorksUnchanged: what is set as ConnConfig.Tracer sees the statements of callers, with their contexts, as
// it does on a connection of pgx.
func TestAnyQueryTracerWorksUnchanged(t *testing.T) {
	seen := &statements{}
	inMemory(t, func(c *Config) { c.ConnConfig.Tracer = seen }, func(t *testing.T, p *Pool, _ *fakepg.Server) {
		ctx := context.WithValue(t.Context(), callerKey{}, "caller")
		_, err := p.Exec(ctx, "set a.b = 'c'")
		require.NoError(t, err)
		require.Equal(t, 7, one(t, ctx, p, "select 7"))
		rows, err := p.Query(ctx, "select 8")
		require.NoError(t, err)
		rows.Close()
		_, err = p.Exec(ctx, "fail 22012")
		require.Error(t, err)
		batch := &pgx.Batch{}
		batch.Queue("select 9")
		require.NoError(t, p.SendBatch(ctx, batch).Close())
		require.NoError(t, p.WithTx(ctx, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "select 10")
			return err
		}))
		require.Equal(t, []string{
			"caller: set a.b = 'c', SET, failed: false",
			"caller: select 7, SELECT 1, failed: false",
			"caller: select 8, SELECT 1, failed: false",
			"caller: fail 22012, , failed: true",
			"caller: batch of 1 has select 9", "caller: batch of 1",
			"caller: begin, BEGIN, failed: false", "caller: select 10, SELECT 1, failed: false", "caller: commit, COMMIT, failed: false",
		}, seen.all)
	})
}
