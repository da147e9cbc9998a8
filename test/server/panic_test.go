package server

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/actors"
)

// rowsThat are a source of rows that never ends by itself.
type rowsThat struct{ next, values, err func() }

func (r rowsThat) Next() bool             { r.next(); return true }
func (r rowsThat) Values() ([]any, error) { r.values(); return []any{1}, nil }
func (r rowsThat) Err() error             { r.err(); return nil }

// pgx reads the rows of a COPY in a goroutine of its own, in which a panic would end the process.
func TestAPanicInASourceOfRowsIsItsCallersAlone(t *testing.T) {
	p := open(t, single)
	id := table(t, "panicked", "n int")
	ctx := within(t, patience)
	oops := errors.New("oops")
	pid := pidOf(t, p)
	nothing := func() {}
	oh := func() { panic(oops) }
	for name, src := range map[string]pgx.CopyFromSource{
		"next":   rowsThat{oh, nothing, nothing},
		"values": rowsThat{nothing, oh, nothing},
		"err":    rowsThat{nothing, nothing, oh},
	} {
		crash := func(copies func()) {
			t.Helper()
			defer func() {
				var p *actors.PanicError
				require.ErrorAs(t, recover().(error), &p, name)
				require.ErrorIs(t, p, oops)
				require.Contains(t, string(p.Stack), "panic_test.go")
			}()
			copies()
		}
		crash(func() { _, _ = p.CopyFrom(ctx, id, []string{"n"}, src) })
		crash(func() {
			_ = p.WithTx(ctx, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
				_, err := tx.CopyFrom(ctx, id, []string{"n"}, src)
				return err
			})
		})
		require.Equal(t, pid, pidOf(t, p), "the copy was called off in order, and its connection serves the next caller")
	}
	require.Zero(t, ask[int](t, p, "select count(*) from panicked"))
}

func TestASourceOfRowsThatEndsItsGoroutine(t *testing.T) {
	p := open(t, single)
	id := table(t, "exited", "n int")
	nothing := func() {}
	var crash *actors.PanicError
	func() {
		defer func() { crash, _ = recover().(*actors.PanicError) }()
		_, _ = p.CopyFrom(t.Context(), id, []string{"n"}, rowsThat{nothing, runtime.Goexit, nothing}) // nothing else ends it
	}()
	require.ErrorIs(t, crash, actors.ErrGoexit)
	require.Zero(t, ask[int](t, p, "select count(*) from exited"))
	require.EqualValues(t, 2, p.Stat().Opened)
}
