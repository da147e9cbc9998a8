package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/config"
	"github.com/seed-4ff2b7b9/supervised/internal/daemon"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/internal/secret/canary"
)

func TestBadConfigurations(t *testing.T) {
	t.Parallel()
	password := "  password: " + strconv.Quote(canary.Password) + "\n"
	for name, c := range map[string]struct{ file, says string }{
		"unknown key":      {"database:\n" + password + "  hots: x\n", ":3: database.hots: is unknown"},
		"wrong type":       {"database:\n" + password + "  port: many\n", ":3: database.port: has the wrong type"},
		"min above max":    {"database:\n" + password + "  pool_min_size: 9\n  pool_max_size: 3\n", ":3: database.pool_min_size: is more than database.pool_max_size"},
		"no max":           {"database:\n" + password + "  pool_max_size: 0\n", ":3: database.pool_max_size: is out of range"},
		"negative time":    {"database:\n" + password + "  statement_timeout: -1\n", ":3: database.statement_timeout: is out of range"},
		"port":             {"ops:\n  port: 65536\n", ":2: ops.port: is out of range"},
		"initial backoff":  {"retry:\n  initial_backoff: 11\n", ":2: retry.initial_backoff: is out of range"},
		"cap":              {"retry:\n  max_backoff: 61\n", ":2: retry.max_backoff: is out of range"},
		"long schedule":    {"retry:\n  max_retries: 30\n", ":2: retry.max_retries: makes a retry schedule of more than 2m0s"},
		"broken YAML":      {"database:\n\tport: 1\n", "YAML"},
		"password as text": {"database: " + strconv.Quote(canary.Password) + "\n", "database: has the wrong type"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := write(t, c.file)
			for _, command := range []string{"check", "run"} {
				p, code := run(t, nil, command, "--config", file)
				require.Equal(t, exitUsage, code)
				require.Contains(t, p.output(), file)
				require.Contains(t, p.output(), c.says)
			}
		})
	}
}

func TestConfigurationsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	missing, code := run(t, nil, "check", "--config", "missing.yml")
	require.Equal(t, exitUsage, code)
	require.Contains(t, missing.output(), "missing.yml")

	variable, code := run(t, []string{"DATABASE_PORT=x"}, "check")
	require.Equal(t, exitUsage, code)
	require.Contains(t, variable.output(), "DATABASE_PORT")
}

func TestCheckIsLetIn(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t)
	p, code := run(t, []string{"DATABASE_URL=" + server.DSN()}, "check")
	require.Zero(t, code)
	require.Contains(t, p.output(), "The configuration is valid.")
	require.Contains(t, p.output(), "postgres@"+server.Address()+"/postgres lets us in: PostgreSQL ")
	require.Contains(t, p.output(), "not encrypted")
}

func TestCheckIsRefused(t *testing.T) {
	t.Parallel()
	pgtest.Require(t)
	server := pgtest.Own(t, postgres.Options{Password: canary.Password})
	settings := []string{"DATABASE_HOST=127.0.0.1", "DATABASE_PORT=" + strconv.Itoa(server.Port()), "DATABASE_SSLMODE=disable"}
	wrong, code := run(t, append(settings, "DATABASE_DATABASE=postgres", "DATABASE_PASSWORD=wrong-password"), "check")
	require.Equal(t, exitRefused, code)
	for _, part := range []string{"refuses the connection", "28P01", "what to do:", "DATABASE_PASSWORD"} {
		require.Contains(t, wrong.output(), part)
	}
	require.NotContains(t, wrong.output(), "wrong-password")

	database, code := run(t, append(settings, "DATABASE_DATABASE=nowhere", "DATABASE_PASSWORD="+canary.Password), "check")
	require.Equal(t, exitRefused, code)
	require.Contains(t, database.output(), "createdb")
}

func TestCheckFindsNobody(t *testing.T) {
	t.Parallel()
	dead, code := run(t, deadServer(t), "check")
	require.Equal(t, exitUnreachable, code)
	for _, part := range []string{"cannot be reached", "connection refused", "what to do:", "start the server"} {
		require.Contains(t, dead.output(), part)
	}

	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	port := strconv.Itoa(silent.Addr().(*net.TCPAddr).Port)
	p, code := run(t, []string{
		"DATABASE_HOST=127.0.0.1", "DATABASE_PORT=" + port, "DATABASE_CONNECTION_TIMEOUT=0.3",
	}, "check")
	require.Equal(t, exitUnreachable, code)
	require.Contains(t, p.output(), "Nobody answers")
}

func TestDemoKeepsThePromise(t *testing.T) {
	t.Parallel()
	pgtest.Require(t)
	p, code := run(t, elsewhere, "demo", "--for", "6s", "--every", "2s")
	require.Zero(t, code)
	for _, part := range []string{"kills        3", "0 of them missing, 0 there twice, 0 there that must not be", "allowed by the rule, 0 not", "kept its promise"} {
		require.Contains(t, p.output(), part)
	}
	require.NotContains(t, p.output(), "\x1b", "no live line where there is no terminal")
}

func TestDemoNoticesABrokenPool(t *testing.T) {
	t.Parallel()
	pgtest.Require(t)
	p, code := run(t, nil, "demo", "--for", "6s", "--every", "2s", "--callers", "8", "--break")
	require.Equal(t, exitFailure, code)
	require.Contains(t, p.output(), "a call failed that held no lease")
	require.Contains(t, p.output(), "The promise is broken.")
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	version, code := run(t, nil, "version")
	require.Zero(t, code)
	require.True(t, strings.HasPrefix(version.output(), "supervised "))

	for _, args := range [][]string{nil, {"--help"}, {"run", "--help"}, {"check", "--help"}, {"demo", "--help"}} {
		help, code := run(t, nil, args...)
		require.Zero(t, code)
		require.Contains(t, help.output(), "Usage:")
	}
	for says, args := range map[string][]string{
		`no command "fly"`:       {"fly"},
		"unknown flag: --fast":   {"run", "--fast"},
		"takes no arguments":     {"check", "config.yml"},
		"run takes no":           {"run", "now"},
		"--every is 10ms":        {"demo", "--every", "10ms"},
		"--callers is 0":         {"demo", "--callers", "0"},
		"--for is 1s":            {"demo", "--for", "1s"},
		`--ops is "8432"`:        {"demo", "--ops", "8432"},
		"supervised demo --help": {"demo", "--every", "often"},
	} {
		p, code := run(t, nil, args...)
		require.Equal(t, exitUsage, code, "%v", args)
		require.Contains(t, p.output(), says)
	}
}

func TestExitCodes(t *testing.T) {
	for code, err := range map[int]error{
		exitFailure:     errors.New("anything"),
		exitUsage:       fmt.Errorf("wrapped: %w", errors.Join(&config.Error{Problem: "is wrong"})),
		exitRefused:     fmt.Errorf("wrapped: %w", &daemon.ConnectError{Refused: true, Err: errors.New("no")}),
		exitUnreachable: &daemon.ConnectError{Err: os.ErrDeadlineExceeded},
	} {
		require.Equal(t, code, exitCode(err))
	}
}

func TestVersions(t *testing.T) {
	info := &debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}}
	require.Equal(t, "v1.2.3", describe(info))
	info.Main.Version = "(devel)"
	require.Equal(t, "of an unknown revision", describe(info))
	info.Settings = []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}}
	require.Equal(t, "of revision 0123456789ab", describe(info))
	info.Settings = append(info.Settings, debug.BuildSetting{Key: "vcs.time", Value: "2026-01-02T03:04:05Z"}, debug.BuildSetting{Key: "vcs.modified", Value: "true"})
	require.Equal(t, "of revision 0123456789ab, 2026-01-02T03:04:05Z, with changes", describe(info))
}
