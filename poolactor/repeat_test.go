package poolactor

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

// uses are the pool's own statements, each with the text that the server sees of it. None of them is prepared before.
var uses = map[string]func(ctx context.Context, p *Pool) error{
	"exec": func(ctx context.Context, p *Pool) error {
		_, err := p.Exec(ctx, "insert into t values (7)")
		return err
	},
	"exec with arguments": func(ctx context.Context, p *Pool) error {
		_, err := p.Exec(ctx, "insert into t values ($1)", "7")
		return err
	},
	"query": func(ctx context.Context, p *Pool) error {
		rows, err := p.Query(ctx, "select 7")
		if err != nil {
			return err
		}
		_, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[int])
		return err
	},
	"query by the simple protocol": func(ctx context.Context, p *Pool) error {
		rows, err := p.Query(ctx, "select 7", pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			return err
		}
		_, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[int])
		return err
	},
	"query without a preparation": func(ctx context.Context, p *Pool) error {
		return p.QueryRow(ctx, "select $1::int", pgx.QueryExecModeExec, 7).Scan(new(int))
	},
	"query row": func(ctx context.Context, p *Pool) error {
		return p.QueryRow(ctx, "select $1::int", 7).Scan(new(int))
	},
	"batch": func(ctx context.Context, p *Pool) error {
		var b pgx.Batch
		got := 0
		b.Queue("select 7").QueryRow(func(row pgx.Row) error { got++; return row.Scan(new(int)) })
		b.Queue("insert into t values ($1)", "7")
		err := p.SendBatch(ctx, &b).Close()
		if err == nil && got != 1 {
			return fmt.Errorf("%d results", got)
		}
		return err
	},
	"ping": func(ctx context.Context, p *Pool) error { return p.Ping(ctx) },
	"transaction": func(ctx context.Context, p *Pool) error {
		return p.WithTx(ctx, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "insert into t values (7)")
			return err
		})
	},
}

// warmed leaves at least n connections that rest and are trusted, and returns their processes.
func warmed(t *testing.T, p *Pool, server *fakepg.Server, n int) []uint32 {
	t.Helper()
	holdAll(t, p, n)
	synctest.Wait()
	return server.PIDs()
}

// A connection that died while it rested, too short ago to be looked at, fails no call that takes it for one statement:
// not a byte could be written to it.
func TestAStatementThatWasNotWrittenIsRepeated(t *testing.T) {
	for name, use := range uses {
		for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
			t.Run(name+" by "+mode.String(), func(t *testing.T) {
				plain := func(c *Config) { neverChecked(3)(c); c.ConnConfig.DefaultQueryExecMode = mode }
				inMemory(t, plain, func(t *testing.T, p *Pool, server *fakepg.Server) {
					require.NoError(t, use(t.Context(), p), "also statements that are known on the connection")
					for _, pid := range warmed(t, p, server, 2) {
						server.Kill(pid)
					}
					require.NoError(t, use(t.Context(), p))
					synctest.Wait()
					require.Zero(t, p.Stat().Leased)
				})
			})
		}
	}
}

// Within the trust of a millisecond, with the checks that every pool has.
func TestADeathWithinTheTrustedMillisecondFailsNobody(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		for range 50 {
			acquired(t, p).Release()
			pass(999 * time.Microsecond)
			for _, pid := range server.PIDs() {
				server.Kill(pid)
			}
			_, err := p.Exec(t.Context(), "insert into t values (7)")
			require.NoError(t, err)
		}
	})
}

func TestAStatementIsRepeatedTwiceAtMost(t *testing.T) {
	for name, use := range uses {
		t.Run(name, func(t *testing.T) {
			var tries atomic.Int64
			dead := func(c *Config) {
				neverChecked(4)(c)
				dial := c.DialFunc
				c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
					conn, err := dial(ctx, network, address)
					return deaf{conn, &tries}, err
				}
			}
			inMemory(t, dead, func(t *testing.T, p *Pool, server *fakepg.Server) {
				require.ErrorIs(t, use(t.Context(), p), syscall.EPIPE)
				require.EqualValues(t, 3, tries.Load())
				synctest.Wait()
				require.Zero(t, p.Stat().Leased)
			})
		})
	}
}

// deaf is a socket to which nothing can be written after the log-in.
type deaf struct {
	net.Conn
	tries *atomic.Int64
}

func (d deaf) Write(p []byte) (int, error) {
	if p[0] == 0 { // the start-up
		return d.Conn.Write(p)
	}
	if p[0] != 'X' && !bytes.Contains(p, []byte("SELECT 1")) { // neither a farewell nor a check
		d.tries.Add(1)
	}
	return 0, syscall.EPIPE
}

// The holder of a lease is told: with the connection its session is gone.
func TestALeasesOwnStatementIsNotRepeated(t *testing.T) {
	inMemory(t, neverChecked(2), func(t *testing.T, p *Pool, server *fakepg.Server) {
		l := acquired(t, p)
		server.Kill(l.conn.PID())
		_, err := l.Exec(t.Context(), "select 1")
		require.Error(t, err)
		l.Release()
	})
}

// What was written is not sent again, whatever pgx says about it.
func TestAWrittenStatementIsNotRepeated(t *testing.T) {
	for name, use := range uses {
		t.Run(name, func(t *testing.T) {
			inMemory(t, neverChecked(2), func(t *testing.T, p *Pool, server *fakepg.Server) {
				warmed(t, p, server, 1)
				loseNext(server)
				require.Error(t, use(t.Context(), p), "a repetition would succeed")
			})
		})
	}
}

// A mistake of the caller's that pgx finds is not taken for a dead connection, and a panic in what the caller supplied
// leaves no lease behind.
func TestMistakesAreNotRepeated(t *testing.T) {
	inMemory(t, neverChecked(2), func(t *testing.T, p *Pool, server *fakepg.Server) {
		_, err := p.Exec(t.Context(), "select $1::int", make(chan int))
		require.Error(t, err)
		require.Panics(t, func() { _, _ = p.Query(t.Context(), "select 1", rewriter(func() { panic("oh") })) })
		var b pgx.Batch
		b.Queue("select 1", rewriter(func() { panic("oh") }))
		require.Panics(t, func() { p.SendBatch(t.Context(), &b) })
		synctest.Wait()
		require.Zero(t, p.Stat().Leased)
	})
}

// rewriter is user code that pgx runs before it sends a query.
type rewriter func()

func (r rewriter) RewriteQuery(_ context.Context, _ *pgx.Conn, sql string, args []any) (string, []any, error) {
	r()
	return sql, args, nil
}

// Whatever ends connections and whenever, no statement runs twice, and one that was acknowledged has run.
func TestNoStatementRunsTwice(t *testing.T) {
	inMemory(t, nil, func(t *testing.T, p *Pool, server *fakepg.Server) {
		var (
			callers      sync.WaitGroup
			mu           sync.Mutex
			acknowledged []string
			failed       int
		)
		for caller := range 8 {
			callers.Go(func() {
				for n := range 200 {
					sql := fmt.Sprintf("insert into t values (%d)", caller*1000+n)
					err := sent(t, p, sql)
					mu.Lock()
					if err == nil {
						acknowledged = append(acknowledged, sql)
					} else {
						failed++
					}
					mu.Unlock()
					pass(time.Duration(rand.IntN(3)) * time.Millisecond)
				}
			})
		}
		quit := make(chan struct{})
		callers.Go(func() {
			for {
				select {
				case <-quit:
					return
				case <-time.After(time.Duration(rand.IntN(5000)) * time.Microsecond):
				}
				if pids := server.PIDs(); len(pids) > 0 {
					strike(server, pids[rand.IntN(len(pids))])
				}
			}
		})
		time.AfterFunc(2*time.Second, func() { close(quit) })
		callers.Wait()
		ran := map[string]int{}
		for _, sql := range server.Statements() {
			ran[sql]++
		}
		for caller := range 8 {
			for n := range 200 {
				sql := fmt.Sprintf("insert into t values (%d)", caller*1000+n)
				require.LessOrEqual(t, ran[sql], 1, sql)
			}
		}
		for _, sql := range acknowledged {
			require.Equal(t, 1, ran[sql], sql)
		}
		t.Logf("%d acknowledged, %d failed, %d connections", len(acknowledged), failed, server.LogIns())
	})
}

// sent runs a statement in one of the ways that the pool offers.
func sent(t *testing.T, p *Pool, sql string) error {
	ctx := within(t, time.Hour)
	switch rand.IntN(5) {
	case 0:
		_, err := p.Exec(ctx, sql)
		return err
	case 1:
		_, err := p.Exec(ctx, sql, pgx.QueryExecModeCacheStatement)
		return err
	case 2:
		rows, _ := p.Query(ctx, sql)
		rows.Close()
		return rows.Err()
	case 3:
		var b pgx.Batch
		b.Queue(sql)
		return p.SendBatch(ctx, &b).Close()
	default:
		return p.WithTx(ctx, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
			_, err := tx.Exec(ctx, sql)
			return err
		})
	}
}

// strike ends a connection in one of the ways in which servers do.
func strike(server *fakepg.Server, pid uint32) {
	switch rand.IntN(3) {
	case 0:
		server.Kill(pid)
	case 1:
		server.TerminateOne(pid, "57P01")
	default:
		server.Delay(time.Duration(rand.IntN(3)) * time.Millisecond)
		server.Kill(pid)
	}
}
