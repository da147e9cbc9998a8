package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/internal/secret/canary"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// A server that takes TLS and scram-sha-256 only: log-ins, looks, cancelled statements and refusals.
func TestTLSAndScram(t *testing.T) {
	files, trusted, err := postgres.Certificate()
	require.NoError(t, err)
	server := pgtest.Own(t, postgres.Options{
		Password: canary.Password,
		Settings: map[string]string{"ssl": "on"},
		Files:    files,
		HBA:      []string{"hostssl all all 127.0.0.1/32 scram-sha-256", "hostnossl all all 127.0.0.1/32 reject"},
	})
	secured := func(c *poolactor.Config) {
		c.ConnConfig.TLSConfig = &tls.Config{RootCAs: trusted, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
		c.ConnConfig.Fallbacks = nil
	}
	begin := func(t *testing.T, change func(*poolactor.Config)) *poolactor.Pool {
		p, err := poolactor.Open(t.Context(), configure(t, server.DSN(), change))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, p.Close()) })
		return p
	}
	t.Run("verified", func(t *testing.T) {
		var dials atomic.Int64
		p := begin(t, func(c *poolactor.Config) {
			secured(c)
			counted(c, &dials)
			c.MaxSize = 1
		})
		require.True(t, ask[bool](t, p, "select ssl from pg_stat_ssl where pid = pg_backend_pid()"))
		for range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), 15*time.Millisecond)
			_, err := p.Exec(ctx, "select pg_sleep(20)")
			cancel()
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, 1, ask[int](t, p, "select 1"))
		}
		require.Less(t, dials.Load(), int64(20), "cancelled statements keep their connection, unless the machine is too busy to answer in time")
		<-time.After(5 * time.Millisecond) // beyond the millisecond in which nothing is looked at
		pid := pidOf(t, p)
		require.True(t, ask[bool](t, begin(t, secured), "select pg_terminate_backend($1, 30000)", pid))
		require.NotEqual(t, pid, pidOf(t, p), "the look below TLS saw it")
	})
	refused := func(t *testing.T, change func(*poolactor.Config)) error {
		t.Helper()
		began := time.Now()
		_, err := begin(t, change).Acquire(within(t, patience))
		var down *poolactor.UnavailableError
		require.ErrorAs(t, err, &down)
		require.True(t, down.Refused, "%v", err)
		require.Less(t, time.Since(began), 10*time.Second, "at once, not at the deadline")
		require.Empty(t, canary.Find(err.Error()))
		return err
	}
	t.Run("without TLS", func(t *testing.T) {
		err := refused(t, func(c *poolactor.Config) { c.ConnConfig.TLSConfig, c.ConnConfig.Fallbacks = nil, nil })
		require.ErrorContains(t, err, "28000")
	})
	t.Run("unknown authority", func(t *testing.T) {
		err := refused(t, func(c *poolactor.Config) {
			secured(c)
			c.ConnConfig.TLSConfig.RootCAs = x509.NewCertPool()
		})
		require.ErrorContains(t, err, "certificate")
	})
	t.Run("wrong password", func(t *testing.T) {
		err := refused(t, func(c *poolactor.Config) {
			secured(c)
			c.ConnConfig.Password = canary.Password + "?"
		})
		require.ErrorContains(t, err, "28P01")
	})
}
