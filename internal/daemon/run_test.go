package daemon

import (
	"bytes"
	"encoding/json"
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
	log = &output{}
	orders := make(chan os.Signal, 1)
	o.ConfigFile, o.Asked, o.Log, o.Signals = write(t, text), true, log, orders
	done := make(chan error, 1)
	go func() { done <- Run(o) }()
	return log, orders, done
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
	require.Contains(t, log.find("supervised ends", "error"), "OPS_PORT")
}
