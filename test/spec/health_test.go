package spec

import (
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

func passesTheLiving(t *testing.T) {
	log := &journal{}
	p := open(t, pgtest.Server(t).DSN(), func(c *poolactor.Config) {
		c.Health = poolactor.HealthConfig{OnAcquire: poolactor.CheckAlways, Interval: -1}
		c.Logger = log.logger()
	})
	pid := ask[int](t, p, "select pg_backend_pid()")
	for range 5 {
		require.Equal(t, pid, ask[int](t, p, "select pg_backend_pid()"))
	}
	require.EqualValues(t, 6, p.Stat().Checks)
	require.Zero(t, p.Stat().FailedCheck)
	require.Empty(t, log.having(zerolog.WarnLevel, "level"), "%s", log)
}

func failsTheDead(t *testing.T) {
	server := pgtest.Server(t)
	log := &journal{}
	p := open(t, server.DSN(), func(c *poolactor.Config) {
		c.MaxSize = 2
		c.Health = poolactor.HealthConfig{OnAcquire: poolactor.CheckAlways, Interval: -1} // nobody but the acquire looks
		c.Logger = log.logger()
	})
	var (
		leases [2]*poolactor.Lease
		err    error
	)
	take := func() (pids [2]uint32) {
		for i := range leases {
			leases[i], err = p.Acquire(within(t, patience))
			require.NoError(t, err, "a failed check costs time, never an error")
			pids[i] = uint32(ask[int](t, leases[i], "select pg_backend_pid()"))
		}
		for _, l := range leases {
			l.Release()
		}
		return pids
	}
	before := take()
	require.True(t, ask[bool](t, connect(t, server.DSN()), "select pg_terminate_backend($1, 30000)", before[0]))
	after := take()
	require.NotContains(t, after, before[0])
	require.Contains(t, after, before[1], "the next one")

	require.Eventually(t, func() bool { return len(log.having(zerolog.WarnLevel, "pid")) > 0 }, patience, time.Millisecond)
	warned := log.having(zerolog.WarnLevel, "pid")[0].fields
	require.EqualValues(t, before[0], warned["pid"])
	require.Equal(t, string(poolactor.EventCheckFailed), warned["event"])
	require.NotEmpty(t, warned["cause"])
}

func checksAlways(t *testing.T) {
	w := &wire{}
	p := open(t, pgtest.Server(t).DSN(), func(c *poolactor.Config) {
		c.Health = poolactor.HealthConfig{OnAcquire: poolactor.CheckAlways, Interval: -1}
		c.DialFunc = w.dial
	})
	for n := range int64(20) {
		l, err := p.Acquire(within(t, patience))
		require.NoError(t, err)
		require.Equal(t, n+1, w.checks.Load(), "one on the wire before each hand-off, and when the lease is there")
		l.Release()
	}
}
