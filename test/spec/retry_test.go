package spec

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/internal/secret/canary"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

func retries(t *testing.T) {
	server := pgtest.Server(t)
	proxy, dsn := proxied(t, server.Address(), server.DSN())
	proxy.Refuse()
	log := &journal{}
	p := open(t, dsn, func(c *poolactor.Config) {
		c.Retry.Initial = 100 * time.Millisecond
		c.Logger = log.logger()
	})
	answer := make(chan error, 1)
	go func() {
		_, err := p.Exec(within(t, patience), "select 1")
		answer <- err
	}()
	require.Eventually(t, func() bool {
		return len(log.having(zerolog.WarnLevel, "attempt")) >= 3
	}, patience, time.Millisecond)
	require.Empty(t, answer, "the call waits")
	require.NoError(t, proxy.Heal())
	require.NoError(t, <-answer)
}

// backsOff reads the waits from the log and measures them there.
func backsOff(t *testing.T) {
	server := pgtest.Server(t)
	proxy, dsn := proxied(t, server.Address(), server.DSN())
	proxy.Refuse()
	log := &journal{}
	p := open(t, dsn, func(c *poolactor.Config) {
		c.Retry = poolactor.RetryConfig{Initial: 100 * time.Millisecond, Max: 400 * time.Millisecond, MaxRetries: 4, Jitter: -1}
		c.Logger = log.logger()
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // with a deadline it waits beyond the schedule's length
	ended := make(chan error, 1)
	go func() {
		_, err := p.Acquire(ctx)
		ended <- err
	}()
	var attempts []entry
	require.Eventually(t, func() bool {
		attempts = log.having(zerolog.WarnLevel, "attempt")
		return len(attempts) >= 5
	}, 30*time.Second, 10*time.Millisecond)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	for i, milliseconds := range []float64{100, 200, 400, 400, 400} {
		require.EqualValues(t, i+1, attempts[i].fields["attempt"])
		require.InDelta(t, milliseconds, attempts[i].fields["wait"], 50)
		if i > 0 {
			waited := attempts[i].at.Sub(attempts[i-1].at)
			planned := time.Duration(attempts[i-1].fields["wait"].(float64) * float64(time.Millisecond))
			require.GreaterOrEqual(t, waited, planned-20*time.Millisecond)
		}
	}
}

func givesUpWithContext(t *testing.T) {
	server := pgtest.Server(t)
	proxy, dsn := proxied(t, server.Address(), server.DSN())
	proxy.Refuse()
	p := open(t, dsn, func(c *poolactor.Config) {
		c.Retry = poolactor.RetryConfig{Initial: 100 * time.Millisecond, MaxRetries: 2, Jitter: -1}
	})
	began := time.Now()
	_, err := p.Acquire(context.Background())
	require.GreaterOrEqual(t, time.Since(began), 300*time.Millisecond, "the schedule's whole length")
	var down *poolactor.UnavailableError
	require.ErrorAs(t, err, &down)
	require.Equal(t, 3, down.Attempts, "one and two retries")
	require.Equal(t, uint16(proxy.Port()), down.Target.Port)
	require.WithinRange(t, down.Since, began, time.Now())
	require.Positive(t, down.NextIn)
	require.False(t, down.Refused)
	require.ErrorIs(t, err, syscall.ECONNREFUSED, "the last cause")
}

func saysTargetAndAttempt(t *testing.T) {
	server := pgtest.Own(t, postgres.Options{Password: canary.Password})
	proxy, dsn := proxied(t, server.Address(), server.DSN())
	quick := func(c *poolactor.Config) {
		c.Retry = poolactor.RetryConfig{Initial: 100 * time.Millisecond, MaxRetries: 1, Jitter: -1}
	}
	proxy.Refuse()
	_, err := open(t, dsn, quick).Acquire(context.Background())
	require.ErrorContains(t, err, "postgres@"+proxy.Address()+"/postgres")
	require.ErrorContains(t, err, "2 attempts failed")
	require.Empty(t, canary.Find(err.Error()))

	// A wrong password, which the server refuses.
	_, err = open(t, server.DSN(), func(c *poolactor.Config) {
		c.ConnConfig.Password = canary.Password + "?"
	}).Acquire(context.Background())
	var refused *poolactor.UnavailableError
	require.ErrorAs(t, err, &refused)
	require.True(t, refused.Refused)
	require.Equal(t, 1, refused.Attempts)
	require.ErrorContains(t, err, "postgres@"+server.Address()+"/postgres")
	for e := err; e != nil; e = errors.Unwrap(e) {
		require.Empty(t, canary.Find(e.Error()))
	}
}
