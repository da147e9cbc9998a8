package demo

import (
	"bytes"
	"context"
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
	for says, change := range map[string]func(*Options){
		"--every":        func(o *Options) { o.Every = 999 * time.Millisecond },
		"--for":          func(o *Options) { o.For = o.Every / 2 },
		"--callers is 0": func(o *Options) { o.Callers = 0 },
		"1 to 1000":      func(o *Options) { o.Callers = 1001 },
	} {
		o := good
		change(&o)
		require.ErrorContains(t, o.Check(), says)
	}
}
