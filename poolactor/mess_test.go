package poolactor

import (
	"context"
	"runtime"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

// However a holder leaves its connection behind, its place comes back, and the next lease finds a clean session.
func TestHoldersWhoLeaveAMess(t *testing.T) {
	change := func(ctx context.Context, l *Lease) {
		_, err := l.Exec(ctx, "begin")
		if err == nil {
			_, err = l.Exec(ctx, "set work_mem = '1MB'")
		}
		if err != nil {
			panic(err)
		}
	}
	for name, c := range map[string]struct {
		dials int
		leave func(ctx context.Context, p *Pool) error
	}{
		"its goroutine ends in With": {1, func(ctx context.Context, p *Pool) error {
			return p.With(ctx, func(ctx context.Context, l *Lease) error {
				change(ctx, l)
				runtime.Goexit()
				return nil
			})
		}},
		"its goroutine ends in WithTx": {1, func(ctx context.Context, p *Pool) error {
			return p.WithTx(ctx, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
				if _, err := tx.Exec(ctx, "set work_mem = '1MB'"); err != nil {
					return err
				}
				runtime.Goexit()
				return nil
			})
		}},
		"its goroutine ends in Raw": {2, func(ctx context.Context, p *Pool) error {
			return p.With(ctx, func(ctx context.Context, l *Lease) error {
				change(ctx, l)
				return l.Raw(func(*pgx.Conn) error { runtime.Goexit(); return nil })
			})
		}},
		"its goroutine ends between two rows": {2, func(ctx context.Context, p *Pool) error {
			return p.With(ctx, func(ctx context.Context, l *Lease) error {
				change(ctx, l)
				rows, err := l.Query(ctx, "select 1 from generate_series(1, 3)")
				if err == nil && rows.Next() {
					runtime.Goexit()
				}
				return err
			})
		}},
		"it closes the raw connection": {2, func(ctx context.Context, p *Pool) error {
			return p.With(ctx, func(ctx context.Context, l *Lease) error {
				change(ctx, l)
				return l.Raw(func(c *pgx.Conn) error { return c.Close(ctx) })
			})
		}},
		"it closes the raw connection of a transaction": {2, func(ctx context.Context, p *Pool) error {
			return p.With(ctx, func(ctx context.Context, l *Lease) error {
				tx, err := l.Begin(ctx)
				if err != nil {
					return err
				}
				return tx.Conn().Close(ctx)
			})
		}},
		"it takes the raw connection apart": {2, func(ctx context.Context, p *Pool) error {
			return p.With(ctx, func(ctx context.Context, l *Lease) error {
				return l.Raw(func(c *pgx.Conn) error {
					h, err := c.PgConn().Hijack()
					if err != nil {
						return err
					}
					return h.Conn.Close()
				})
			})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			inMemory(t, single(ResetSmart), func(t *testing.T, p *Pool, server *fakepg.Server) {
				before := settingOf(t, p)
				left := make(chan error, 1)
				go func() {
					defer close(left)
					if err := c.leave(t.Context(), p); err != nil {
						left <- err
					}
				}()
				require.NoError(t, <-left)
				require.Equal(t, before, settingOf(t, p))
				require.Equal(t, c.dials, server.Dials())
				require.Zero(t, p.Stat().Leased)
			})
		})
	}
}
