package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/ports"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/internal/secret/canary"
)

// deadServer are the settings of a daemon whose database cannot be reached.
func deadServer(t *testing.T) []string {
	t.Helper()
	port, err := ports.Free()
	require.NoError(t, err)
	return []string{"DATABASE_HOST=127.0.0.1", "DATABASE_PORT=" + strconv.Itoa(port)}
}

// postmaster is the process id of the embedded server's last life.
func postmaster(p *process) int {
	p.t.Helper()
	pid := 0
	for _, line := range p.errors() {
		var e entry
		if json.Unmarshal([]byte(line), &e) == nil && e.is("message", "postgres accepts connections") {
			pid = int(e["pid"].(float64))
		}
	}
	require.NotZero(p.t, pid)
	return pid
}

// elsewhere are variables that speak of another server than the throwaway one.
var elsewhere = []string{
	"PGSERVICE=nosuch", "PGTARGETSESSIONATTRS=standby", "PGOPTIONS=-c default_transaction_read_only=on", "PGHOST=nosuch.invalid",
}

// oneConnection lets a daemon open no more connections than the one that makes it ready: so nothing is under way when
// something happens to its server.
const oneConnection = "DATABASE_POOL_MIN_SIZE=1"

func TestEmbeddedServerIsKilledAndComesBack(t *testing.T) {
	t.Parallel()
	pgtest.Require(t)
	p := start(t, append(elsewhere, oneConnection), "run", "--embedded")
	url := p.url()
	awaitCode(t, url, http.StatusOK)
	first := postmaster(p)
	require.NoError(t, syscall.Kill(first, syscall.SIGKILL))
	took, said := awaitCode(t, url, http.StatusServiceUnavailable)
	t.Logf("503 after %v", took)
	require.Equal(t, "the database cannot be reached", said["reason"])
	require.Contains(t, said["cause"], "connection refused")
	for _, key := range []string{"since", "next_attempt", "what_to_do"} {
		require.NotEmpty(t, said[key], key)
	}
	code, _, err := get(url + "livez")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, code, "the process itself is well")
	code, body, err := get(url + "api/state")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, body, `"what": "outage"`)

	awaitCode(t, url, http.StatusOK)
	second := postmaster(p)
	require.NotEqual(t, first, second)

	p.signal(syscall.SIGTERM)
	require.Zero(t, p.wait())
	p.await("message", "supervised has stopped")
	require.True(t, gone(second), "the embedded server ends with its daemon")
	folders, err := filepath.Glob(filepath.Join(os.TempDir(), "supervised-postgres-*", "data", "postmaster.pid"))
	require.NoError(t, err)
	for _, file := range folders {
		content, _ := os.ReadFile(file) // another test's may be gone by now
		require.False(t, strings.HasPrefix(string(content), strconv.Itoa(second)+"\n"), "its data are gone as well")
	}
}

func TestASilentServerIsNoticed(t *testing.T) {
	t.Parallel()
	server := pgtest.Own(t, postgres.Options{})
	p := start(t, []string{"DATABASE_URL=" + server.DSN(), oneConnection}, "run")
	url := p.url()
	awaitCode(t, url, http.StatusOK)
	family := append(childrenOf(t, server.PID()), server.PID())
	for _, pid := range family {
		require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	}
	took, said := awaitCode(t, url, http.StatusServiceUnavailable)
	for _, pid := range family {
		require.NoError(t, syscall.Kill(pid, syscall.SIGCONT))
	}
	t.Logf("503 after %v: %v", took, said)
	require.NotEmpty(t, said["cause"])
	awaitCode(t, url, http.StatusOK)
	p.signal(syscall.SIGTERM)
	require.Zero(t, p.wait())
}

// childrenOf lists the processes that a process has begun.
func childrenOf(t *testing.T, pid int) []int {
	t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		t.Skip("the backends of a server can only be found by /proc: ", err)
	}
	var children []int
	for field := range strings.FieldsSeq(string(content)) {
		child, err := strconv.Atoi(field)
		require.NoError(t, err)
		children = append(children, child)
	}
	return children
}

func TestAPoolWithoutAMinimumIsReadyAndFindsTheWayBack(t *testing.T) {
	t.Parallel()
	server := pgtest.Own(t, postgres.Options{})
	p := start(t, []string{"DATABASE_URL=" + server.DSN(), "DATABASE_POOL_MIN_SIZE=0"}, "run")
	url := p.url()
	awaitCode(t, url, http.StatusOK)
	require.NoError(t, server.Kill())
	awaitCode(t, url, http.StatusServiceUnavailable)
	require.NoError(t, server.StartAgain(t.Context()))
	awaitCode(t, url, http.StatusOK)
}

func TestASecondSignalStopsAtOnce(t *testing.T) {
	t.Parallel()
	pgtest.Require(t)
	p := start(t, nil, "run", "--embedded")
	url := p.url()
	awaitCode(t, url, http.StatusOK)
	pid := postmaster(p)
	// A request that does not get to its end holds up the ordered stop.
	conn, err := net.Dial("tcp", strings.Trim(strings.TrimPrefix(url, "http://"), "/"))
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("GET /livez HTTP/1.1\r\n"))
	require.NoError(t, err)
	code, _, err := get(url + "livez") // by now the server has accepted the connection before this one
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, code)

	p.signal(syscall.SIGTERM)
	p.await("message", "stopping: what is under way may end; a second signal stops at once")
	began := time.Now()
	p.signal(syscall.SIGINT)
	require.Equal(t, exitFailure, p.wait())
	require.Less(t, time.Since(began), 3*time.Second, "a second, and what a busy machine adds")
	require.Contains(t, p.output(), "second signal")
	require.Eventually(t, func() bool { return gone(pid) }, patience, 10*time.Millisecond, "the embedded server ends, too")
}

func TestAFirstSignalDuringTheStart(t *testing.T) {
	t.Parallel()
	p := start(t, deadServer(t), "run")
	p.await("message", "supervised starts")
	p.signal(syscall.SIGINT)
	require.Zero(t, p.wait())
}

func TestSIGHUPAppliesWhatItCan(t *testing.T) {
	t.Parallel()
	file := write(t, "log:\n  level: info\n")
	p := start(t, deadServer(t), "run", "--config", file)
	url := p.url()
	_, said := awaitCode(t, url, http.StatusServiceUnavailable)
	require.NotEmpty(t, said["reason"])

	change := func(text string) {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		p.signal(syscall.SIGHUP)
	}
	change("log:\n  level: debug\nops:\n  ready_while_down: true\ndatabase:\n  pool_max_size: 7\n  password: " +
		strconv.Quote(canary.Password) + "\n")
	p.await("message", "changed", "key", "log.level", "from", "info", "to", "debug")
	p.await("message", "changed", "key", "ops.ready_while_down")
	p.await("message", "changed", "key", "database.pool_max_size", "from", 20, "to", 7)
	p.await("message", "needs a restart to change", "key", "database.password", "to", "[redacted]")
	_, said = awaitCode(t, url, http.StatusOK)
	require.Contains(t, said["reason"], "although the database cannot be reached")
	p.await("level", "debug")

	change("log:\n  level: loud\n")
	e := p.await("level", "error", "message", "the configuration was not read again: the one in force stays")
	require.Contains(t, e["cause"], file+":2: log.level")
	code, _, err := get(url + "readyz")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, code)

	p.signal(syscall.SIGTERM)
	require.Zero(t, p.wait())
}

func TestATakenPort(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	p, code := run(t, append(deadServer(t), "OPS_PORT="+port), "run")
	require.Equal(t, exitFailure, code)
	for _, part := range []string{"127.0.0.1:" + port, "address already in use", "OPS_PORT"} {
		require.Contains(t, p.output(), part)
	}
}

func TestWithoutTheStatePage(t *testing.T) {
	t.Parallel()
	p := start(t, append(deadServer(t), "OPS_STATE_PAGE=false"), "run")
	url := p.url()
	code, _, err := get(url + "api/state")
	require.NoError(t, err)
	require.Equal(t, http.StatusNotFound, code)
}

func TestThePasswordStaysInside(t *testing.T) {
	t.Parallel()
	server := pgtest.Own(t, postgres.Options{Password: canary.Password})
	for name, settings := range map[string][]string{
		"right": {"DATABASE_URL=" + server.DSN()},
		"wrong": {"DATABASE_HOST=127.0.0.1", "DATABASE_PORT=" + strconv.Itoa(server.Port()), "DATABASE_PASSWORD=" + canary.Password + "!"},
	} {
		t.Run(name, func(t *testing.T) {
			p := start(t, append(settings, "LOG_LEVEL=trace"), "run")
			url := p.url()
			if name == "right" {
				awaitCode(t, url, http.StatusOK)
			} else {
				p.await("message", "not ready: the database refuses the connection")
			}
			requireNoPassword(t, url)
			p.signal(syscall.SIGTERM)
			require.Zero(t, p.wait())
		})
	}
}

// requireNoPassword looks into every answer of the ops server.
func requireNoPassword(t *testing.T, url string) {
	t.Helper()
	for _, path := range []string{"", "readyz", "readyz?format=text", "livez", "api/state", "metrics", "nowhere"} {
		_, body, err := get(url + path)
		require.NoError(t, err)
		require.NotEmpty(t, body)
		require.True(t, canary.Find(body) == nil, "the password is in /%s", path)
	}
}

func TestWithoutPostgreSQLTheErrorSaysHowToInstallIt(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"run", "--embedded"}, {"demo"}} {
		p, code := run(t, []string{"PG_BINDIR=/nonexistent"}, args...)
		require.Equal(t, exitFailure, code)
		require.Contains(t, p.output(), "apt-get install postgresql")
	}
}
