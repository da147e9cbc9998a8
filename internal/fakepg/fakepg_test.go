package fakepg_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// everywhere runs a test against a server of its own, inside a bubble and outside of one.
func everywhere(t *testing.T, test func(*testing.T, *fakepg.Server)) {
	t.Helper()
	run := func(t *testing.T) {
		server := fakepg.New()
		defer server.Close()
		test(t, server)
	}
	t.Run("bubble", func(t *testing.T) { synctest.Test(t, run) })
	t.Run("real time", run)
}

// inBubble runs a test of times, which only fake time makes exact.
func inBubble(t *testing.T, test func(*testing.T, *fakepg.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		server := fakepg.New()
		defer server.Close()
		test(t, server)
	})
}

func connect(t *testing.T, server *fakepg.Server) *pgx.Conn {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), server.Config())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func requireCode(t *testing.T, code string, err error) {
	t.Helper()
	var reason *pgconn.PgError
	require.ErrorAs(t, err, &reason)
	require.Equal(t, code, reason.Code)
}

func exec(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	_, err := conn.Exec(t.Context(), sql)
	require.NoError(t, err)
}

func TestLogIn(t *testing.T) {
	everywhere(t, func(t *testing.T, server *fakepg.Server) {
		cfg := server.Config()
		cfg.RuntimeParams["statement_timeout"] = "30000"
		conn, err := pgx.ConnectConfig(t.Context(), cfg)
		require.NoError(t, err)
		pid := conn.PgConn().PID()

		require.Equal(t, "15.0", conn.PgConn().ParameterStatus("server_version"))
		require.Equal(t, "off", conn.PgConn().ParameterStatus("in_hot_standby"))
		require.Equal(t, "UTF8", conn.PgConn().ParameterStatus("client_encoding"))
		require.Equal(t, "on", conn.PgConn().ParameterStatus("standard_conforming_strings"))
		require.Equal(t, "app", server.Parameters(pid)["user"])
		require.Equal(t, "30000", server.Parameters(pid)["statement_timeout"])
		require.Nil(t, server.Parameters(pid+1))

		other := connect(t, server)
		require.NotEqual(t, pid, other.PgConn().PID())
		require.NotEqual(t, conn.PgConn().SecretKey(), other.PgConn().SecretKey())
		require.Equal(t, []uint32{pid, other.PgConn().PID()}, server.PIDs())
		require.Equal(t, 2, server.Connections())

		require.NoError(t, conn.Close(t.Context()))
		require.NoError(t, other.Close(t.Context()))
		server.Close() // returns when every session has ended
		require.Equal(t, 0, server.Connections())
		require.Equal(t, 2, server.PeakConnections())
		require.Equal(t, 2, server.Dials())
		require.Equal(t, 2, server.LogIns())
	})
}

func TestEncryptionIsDeclined(t *testing.T) {
	everywhere(t, func(t *testing.T, server *fakepg.Server) {
		cfg, err := pgx.ParseConfig("postgres://app:secret@db.test:5432/app?sslmode=prefer")
		require.NoError(t, err)
		cfg.DialFunc, cfg.LookupFunc = server.Dial, server.Lookup
		conn, err := pgx.ConnectConfig(t.Context(), cfg)
		require.NoError(t, err)
		require.NoError(t, conn.Ping(t.Context()))
		require.NoError(t, conn.Close(t.Context()))
		require.Equal(t, 2, server.Dials(), "prefer tries with and without encryption")
	})
}

func TestNewerProtocolIsNegotiatedDown(t *testing.T) {
	everywhere(t, func(t *testing.T, server *fakepg.Server) {
		cfg := server.Config()
		cfg.MaxProtocolVersion = "3.2"
		conn, err := pgx.ConnectConfig(t.Context(), cfg)
		require.NoError(t, err)
		require.NoError(t, conn.Close(t.Context()))
	})
}

func TestPassword(t *testing.T) {
	everywhere(t, func(t *testing.T, server *fakepg.Server) {
		server.RequirePassword("secret")
		connect(t, server)

		cfg := server.Config()
		cfg.Password = "wrong"
		_, err := pgx.ConnectConfig(t.Context(), cfg)
		requireCode(t, "28P01", err)
	})
}

func TestLookup(t *testing.T) {
	server := fakepg.New()
	defer server.Close()

	found, err := server.Lookup(t.Context(), "db.test")
	require.NoError(t, err)
	require.Equal(t, []string{fakepg.Address}, found)

	found, err = server.Lookup(t.Context(), "::1")
	require.NoError(t, err)
	require.Equal(t, []string{"::1"}, found)

	over, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = server.Lookup(over, "db.test")
	require.ErrorIs(t, err, context.Canceled)
}
