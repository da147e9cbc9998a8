package demo

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
)

func TestMain(m *testing.M) {
	for _, variable := range os.Environ() { // the demo is about its own server
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "PG") && name != "PG_BINDIR" {
			os.Unsetenv(name)
		}
	}
	pgtest.Main(m)
}

func TestThePromiseIsKept(t *testing.T) {
	pgtest.Require(t)
	var out bytes.Buffer
	err := Run(t.Context(), Options{Every: 2 * time.Second, For: 4 * time.Second, Callers: 8, Out: &out})
	t.Log(out.String())
	require.NoError(t, err)
	require.Contains(t, out.String(), "kills        2")
	require.Contains(t, out.String(), "kill -9 of postmaster")
}

func TestABrokenPoolIsNoticed(t *testing.T) {
	pgtest.Require(t)
	var out bytes.Buffer
	err := Run(t.Context(), Options{Every: 2 * time.Second, For: 2 * time.Second, Callers: 8, Break: true, Out: &out})
	t.Log(out.String())
	require.ErrorIs(t, err, ErrBroken)
	require.Contains(t, out.String(), "a call failed that held no lease")
}

func TestADemoThatEndsBeforeTheFirstKillHasShownNothing(t *testing.T) {
	pgtest.Require(t)
	ctx, cancel := context.WithCancel(t.Context())
	out := &cue{after: "p99", then: cancel}
	err := Run(ctx, Options{Every: time.Hour, For: time.Hour, Callers: 2, Out: out})
	require.ErrorIs(t, err, ErrBroken)
	require.Contains(t, out.text.String(), "Nothing was killed")
}

func TestTheDemoIsShownToPrometheus(t *testing.T) {
	pgtest.Require(t)
	ctx, cancel := context.WithCancel(t.Context())
	metrics, out := "", &cue{after: "p99"}
	out.then = func() { // the callers are at work, and this is the demo's own goroutine
		if ctx.Err() != nil {
			return // it is the report
		}
		_, url, _ := strings.Cut(out.text.String(), "its metrics at ")
		url, _, _ = strings.Cut(url, "\n")
		metrics = get(t, url)
		cancel()
	}
	require.ErrorIs(t, Run(ctx, Options{Every: time.Hour, For: time.Hour, Callers: 2, Ops: "127.0.0.1:0", Out: out}), ErrBroken)
	for _, line := range []string{
		`supervised_pool_connections_max{pool="main"} 20`,
		`supervised_actor_up{actor="root/database/pool/data/pool",pool="main"} 1`,
		`supervised_actor_up{actor="root/edge/callers",pool="main"} 1`,
		"go_goroutines",
	} {
		require.Contains(t, metrics, line)
	}
}

func get(t *testing.T, url string) string {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	answer, err := client.Get(url)
	require.NoError(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return string(body)
}

// cue is an output that does something when a text appears.
type cue struct {
	text  bytes.Buffer
	after string
	then  func()
}

func (c *cue) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(c.after)) {
		c.then()
	}
	return c.text.Write(p)
}

func TestOptions(t *testing.T) {
	good := Options{Every: 5 * time.Second, For: 30 * time.Second, Callers: 32}
	require.NoError(t, good.Check())
	shown := good
	shown.Ops = "127.0.0.1:0"
	require.NoError(t, shown.Check())
	for says, change := range map[string]func(*Options){
		"--every":        func(o *Options) { o.Every = 999 * time.Millisecond },
		"--for":          func(o *Options) { o.For = o.Every / 2 },
		"--callers is 0": func(o *Options) { o.Callers = 0 },
		"1 to 1000":      func(o *Options) { o.Callers = 1001 },
		"--ops is":       func(o *Options) { o.Ops = "localhost:http" },
	} {
		o := good
		change(&o)
		require.ErrorContains(t, o.Check(), says)
	}
}
