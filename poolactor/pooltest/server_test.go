package pooltest_test

import (
	"context"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/poolactor/pooltest"
)

func TestAnOutageOfAnHour(t *testing.T) {
	for name, stop := range map[string]func(*pooltest.Server){
		"refused": (*pooltest.Server).Stop, "behind a proxy": (*pooltest.Server).StopBehindProxy,
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, server *pooltest.Server, pool *poolactor.Pool) {
				require.NoError(t, pool.Ping(t.Context()))
				stop(server)
				require.Zero(t, server.Stat().Connections)
				time.AfterFunc(time.Hour, server.Start)
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
				defer cancel()
				begun := time.Now()
				require.NoError(t, pool.Ping(ctx))
				require.InDelta(t, time.Hour.Seconds(), time.Since(begun).Seconds(), 15)
				require.Greater(t, server.Stat().Dials, server.Stat().LogIns)
			})
		})
	}
}

func TestConnectionsEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, server *pooltest.Server, pool *poolactor.Pool) {
		for _, end := range []func(){server.Kill, func() { server.Terminate("57P01") }} {
			lease, err := pool.Acquire(t.Context())
			require.NoError(t, err)
			require.Equal(t, 1, server.Stat().Connections)
			end()
			_, err = lease.Exec(t.Context(), "select 1")
			require.Error(t, err)
			lease.Release()
			require.NoError(t, pool.Ping(t.Context()))
		}
		require.Equal(t, 3, server.Stat().LogIns)
		require.Equal(t, 1, server.Stat().Peak)
	})
}

func TestFreezeAndDelay(t *testing.T) {
	inBubble(t, func(t *testing.T, server *pooltest.Server, pool *poolactor.Pool) {
		begun := time.Now()
		server.Freeze()
		time.AfterFunc(time.Second, server.Thaw)
		require.NoError(t, pool.Ping(t.Context()))
		require.Equal(t, time.Second, time.Since(begun))

		lease, err := pool.Acquire(t.Context())
		require.NoError(t, err)
		defer lease.Release()
		begun = time.Now()
		server.Delay(time.Minute)
		_, err = lease.Exec(t.Context(), "select 1")
		require.NoError(t, err)
		server.Delay(0)
		_, err = lease.Exec(t.Context(), "select 1")
		require.NoError(t, err)
		require.Less(t, time.Since(begun), 3*time.Minute)
		require.GreaterOrEqual(t, time.Since(begun), time.Minute)
	})
}

func TestLogInsAreTurnedAway(t *testing.T) {
	inBubble(t, func(t *testing.T, server *pooltest.Server, pool *poolactor.Pool) {
		server.Refuse("3D000", "there is no such database")
		err := pool.Ping(t.Context())
		require.Equal(t, "there is no such database", requireCode(t, "3D000", err).Message)
		server.Refuse("", "")
		server.RequirePassword("another")
		time.Sleep(2 * time.Second) // of fake time: it asks a server that refused once per second
		requireCode(t, "28P01", pool.Ping(t.Context()))
		server.RequirePassword("secret")
		time.Sleep(2 * time.Second)
		require.NoError(t, pool.Ping(t.Context()))
	})
}

// Nothing of a server depends on the pool or on fake time.
func TestPgxAlone(t *testing.T) {
	server := pooltest.New()
	defer server.Close()
	server.Answer("select name from users", pooltest.Answer{Columns: []string{"name"}, Rows: [][]any{{"Ada"}}})
	conn, err := pgx.ConnectConfig(t.Context(), server.ConnConfig())
	require.NoError(t, err)
	defer conn.Close(t.Context())
	var name string
	require.NoError(t, conn.QueryRow(t.Context(), "select name from users").Scan(&name))
	require.Equal(t, "Ada", name)
	server.Stop()
	_, err = pgx.ConnectConfig(t.Context(), server.ConnConfig())
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
}

func TestServersInABubbleAreTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, two := pooltest.New(), pooltest.New()
		defer one.Close()
		defer two.Close()
		one.Answer("select x", pooltest.Answer{})
		conn, err := pgx.ConnectConfig(t.Context(), two.ConnConfig())
		require.NoError(t, err)
		defer conn.Close(t.Context())
		_, err = conn.Exec(t.Context(), "select x from y")
		requireCode(t, "42P01", err)
		require.Zero(t, one.Stat())
	})
}
