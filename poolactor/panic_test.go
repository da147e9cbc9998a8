package poolactor

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

// tracer is a user's tracer that does something at one of the moments that pgx tells it of.
type tracer struct {
	at string
	do func()
}

func (t *tracer) hit(at string) {
	if t.at == at {
		t.do()
	}
}

func (t *tracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	t.hit("query start")
	return ctx
}

func (t *tracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) { t.hit("query end") }

func (t *tracer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	t.hit("batch start")
	return ctx
}

func (t *tracer) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {
	t.hit("batch query")
}

func (t *tracer) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {
	t.hit("batch end")
}

func (t *tracer) TracePrepareStart(ctx context.Context, _ *pgx.Conn, _ pgx.TracePrepareStartData) context.Context {
	t.hit("prepare start")
	return ctx
}

func (t *tracer) TracePrepareEnd(context.Context, *pgx.Conn, pgx.TracePrepareEndData) {
	t.hit("prepare end")
}

// Whatever ends a caller's goroutine or panics in a tracer or a function of a batch, the call has given its lease back
// by then, also if its caller closes nothing, and the next one is served.
func TestAPanicLeavesNoLeaseBehind(t *testing.T) {
	read := func(ctx context.Context, p *Pool) {
		rows, err := p.Query(ctx, "select $1::int", 1)
		if err == nil {
			for rows.Next() { //nolint:revive // nobody closes them
			}
		}
	}
	batch := func(ctx context.Context, p *Pool, f func()) {
		var b pgx.Batch
		b.Queue("select 1").Exec(func(pgconn.CommandTag) error { f(); return nil })
		b.Queue("select 2")
		_ = p.SendBatch(ctx, &b).Close()
	}
	nothing := func() {}
	for name, c := range map[string]struct {
		at   string
		call func(ctx context.Context, p *Pool, f func())
	}{
		"exec start":  {"query start", func(ctx context.Context, p *Pool, _ func()) { _, _ = p.Exec(ctx, "select 1") }},
		"exec end":    {"query end", func(ctx context.Context, p *Pool, _ func()) { _, _ = p.Exec(ctx, "select 1") }},
		"query start": {"query start", func(ctx context.Context, p *Pool, _ func()) { read(ctx, p) }},
		"query end":   {"query end", func(ctx context.Context, p *Pool, _ func()) { read(ctx, p) }},
		"row end": {"query end", func(ctx context.Context, p *Pool, _ func()) {
			_ = p.QueryRow(ctx, "select 1").Scan(new(int))
		}},
		"begin": {"query end", func(ctx context.Context, p *Pool, _ func()) {
			_ = p.WithTx(ctx, pgx.TxOptions{}, func(context.Context, pgx.Tx) error { return nil })
		}},
		"prepare start":       {"prepare start", func(ctx context.Context, p *Pool, _ func()) { read(ctx, p) }},
		"prepare end":         {"prepare end", func(ctx context.Context, p *Pool, _ func()) { read(ctx, p) }},
		"batch start":         {"batch start", func(ctx context.Context, p *Pool, _ func()) { batch(ctx, p, nothing) }},
		"batch query":         {"batch query", func(ctx context.Context, p *Pool, _ func()) { batch(ctx, p, nothing) }},
		"batch end":           {"batch end", func(ctx context.Context, p *Pool, _ func()) { batch(ctx, p, nothing) }},
		"function of a batch": {"", batch},
	} {
		t.Run(name, func(t *testing.T) {
			trace := &tracer{}
			single := func(c *Config) {
				c.MaxSize = 1
				c.ConnConfig.Tracer = trace
			}
			inMemory(t, single, func(t *testing.T, p *Pool, _ *fakepg.Server) {
				for _, end := range []func(){func() { panic("oh") }, runtime.Goexit} {
					hits := 0
					do := func() { hits++; end() }
					trace.at, trace.do = c.at, do
					var caller sync.WaitGroup
					caller.Go(func() {
						defer func() { _ = recover() }()
						c.call(t.Context(), p, do)
					})
					caller.Wait()
					trace.at = ""
					require.Equal(t, 1, hits)
					synctest.Wait()
					require.Zero(t, p.Stat().Leased)
					require.Equal(t, 1, one(t, t.Context(), p, "select 1"))
				}
			})
		})
	}
}

// What was ended by a panic says so when it is asked again, and does not call itself good.
func TestAPanicIsNoGoodEnd(t *testing.T) {
	trace := &tracer{do: func() { panic("oh") }}
	inMemory(t, func(c *Config) { c.ConnConfig.Tracer = trace }, func(t *testing.T, p *Pool, _ *fakepg.Server) {
		rows, err := p.Query(t.Context(), "select 1")
		require.NoError(t, err)
		trace.at = "query end"
		require.Panics(t, rows.Close)
		require.ErrorIs(t, rows.Err(), errPanicked)
		rows.Close()
		require.False(t, rows.Next())

		trace.at = "batch end"
		var b pgx.Batch
		b.Queue("select 1")
		results := p.SendBatch(t.Context(), &b)
		require.Panics(t, func() { _ = results.Close() })
		require.ErrorIs(t, results.Close(), errPanicked)
		trace.at = ""
	})
}

// A log that takes nothing holds up neither those who dial in an outage, nor those who restart what crashed, nor the end.
func TestABlockedLogHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		log := zerolog.New(blocked{free})
		server := fakepg.New()
		defer server.Close()
		cfg := fakeConfig(server)
		cfg.Logger = &log
		p, err := Open(t.Context(), cfg)
		require.NoError(t, err)
		server.Stop()
		asked := make(chan error, 1)
		go func() { asked <- p.Ping(t.Context()) }()
		pass(2 * time.Second)
		require.Equal(t, 3, p.outage.Load().Attempts)
		server.Start()
		began := time.Now()
		require.NoError(t, <-asked)
		require.Less(t, time.Since(began), 100*time.Millisecond)
		began = time.Now()
		require.NoError(t, p.Close())
		require.LessOrEqual(t, time.Since(began), 2*logGrace)
		close(free)
	})
}

// blocked is a writer that takes nothing.
type blocked struct{ free chan struct{} }

func (b blocked) Write(p []byte) (int, error) {
	<-b.free
	return len(p), nil
}
