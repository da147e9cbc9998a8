package spec

import (
	"context"
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// as adds an application name to a connection string, so that the server can tell whose backend is whose.
func as(t *testing.T, dsn, application string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	values := u.Query()
	values.Set("application_name", application)
	u.RawQuery = values.Encode()
	return u.String()
}

func initialises(t *testing.T) {
	server := pgtest.Own(t, postgres.Options{User: "somebody", Password: "let me in", Database: "a place"})
	beside := connect(t, server.DSN())
	w := &wire{}
	p := open(t, as(t, server.DSN(), "initialises"), func(c *poolactor.Config) {
		c.MinSize, c.MaxSize = 3, 5
		c.StatementTimeout = 7 * time.Second
		c.DialFunc = w.dial
	})
	require.Eventually(t, func() bool {
		return ask[int](t, beside, named, "initialises") == 3
	}, patience, 10*time.Millisecond, "the minimum is opened without anybody calling")
	require.Equal(t, poolactor.Target{Host: server.Host(), Port: uint16(server.Port()), Database: "a place", User: "somebody"}, p.Target())
	require.Equal(t, "somebody", ask[string](t, p, "select current_user"))
	require.Equal(t, "a place", ask[string](t, p, "select current_database()"))
	require.Equal(t, "7s", ask[string](t, p, "show statement_timeout"))
	require.Equal(t, "scram-sha-256", ask[string](t, beside, "select 'scram-sha-256' from pg_authid where rolname = 'somebody' and rolpassword like 'SCRAM%'"))

	var held []*poolactor.Lease
	for range 5 {
		l, err := p.Acquire(within(t, patience))
		require.NoError(t, err)
		held = append(held, l)
	}
	_, err := p.Acquire(within(t, 50*time.Millisecond))
	require.ErrorIs(t, err, context.DeadlineExceeded, "there is no sixth")
	require.Equal(t, 5, ask[int](t, beside, named, "initialises"), "the maximum under load")
	for _, l := range held {
		l.Release()
	}
	require.EqualValues(t, 5, w.dials.Load())
	st := p.Stat()
	require.Equal(t, []int{3, 5, 5}, []int{st.Min, st.Max, st.Total()})
}

func acquireWorks(t *testing.T) {
	p := open(t, pgtest.Server(t).DSN(), nil)
	l, err := p.Acquire(within(t, patience))
	require.NoError(t, err)
	defer l.Release()
	require.Equal(t, 42, ask[int](t, l, "select $1::int + 2", 40))
	require.NoError(t, l.Ping(within(t, patience)))
}

func reuses(t *testing.T) {
	w := &wire{}
	p := open(t, pgtest.Server(t).DSN(), func(c *poolactor.Config) { c.DialFunc = w.dial })
	var pids []int
	for range 10 {
		l, err := p.Acquire(within(t, patience))
		require.NoError(t, err)
		require.Equal(t, 1, p.Stat().Leased)
		pids = append(pids, ask[int](t, l, "select pg_backend_pid()"))
		l.Release()
		require.Zero(t, p.Stat().Leased)
		require.Equal(t, 1, p.Stat().Idle)
	}
	for _, pid := range pids {
		require.Equal(t, pids[0], pid)
	}
	require.EqualValues(t, 1, w.dials.Load())
}

func closesAll(t *testing.T) {
	server := pgtest.Server(t)
	beside := connect(t, server.DSN())
	p := open(t, as(t, server.DSN(), "closes-all"), func(c *poolactor.Config) { c.MinSize, c.MaxSize = 4, 4 })
	require.Eventually(t, func() bool { return ask[int](t, beside, named, "closes-all") == 4 }, patience, 10*time.Millisecond)
	l, err := p.Acquire(within(t, patience))
	require.NoError(t, err)
	time.AfterFunc(50*time.Millisecond, l.Release)
	require.NoError(t, p.Close())
	require.Zero(t, p.Stat().Total())
	require.Eventually(t, func() bool { return ask[int](t, beside, named, "closes-all") == 0 }, patience, time.Millisecond,
		"the server has no backend of the pool left")
	_, err = p.Acquire(within(t, patience))
	require.ErrorIs(t, err, poolactor.ErrClosed)
}

func usesTimeoutsAndSizes(t *testing.T) {
	server := pgtest.Server(t)
	p := open(t, server.DSN(), func(c *poolactor.Config) {
		c.MaxSize = 2
		c.AcquireTimeout = 100 * time.Millisecond
		c.StatementTimeout = 1500 * time.Millisecond
	})
	require.Equal(t, "1500ms", ask[string](t, p, "show statement_timeout"))
	for range 2 {
		l, err := p.Acquire(within(t, patience))
		require.NoError(t, err)
		defer l.Release()
	}
	_, err := p.Acquire(context.Background())
	var exhausted *poolactor.ExhaustedError
	require.ErrorAs(t, err, &exhausted, "a third is not there, and the wait for it is bounded")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.GreaterOrEqual(t, exhausted.Waited, 100*time.Millisecond)
	require.Len(t, exhausted.Holders, 2)

	// A server that accepts and says nothing: each attempt is given up after the connect time-out.
	silent, dsn := proxied(t, server.Address(), server.DSN())
	silent.Hang()
	log := &journal{}
	slow := open(t, dsn, func(c *poolactor.Config) {
		c.ConnectTimeout = 250 * time.Millisecond
		c.Retry = poolactor.RetryConfig{Initial: 100 * time.Millisecond, MaxRetries: -1}
		c.Logger = log.logger()
	})
	began := time.Now()
	_, err = slow.Acquire(context.Background())
	var down *poolactor.UnavailableError
	require.ErrorAs(t, err, &down, "%s", log)
	require.GreaterOrEqual(t, time.Since(began), 250*time.Millisecond)
	require.Less(t, time.Since(began), 5*time.Second, "the default of ten seconds was not used")
}

func releasesOnErrorAndPanic(t *testing.T) {
	w := &wire{}
	p := open(t, pgtest.Server(t).DSN(), func(c *poolactor.Config) { c.MaxSize = 1; c.DialFunc = w.dial })
	oops := errors.New("oops")
	ctx := within(t, patience)
	require.ErrorIs(t, p.With(ctx, func(context.Context, *poolactor.Lease) error { return oops }), oops)
	require.Zero(t, p.Stat().Leased)
	require.PanicsWithError(t, "oops", func() {
		_ = p.With(ctx, func(context.Context, *poolactor.Lease) error { panic(oops) })
	})
	require.Zero(t, p.Stat().Leased)
	require.Equal(t, 1, ask[int](t, p, "select 1"))
	require.EqualValues(t, 1, w.dials.Load(), "the connection did nothing wrong")
}

func enforcesStatementTimeout(t *testing.T) {
	w := &wire{}
	p := open(t, pgtest.Server(t).DSN(), func(c *poolactor.Config) {
		c.StatementTimeout = 100 * time.Millisecond
		c.DialFunc = w.dial
	})
	_, err := p.Exec(within(t, patience), "select pg_sleep(20)")
	var said *pgconn.PgError
	require.ErrorAs(t, err, &said)
	require.Equal(t, "57014", said.Code)
	require.Contains(t, said.Message, "statement timeout")
	require.NotErrorIs(t, err, context.DeadlineExceeded, "it was the server's time-out")
	require.Equal(t, 1, ask[int](t, p, "select 1"))
	require.EqualValues(t, 1, w.dials.Load(), "the connection is kept")
}
