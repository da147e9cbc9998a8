package daemon

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/config"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
)

// output is what a daemon logs to while a test reads it.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

// count tells how many lines with this message there are.
func (o *output) count(message string) (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for line := range strings.Lines(o.text.String()) {
		fields := map[string]any{}
		if json.Unmarshal([]byte(line), &fields) == nil && fields["message"] == message {
			n++
		}
	}
	return n
}

// find returns the field of the first line with this message; empty if there is none yet.
func (o *output) find(message, field string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	for line := range strings.Lines(o.text.String()) {
		fields := map[string]any{}
		if json.Unmarshal([]byte(line), &fields) == nil && fields["message"] == message {
			text, _ := fields[field].(string)
			return text
		}
	}
	return ""
}

const patience = 60 * time.Second

// await waits for a line and returns a field of it.
func (o *output) await(t *testing.T, message, field string) (text string) {
	t.Helper()
	require.Eventually(t, func() bool {
		text = o.find(message, field)
		return text != ""
	}, patience, 5*time.Millisecond, message)
	return text
}

// begin runs a daemon with a configuration.
func begin(t *testing.T, o Options, text string) (log *output, signals chan<- os.Signal, ended <-chan error) {
	t.Helper()
	log, signals, _, ended = beginFrom(t, o, text)
	return log, signals, ended
}

// beginFrom is begin that tells where the configuration stands.
func beginFrom(t *testing.T, o Options, text string) (log *output, signals chan<- os.Signal, path string, ended <-chan error) {
	t.Helper()
	log = &output{}
	orders := make(chan os.Signal, 1)
	path = write(t, text)
	o.ConfigFile, o.Asked, o.Log, o.Signals = path, true, log, orders
	done := make(chan error, 1)
	go func() { done <- Run(o) }()
	return log, orders, path, done
}

// sizes are what /api/state says about the pool.
type sizes struct {
	Pool struct{ Min, Max, Open int }
}

func state(t *testing.T, url string) (s sizes) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	answer, err := client.Get(url + "api/state")
	require.NoError(t, err)
	defer answer.Body.Close()
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&s))
	return s
}

// code asks the ops server.
func code(t *testing.T, url string) int {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	answer, err := client.Get(url)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	return answer.StatusCode
}

// nobody is a configuration whose database nobody serves.
const nobody = "database: {host: 127.0.0.1, port: 1}\nops: {port: 0}\n"

func TestADaemonWithItsOwnServer(t *testing.T) {
	pgtest.Require(t)
	log, signals, ended := begin(t, Options{Embedded: true}, nobody)
	url := log.await(t, "supervised runs", "url")
	require.Eventually(t, func() bool { return code(t, url+"readyz") == http.StatusOK }, patience, 10*time.Millisecond)
	signals <- syscall.SIGHUP
	log.await(t, "the configuration was read again", "time")
	require.Empty(t, log.find("needs a restart to change", "key"), "the embedded server is no change")
	signals <- syscall.SIGTERM
	require.NoError(t, <-ended)
}

// A new size of the pool needs no restart, and what does is named.
func TestReloadResizesThePool(t *testing.T) {
	pgtest.Require(t)
	const settings = "{host: 127.0.0.1, port: 1, pool_min_size: %d, pool_max_size: %d}\nlease: {max_age: %s}\nhealth: {interval: %d}\nops: {port: 0}\n"
	log, signals, path, ended := beginFrom(t, Options{Embedded: true}, fmt.Sprintf("database: "+settings, 2, 3, "0", 1))
	url := log.await(t, "supervised runs", "url")
	size := func() []int {
		p := state(t, url).Pool
		return []int{p.Min, p.Max}
	}
	require.Equal(t, []int{2, 3}, size())
	reload := func(minSize, maxSize int, maxAge string) {
		t.Helper()
		n := log.count("the configuration was read again")
		require.NoError(t, os.WriteFile(path, fmt.Appendf(nil, "database: "+settings, minSize, maxSize, maxAge, 2), 0o600))
		signals <- syscall.SIGHUP
		require.Eventually(t, func() bool { return log.count("the configuration was read again") > n }, patience, 5*time.Millisecond)
		require.Equal(t, []int{minSize, maxSize}, size())
	}
	reload(4, 7, "10m")
	require.Eventually(t, func() bool { return state(t, url).Pool.Open == 4 }, patience, 10*time.Millisecond, "it grows to its minimum")
	require.Equal(t, 3, log.count("changed"), "both sizes and the age")
	require.Equal(t, "health.interval", log.find("needs a restart to change", "key"))
	reload(0, 1, "10m")
	require.Eventually(t, func() bool { return state(t, url).Pool.Open <= 1 }, patience, 10*time.Millisecond, "it shrinks")
	require.Zero(t, log.count("the throwaway server has no room for so many connections before the daemon is restarted"))
	reload(0, 3+spareConnections+1, "10m")
	require.Equal(t, 1, log.count("the throwaway server has no room for so many connections before the daemon is restarted"))
	require.Zero(t, log.count("the pool has not taken on its new size yet: it does when its actor runs"))
	signals <- syscall.SIGTERM
	require.NoError(t, <-ended)
}

func TestADaemonWithoutADatabase(t *testing.T) {
	log, signals, ended := begin(t, Options{}, nobody)
	url := log.await(t, "supervised runs", "url")
	require.Equal(t, http.StatusServiceUnavailable, code(t, url+"readyz"))
	require.Equal(t, http.StatusOK, code(t, url+"livez"))
	require.Equal(t, http.StatusOK, code(t, url+"api/state"))
	signals <- syscall.SIGINT
	require.NoError(t, <-ended)
	log.await(t, "supervised has stopped", "time")
}

func TestASignalDuringTheStartOfTheServer(t *testing.T) {
	pgtest.Require(t)
	log, signals, ended := begin(t, Options{Embedded: true}, nobody)
	log.await(t, "supervised starts", "time")
	signals <- syscall.SIGTERM
	require.NoError(t, <-ended)
}

func TestABadConfigurationStartsNothing(t *testing.T) {
	_, _, ended := begin(t, Options{}, "log: {level: loud}")
	var problem *config.Error
	require.ErrorAs(t, <-ended, &problem)
	require.Equal(t, "log.level", problem.Key)
}

func TestATakenPortStartsNothing(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.Addr().String())
	require.NoError(t, err)
	log, _, ended := begin(t, Options{Embedded: true}, "ops: {port: "+port+"}")
	require.ErrorContains(t, <-ended, "address already in use")
	require.Contains(t, log.find("supervised ends", "cause"), "OPS_PORT")
}

func TestTheDaemonShowsItselfToPrometheus(t *testing.T) {
	for name, c := range map[string]struct {
		ops  string
		want int
	}{"asked for": {"ops: {port: 0}\n", http.StatusOK}, "not asked for": {"ops: {port: 0, metrics: false}\n", http.StatusNotFound}} {
		t.Run(name, func(t *testing.T) {
			log, signals, ended := begin(t, Options{}, "database: {host: 127.0.0.1, port: 1}\n"+c.ops)
			url := log.await(t, "supervised runs", "url")
			require.Equal(t, c.want, code(t, url+"metrics"))
			signals <- syscall.SIGTERM
			require.NoError(t, <-ended)
		})
	}
}
