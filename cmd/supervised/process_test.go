package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/seed-4ff2b7b9/supervised/internal/config"
	"github.com/seed-4ff2b7b9/supervised/internal/logdoc"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/internal/secret/canary"
)

// patience bounds everything that is waited for, on a machine that is busy with other tests.
const patience = 60 * time.Second

// built is the binary under test, made once and only if a test asks for it.
var built struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	pgtest.Main(m, goleak.Cleanup(func(code int) {
		if built.dir != "" {
			os.RemoveAll(built.dir)
		}
		os.Exit(code)
	}))
}

// binary is the path of the binary under test.
func binary(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "supervised-binary-"); built.err != nil {
			return
		}
		out, err := exec.Command("go", "build", "-buildvcs=false", "-o", built.dir, ".").CombinedOutput()
		if err != nil {
			built.err = fmt.Errorf("go build: %w: %s", err, out)
		}
	})
	require.NoError(t, built.err)
	return filepath.Join(built.dir, "supervised")
}

// process is a run of the binary.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout bytes.Buffer
	exited chan struct{} // closed when it has ended and all that it printed was read

	mu     sync.Mutex
	stderr []string
	news   chan struct{} // closed at the next line
}

// environment is that of the tests without what it says about databases and about the daemon, so that only the test
// decides. The ops server has a free port.
func environment(more ...string) []string {
	known := map[string]bool{"HOME": true}
	for _, k := range config.Keys() {
		known[k.Env] = true
	}
	env := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return known[name] || strings.HasPrefix(name, "PG") && name != "PG_BINDIR"
	})
	return append(append(env, "OPS_PORT=0", "HOME=/nonexistent"), more...)
}

// start starts the binary in an empty folder. Whatever still runs at the end of the test is killed.
func start(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(binary(t), args...), exited: make(chan struct{}), news: make(chan struct{})}
	p.cmd.Dir, p.cmd.Env, p.cmd.Stdout = t.TempDir(), environment(env...), &p.stdout
	stderr, err := p.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	go p.read(stderr)
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // it has ended by itself, mostly
		<-p.exited
		require.Nil(t, canary.Find(p.output()), "the password got out")
		p.requireDocumentedLog()
		if t.Failed() {
			t.Logf("output of %v:\n%s", args, p.output())
		}
	})
	return p
}

// run runs the binary to its end and returns its exit code.
func run(t *testing.T, env []string, args ...string) (*process, int) {
	t.Helper()
	p := start(t, env, args...)
	return p, p.wait()
}

func (p *process) read(stderr io.Reader) {
	defer close(p.exited)
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		p.mu.Lock()
		p.stderr = append(p.stderr, lines.Text())
		close(p.news)
		p.news = make(chan struct{})
		p.mu.Unlock()
	}
	_ = p.cmd.Wait() // the exit code is asked for elsewhere
}

// wait returns the exit code.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.exited:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		require.Fail(p.t, "the process does not end")
		return -1
	}
}

// requireDocumentedLog holds each line that is in JSON to docs/logs.md.
func (p *process) requireDocumentedLog() {
	p.t.Helper()
	doc, err := logdoc.Read("../../docs/logs.md")
	require.NoError(p.t, err)
	for _, line := range p.errors() {
		if strings.HasPrefix(line, "{") {
			require.NoError(p.t, doc.Check([]byte(line)))
		}
	}
}

// output is all that was printed, of a process that has ended.
func (p *process) output() string { return p.stdout.String() + strings.Join(p.errors(), "\n") }

// errors are the lines of the standard error so far.
func (p *process) errors() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.stderr)
}

// entry is a line of the log.
type entry map[string]any

// is tells whether an entry has these fields, given as name and value by turns.
func (e entry) is(fields ...any) bool {
	for i := 0; i < len(fields); i += 2 {
		if fmt.Sprint(e[fields[i].(string)]) != fmt.Sprint(fields[i+1]) {
			return false
		}
	}
	return true
}

// await returns the first entry of the log with these fields.
func (p *process) await(fields ...any) entry {
	p.t.Helper()
	limit := time.After(patience)
	for {
		p.mu.Lock()
		lines, news := slices.Clone(p.stderr), p.news
		p.mu.Unlock()
		for _, line := range lines {
			var e entry
			if json.Unmarshal([]byte(line), &e) == nil && e.is(fields...) {
				return e
			}
		}
		select {
		case <-news:
		case <-p.exited:
			require.Failf(p.t, "the process ended", "while waiting for %v", fields)
		case <-limit:
			require.Failf(p.t, "not logged", "%v", fields)
		}
	}
}

// url waits until the daemon runs and returns where its ops server is.
func (p *process) url() string {
	p.t.Helper()
	return p.await("message", "supervised runs")["url"].(string)
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(s))
}

// client keeps no connections, which would hold up the end of the daemon.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}

// get returns the code and the body of an answer.
func get(url string) (int, string, error) {
	answer, err := client.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(body), err
}

// awaitCode waits until /readyz answers with a code, and returns how long that took and what it said.
func awaitCode(t *testing.T, url string, code int) (time.Duration, entry) {
	t.Helper()
	began := time.Now()
	var said entry
	require.Eventually(t, func() bool {
		got, body, err := get(url + "readyz")
		return err == nil && got == code && json.Unmarshal([]byte(body), &said) == nil
	}, patience, 10*time.Millisecond, "%s never answered %d", url, code)
	return time.Since(began), said
}

// write makes a file in a folder of its own.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yml")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// gone tells whether a process has ended.
func gone(pid int) bool {
	process, err := os.FindProcess(pid)
	if err != nil {
		return true
	}
	defer func() { _ = process.Release() }()
	return errors.Is(process.Signal(syscall.Signal(0)), os.ErrProcessDone)
}
