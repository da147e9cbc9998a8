package poolactor

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/backend"
	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

func TestWhenASessionIsCleaned(t *testing.T) {
	for _, kind := range []backend.Changes{
		backend.ChangedSettings, backend.ChangedTemporary, backend.ChangedLocks, backend.ChangedListening,
		backend.ChangedPrepared, backend.ChangedCursors, backend.ChangedLibraries,
	} {
		require.True(t, ResetSmart.due(kind), "%b", kind)
		require.True(t, ResetFull.due(kind), "%b", kind)
		require.False(t, ResetNone.due(kind), "%b", kind)
		require.True(t, ResetNone.due(kind|backend.Unfenced), "%b", kind)
	}
	require.False(t, ResetSmart.due(0), "an unchanged session is handed on as it is")
	require.True(t, ResetFull.due(0))
	require.False(t, ResetNone.due(0))
	for _, r := range []ResetPolicy{ResetSmart, ResetNone, ResetFull} {
		require.True(t, r.due(backend.Deallocated), "policy %d", r)
	}
}

func TestHowASessionIsCleaned(t *testing.T) {
	const settings = "set session authorization default; reset role; reset all"
	for _, c := range []struct {
		policy ResetPolicy
		seen   backend.Changes
		inTx   bool
		texts  []string
		undoes backend.Changes
	}{
		{policy: ResetSmart},
		{policy: ResetSmart, inTx: true, texts: []string{"rollback"}},
		{
			policy: ResetSmart, seen: backend.ChangedSettings, texts: []string{settings + "; discard temp"},
			undoes: backend.ChangedSettings | backend.ChangedTemporary,
		},
		{
			policy: ResetSmart, seen: backend.ChangedSettings, inTx: true, texts: []string{"rollback; " + settings + "; discard temp"},
			undoes: backend.ChangedSettings | backend.ChangedTemporary,
		},
		{
			policy: ResetSmart, seen: backend.ChangedTemporary, texts: []string{"discard temp"},
			undoes: backend.ChangedSettings | backend.ChangedTemporary,
		},
		{
			policy: ResetSmart, seen: backend.ChangedLocks, texts: []string{"select pg_catalog.pg_advisory_unlock_all()"},
			undoes: backend.ChangedLocks,
		},
		{policy: ResetSmart, seen: backend.ChangedListening, texts: []string{"unlisten *"}, undoes: backend.ChangedListening},
		{policy: ResetSmart, seen: backend.ChangedCursors, texts: []string{"close all"}, undoes: backend.ChangedCursors},
		{
			policy: ResetSmart, seen: backend.ChangedPrepared, texts: []string{"deallocate all"},
			undoes: backend.ChangedPrepared | backend.Deallocated,
		},
		{
			policy: ResetSmart, seen: backend.Deallocated, texts: []string{"deallocate all"},
			undoes: backend.ChangedPrepared | backend.Deallocated,
		},
		{
			policy: ResetSmart, seen: backend.ChangedAnything, texts: []string{settings +
				"; close all; unlisten *; select pg_catalog.pg_advisory_unlock_all(); discard temp; deallocate all"},
			undoes: backend.ChangedAnything | backend.Deallocated,
		},
		{policy: ResetNone, seen: backend.ChangedAnything},
		{policy: ResetNone, seen: backend.ChangedAnything, inTx: true, texts: []string{"rollback"}},
		{
			policy: ResetNone, seen: backend.ChangedSettings | backend.Deallocated, texts: []string{"deallocate all"},
			undoes: backend.ChangedPrepared | backend.Deallocated,
		},
		{policy: ResetFull, texts: []string{"discard all"}, undoes: backend.ChangedAnything},
		{policy: ResetFull, seen: backend.ChangedLocks, inTx: true, texts: []string{"rollback", "discard all"}, undoes: backend.ChangedAnything},
	} {
		require.Equal(t, treatment{c.texts, c.undoes}, c.policy.treat(c.seen, c.inTx), "%d %b", c.policy, c.seen)
	}
}

func TestAnUnknownResetPolicyIsRefused(t *testing.T) {
	cfg, err := ParseConfig("host=db.test")
	require.NoError(t, err)
	cfg.Reset = ResetFull + 1
	_, err = New(cfg)
	require.ErrorContains(t, err, "the policy Reset is 3: ResetSmart, ResetNone or ResetFull")
}

// single makes a pool of one connection, whose sessions are treated by the policy, and that runs no statement by itself.
func single(policy ResetPolicy) func(*Config) {
	return func(c *Config) {
		neverChecked(1)(c)
		c.Reset = policy
	}
}

// use leases for the time of f.
func use(t *testing.T, p *Pool, f func(ctx context.Context, l *Lease) error) {
	t.Helper()
	require.NoError(t, p.With(t.Context(), f))
	synctest.Wait()
}

func runs(sql string) func(context.Context, *Lease) error {
	return func(ctx context.Context, l *Lease) error {
		_, err := l.Exec(ctx, sql)
		return err
	}
}

// awaited is the next event of a kind.
func awaited(t *testing.T, events <-chan Event, kind EventKind) Event {
	t.Helper()
	for e := range events {
		if e.Kind == kind {
			return e
		}
	}
	t.Fatalf("the pool has ended without %q", kind)
	return Event{}
}

// settingOf is what the pool's one session has.
func settingOf(t *testing.T, p *Pool) (value string) {
	t.Helper()
	require.NoError(t, p.QueryRow(t.Context(), "select current_setting('work_mem')", pgx.QueryExecModeSimpleProtocol).Scan(&value))
	return value
}

// A session that nobody changed costs no round trip: the server hears nothing but what callers say.
func TestAnUnchangedSessionCostsNothing(t *testing.T) {
	inMemory(t, single(ResetSmart), func(t *testing.T, p *Pool, server *fakepg.Server) {
		ctx := t.Context()
		var n int
		for range 2 {
			require.NoError(t, p.QueryRow(ctx, "select $1::int", 1).Scan(&n))
			var b pgx.Batch
			b.Queue("select 1")
			b.Queue("select $1::int", 2)
			require.NoError(t, p.SendBatch(ctx, &b).Close())
			require.NoError(t, p.WithTx(ctx, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
				if _, err := tx.Exec(ctx, "set local work_mem = '1MB'"); err != nil {
					return err
				}
				_, err := tx.Exec(ctx, "select set_config('app.user', $1, true)", "Ada")
				return err
			}))
			use(t, p, func(ctx context.Context, l *Lease) error {
				return l.Raw(func(c *pgx.Conn) error { return c.Ping(ctx) })
			})
		}
		var heard []string
		for _, sql := range server.Statements() {
			if sql != "" {
				heard = append(heard, sql)
			}
		}
		once := []string{
			"select $1::int", "select 1", "select $1::int", "begin", "set local work_mem = '1MB'",
			"select set_config('app.user', $1, true)", "commit",
		}
		require.Equal(t, append(once, once...), heard)
		require.Zero(t, p.Stat().Cleanings)
		require.Equal(t, 1, server.Dials())
	})
}

// What was seen to have changed is undone in one round trip, an open transaction included.
func TestAChangedSessionIsCleanedInOneRoundTrip(t *testing.T) {
	const changes = "set work_mem = '1MB'; create temp table t (a int); select pg_advisory_lock(1); listen news; prepare p as select 1; begin"
	for policy, trips := range map[ResetPolicy]time.Duration{ResetSmart: 1, ResetNone: 1, ResetFull: 2} {
		inMemory(t, single(policy), func(t *testing.T, p *Pool, server *fakepg.Server) {
			events := p.Events(t.Context())
			l := acquired(t, p)
			_, err := l.Exec(t.Context(), changes)
			require.NoError(t, err)
			before := len(server.Statements())
			server.Delay(time.Millisecond)
			began := time.Now()
			l.Release()
			next := acquired(t, p)
			require.Equal(t, trips*time.Millisecond, time.Since(began))
			require.EqualValues(t, 1, p.Stat().Cleanings)
			awaited(t, events, EventRolledBack)
			heard := strings.Join(server.Statements()[before:], "; ")
			next.Release()
			require.Equal(t, map[ResetPolicy]string{
				ResetSmart: "rollback; set session authorization default; reset role; reset all; unlisten *; " +
					"select pg_catalog.pg_advisory_unlock_all(); discard temp; deallocate all",
				ResetNone: "rollback",
				ResetFull: "rollback; discard all",
			}[policy], heard)
			require.Equal(t, 1, server.Dials())
		})
	}
}

// The same statement, prepared by one lease and run by name in the next, is seen again.
func TestAPreparedChangeIsSeenEachTime(t *testing.T) {
	inMemory(t, single(ResetSmart), func(t *testing.T, p *Pool, server *fakepg.Server) {
		before := settingOf(t, p)
		for range 3 {
			var value string
			require.NoError(t, p.QueryRow(t.Context(), "select set_config('work_mem', $1, false)", "1MB").Scan(&value))
			require.Equal(t, before, settingOf(t, p))
		}
		require.EqualValues(t, 3, p.Stat().Cleanings)
	})
}

func TestResetNoneLeavesSessionsAlone(t *testing.T) {
	inMemory(t, single(ResetNone), func(t *testing.T, p *Pool, server *fakepg.Server) {
		before := settingOf(t, p)
		use(t, p, runs("set work_mem = '1MB'"))
		require.Equal(t, "1MB", settingOf(t, p))
		require.Zero(t, p.Stat().Cleanings)
		use(t, p, func(ctx context.Context, l *Lease) error {
			return l.Raw(func(c *pgx.Conn) error {
				_, err := c.Exec(ctx, "set work_mem = '2MB'")
				return err
			})
		})
		require.Equal(t, before, settingOf(t, p), "what Raw has changed is cleaned by every policy")
		use(t, p, runs("set work_mem = '3MB'"))
		require.Equal(t, "3MB", settingOf(t, p), "and nobody else's")
	})
}

func TestResetFullDiscardsEachTime(t *testing.T) {
	inMemory(t, single(ResetFull), func(t *testing.T, p *Pool, server *fakepg.Server) {
		var n int
		for range 3 {
			require.NoError(t, p.QueryRow(t.Context(), "select $1::int", 1).Scan(&n), "pgx prepares anew")
			synctest.Wait()
		}
		require.EqualValues(t, 3, p.Stat().Cleanings)
		require.Equal(t, []string{"select $1::int", "discard all", "select $1::int", "discard all", "select $1::int", "discard all"}, server.Statements())
		require.Equal(t, 1, server.Dials())
	})
}

// Whatever the policy, pgx does not rely on statements that a holder made the server forget.
func TestForgottenStatementsFailNobody(t *testing.T) {
	for _, policy := range []ResetPolicy{ResetSmart, ResetNone, ResetFull} {
		inMemory(t, single(policy), func(t *testing.T, p *Pool, server *fakepg.Server) {
			for _, sql := range []string{"deallocate all", "discard all", "deallocate all"} {
				var n int
				require.NoError(t, p.QueryRow(t.Context(), "select $1::int", 1).Scan(&n))
				use(t, p, runs(sql))
			}
			require.Equal(t, 1, server.Dials())
		})
	}
}

func TestALoadedLibraryEndsItsConnection(t *testing.T) {
	for _, policy := range []ResetPolicy{ResetSmart, ResetFull} {
		inMemory(t, single(policy), func(t *testing.T, p *Pool, server *fakepg.Server) {
			events := p.Events(t.Context())
			require.NoError(t, p.With(WithLabel(t.Context(), "loader"), runs("load 'auto_explain'")))
			require.Equal(t, 1, one(t, t.Context(), p, "select 1"))
			require.Equal(t, 2, server.Dials())
			e := awaited(t, events, EventUnclean)
			require.ErrorIs(t, e.Err, errLibrary)
			require.Equal(t, "loader", e.Label)
		})
	}
}

// A hook's work is part of a fresh session. Where cleaning would undo it, a new connection is opened, and it runs again.
func TestWhatAHookSetUpIsKept(t *testing.T) {
	for _, c := range []struct {
		hook, lease string
		dials       int
	}{
		{"set work_mem = '1MB'", "select 1", 1},
		{"set work_mem = '1MB'", "select pg_advisory_lock(1)", 1},
		{"set work_mem = '1MB'", "set work_mem = '2MB'", 2},
		{"set work_mem = '1MB'", "reset work_mem", 2},
		{"set work_mem = '1MB'; create temp table t (a int)", "set work_mem = '2MB'", 2},
	} {
		hooked := func(cfg *Config) {
			single(ResetSmart)(cfg)
			cfg.ConnConfig.AfterConnect = func(ctx context.Context, pg *pgconn.PgConn) error { return pg.Exec(ctx, c.hook).Close() }
		}
		inMemory(t, hooked, func(t *testing.T, p *Pool, server *fakepg.Server) {
			events := p.Events(t.Context())
			use(t, p, runs(c.lease))
			require.Equal(t, "1MB", settingOf(t, p))
			require.Equal(t, c.dials, server.Dials(), "%q after %q", c.lease, c.hook)
			if c.dials > 1 {
				require.ErrorIs(t, awaited(t, events, EventUnclean).Err, errSetUp)
			}
		})
	}
}

// A cleaning that takes longer than a check may costs the connection, and nobody waits for it.
func TestACleaningIsBounded(t *testing.T) {
	for _, leave := range []string{"begin", "set work_mem = '1MB'"} {
		inMemory(t, func(c *Config) { c.Health.Interval = -1 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
			events := p.Events(t.Context())
			l := acquired(t, p)
			_, err := l.Exec(t.Context(), leave)
			require.NoError(t, err)
			server.Delay(time.Minute)
			began := time.Now()
			l.Release()
			require.Zero(t, time.Since(began))
			require.ErrorIs(t, awaited(t, events, EventUnclean).Err, context.DeadlineExceeded)
			server.Delay(0)
			require.LessOrEqual(t, time.Since(began), 2*time.Second)
			require.Equal(t, 1, one(t, within(t, time.Second), p, "select 1"))
		})
	}
}
