package config_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/config"
	"github.com/seed-4ff2b7b9/supervised/internal/secret/canary"
)

func TestDiffTellsWhatChangesLive(t *testing.T) {
	old := load(t, "log: {level: info}\ndatabase: {password: a, runtime_params: {a: b}}")
	next := load(t, "log: {level: debug}\nops: {ready_while_down: true, port: 1}\n"+
		"database: {password: b, runtime_params: {a: c}, pool_max_size: 30, min_idle: 1, statement_timeout: 1}")
	require.Equal(t, []config.Change{
		{Key: "database.password", Old: "[redacted]", New: "[redacted]"},
		{Key: "database.runtime_params", Old: "map[a:[redacted]]", New: "map[a:[redacted]]"},
		{Key: "database.pool_max_size", Old: "20", New: "30", Live: true},
		{Key: "database.min_idle", Old: "0", New: "1"},
		{Key: "database.statement_timeout", Old: "30s", New: "1s"},
		{Key: "log.level", Old: "info", New: "debug", Live: true},
		{Key: "ops.port", Old: "8432", New: "1"},
		{Key: "ops.ready_while_down", Old: "false", New: "true", Live: true},
	}, config.Diff(old, next))
	require.Empty(t, config.Diff(next, next))
}

func TestAdoptTakesLiveKeysOnly(t *testing.T) {
	old := load(t, "")
	next := load(t, "log: {level: debug, format: console}\nops: {ready_while_down: true}")
	now := old.Adopt(next)
	require.Equal(t, "debug", now.Log.Level)
	require.True(t, now.Ops.ReadyWhileDown)
	require.Equal(t, []config.Change{{Key: "log.format", Old: "json", New: "console"}}, config.Diff(now, next), "still needs its restart")
	require.Equal(t, "info", old.Log.Level, "the old one is a value")
}

func TestSameSecretIsNoChange(t *testing.T) {
	t.Setenv("DATABASE_PASSWORD", canary.Password)
	a := load(t, "")
	require.Empty(t, config.Diff(a, load(t, "")))
}
