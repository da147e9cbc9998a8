package server

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

func contains(text string, parts ...string) bool {
	for _, part := range parts {
		if !strings.Contains(text, part) {
			return false
		}
	}
	return true
}

// What a lease did to its session does not reach the next one, and the connection is kept.
func TestTheNextLeaseFindsACleanSession(t *testing.T) {
	p := open(t, func(c *poolactor.Config) { c.MaxSize = 1; c.StatementTimeout = 7 * time.Second })
	table(t, "unfinished", "n int")
	role(t, "somebody_else")
	pid := pidOf(t, p)
	for name, statements := range map[string][]string{
		"nothing":                 {"select 1"},
		"a transaction":           {"begin", "insert into unfinished values (1)"},
		"a failed transaction":    {"begin", "select 1 / 0"},
		"a setting":               {"set statement_timeout = '1s'", "set search_path = nowhere"},
		"a setting, rolled back":  {"begin", "set timezone = 'Asia/Tokyo'"},
		"a role":                  {"set role somebody_else"},
		"a session authorization": {"set session authorization somebody_else"},
		"a role in a transaction": {"begin", "set role somebody_else"},
		"a reset":                 {"reset all"},
	} {
		t.Run(name, func(t *testing.T) {
			l := acquire(t, p)
			for _, sql := range statements {
				_, _ = l.Exec(within(t, patience), sql) // one is to fail
			}
			l.Release()
			require.Equal(t, pid, pidOf(t, p), "the connection is kept")
			require.Equal(t, "7s", ask[string](t, p, "show statement_timeout"))
			require.Equal(t, `"$user", public`, ask[string](t, p, "show search_path"))
			require.NotEqual(t, "Asia/Tokyo", ask[string](t, p, "show timezone"))
			require.Equal(t, "postgres postgres", ask[string](t, p, "select session_user || ' ' || current_user"))
			require.True(t, ask[bool](t, p, "select pg_current_xact_id_if_assigned() is null"))
		})
	}
	require.Zero(t, ask[int](t, p, "select count(*) from unfinished"))
}

func TestAReleaseInsideATransactionIsReported(t *testing.T) {
	p := open(t, single)
	events := p.Events(within(t, patience))
	l, err := p.Acquire(poolactor.WithLabel(within(t, patience), "hasty"))
	require.NoError(t, err)
	_, err = l.Begin(within(t, patience))
	require.NoError(t, err)
	l.Release()
	for e := range events {
		if e.Kind == poolactor.EventRolledBack {
			require.Equal(t, "hasty", e.Label)
			require.NotZero(t, e.PID)
			return
		}
	}
	t.Fatal("nobody said that a transaction was rolled back")
}

func TestStartUpParameters(t *testing.T) {
	conn := connect(t, pgtest.Server(t).DSN())
	theirs := func(name string) string { return ask[string](t, conn, "select current_setting($1)", name) }
	setting := func(p *poolactor.Pool, name string) string {
		return ask[string](t, p, "select current_setting($1)", name)
	}
	source := func(p *poolactor.Pool, name string) string {
		return ask[string](t, p, "select source from pg_settings where name = $1", name)
	}
	for name, c := range map[string]struct {
		timeout, check     time.Duration
		wanted, wantedWish string
	}{
		"set":               {1500 * time.Millisecond, 3 * time.Second, "1500ms", "3s"},
		"default":           {0, 0, theirs("statement_timeout"), "2s"},
		"off":               {-1, -1, theirs("statement_timeout"), theirs("client_connection_check_interval")},
		"between its units": {1999500 * time.Microsecond, 999500 * time.Microsecond, "2s", "1s"},
	} {
		t.Run(name, func(t *testing.T) {
			p := open(t, func(cfg *poolactor.Config) { cfg.StatementTimeout, cfg.ClientCheckInterval = c.timeout, c.check })
			require.Equal(t, c.wanted, setting(p, "statement_timeout"))
			require.Equal(t, c.wantedWish, setting(p, "client_connection_check_interval"))
			require.Equal(t, c.timeout > 0, source(p, "statement_timeout") == "client", "a start-up parameter, or none")
		})
	}
	t.Run("it survives DISCARD ALL", func(t *testing.T) {
		p := open(t, func(cfg *poolactor.Config) { cfg.MaxSize = 1; cfg.StatementTimeout = 5 * time.Second })
		require.NoError(t, p.With(within(t, patience), func(ctx context.Context, l *poolactor.Lease) error {
			_, err := l.Exec(ctx, "discard all", pgx.QueryExecModeSimpleProtocol)
			return err
		}))
		require.Equal(t, "5s", setting(p, "statement_timeout"))
	})
	t.Run("the user's own goes first", func(t *testing.T) {
		p := open(t, func(cfg *poolactor.Config) {
			cfg.ConnConfig.RuntimeParams["statement_timeout"] = "1234"
			cfg.StatementTimeout = 5 * time.Second
		})
		require.Equal(t, "1234ms", setting(p, "statement_timeout"))
	})
}
