package spec

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/config"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/internal/secret"
	"github.com/seed-4ff2b7b9/supervised/internal/secret/canary"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// keepsTheSecret takes the password from the environment and from a file, logs in with it, and looks for it in what the
// configuration and the pool print.
func keepsTheSecret(t *testing.T) {
	server := pgtest.Own(t, postgres.Options{Password: canary.Password})
	file := filepath.Join(t.TempDir(), "config.yml")
	written := fmt.Sprintf("database:\n  host: %s\n  port: %d\n  database: postgres\n  user: postgres\n", server.Host(), server.Port())
	require.NoError(t, os.WriteFile(file, []byte(written), 0o600))
	t.Run("from the environment", func(t *testing.T) {
		t.Setenv("DATABASE_PASSWORD", canary.Password)
		logsIn(t, file)
	})
	quoted := fmt.Sprintf("  password: '%s'\n", doubled(canary.Password))
	require.NoError(t, os.WriteFile(file, []byte(written+quoted), 0o600))
	t.Run("from the file", func(t *testing.T) { logsIn(t, file) })
}

// doubled doubles single quotes, as YAML wants it.
func doubled(s string) (out string) {
	for _, r := range s {
		if r == '\'' {
			out += "'"
		}
		out += string(r)
	}
	return out
}

func logsIn(t *testing.T, file string) {
	t.Helper()
	read, err := config.Load(file, true)
	require.NoError(t, err)
	require.Equal(t, secret.New(canary.Password), read.Database.Password)
	conn, err := read.ConnConfig()
	require.NoError(t, err)
	log := &journal{}
	p, err := poolactor.Open(t.Context(), poolactor.Config{
		ConnConfig: conn,
		MinSize:    read.Database.PoolMinSize,
		MaxSize:    read.Database.PoolMaxSize,
		Logger:     log.logger(),
	})
	require.NoError(t, err)
	require.Equal(t, "postgres", ask[string](t, p, "select current_user"))
	require.Eventually(t, func() bool { return p.Stat().Idle == 5 }, patience, time.Millisecond)
	printed := fmt.Sprintf("%v %+v %#v %+v %+v %+v", read, read, read.Database, p.Stat(), p.Slots(), p.Target())
	require.NoError(t, p.Close())
	require.NotEmpty(t, log.String())
	require.Empty(t, canary.Find(printed+log.String()))
}
