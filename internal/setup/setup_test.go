package main

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// trial is a machine that records what is done to it.
type trial struct {
	machine
	said  strings.Builder
	calls [][]string
	fails error
	// installed is what the packages that were asked for have brought.
	installed bool
}

func newTrial(commands ...string) *trial {
	t := &trial{}
	t.out = &t.said
	t.lookPath = func(name string) (string, error) {
		for _, c := range commands {
			if c == name {
				return "/usr/bin/" + c, nil
			}
		}
		return "", exec.ErrNotFound
	}
	t.run = func(_ context.Context, name string, args ...string) error {
		t.calls = append(t.calls, append([]string{name}, args...))
		t.installed = t.fails == nil
		return t.fails
	}
	return t
}

func (t *trial) lacks(name string, packages ...string) need {
	return need{name, packages, func(context.Context) error {
		if t.installed {
			return nil
		}
		return errors.New("no " + name + " here")
	}}
}

func there(name string) need {
	return need{name, []string{name}, func(context.Context) error { return nil }}
}

func TestRootInstallsDirectly(t *testing.T) {
	m := newTrial("apt-get", "sudo")
	m.root = true
	m.setUp(t.Context(), []need{m.lacks("postgresql", "postgresql"), there("docker"), m.lacks("gcc", "gcc", "libc6-dev")})
	require.Equal(t, [][]string{{"sh", "-c", installScript, "install.sh", "postgresql", "gcc", "libc6-dev"}}, m.calls)
	require.Equal(t, "setup: installing postgresql, gcc, libc6-dev with apt-get; this may take a minute\n", m.said.String())
}

func TestUserInstallsThroughSudo(t *testing.T) {
	for terminal, prefix := range map[bool][]string{true: {"sudo"}, false: {"sudo", "-n"}} {
		m := newTrial("apt-get", "sudo")
		m.terminal = terminal
		m.setUp(t.Context(), []need{m.lacks("gcc", "gcc")})
		require.Equal(t, [][]string{append(prefix, "sh", "-c", installScript, "install.sh", "gcc")}, m.calls)
		require.Contains(t, m.said.String(), "installing gcc with "+strings.Join(prefix, " ")+" apt-get; ")
	}
}

func TestNothingMissingSaysNothing(t *testing.T) {
	m := newTrial("apt-get")
	m.root = true
	m.setUp(t.Context(), []need{there("postgresql")})
	require.Empty(t, m.calls)
	require.Empty(t, m.said.String())
}

func TestWhatCannotBeInstalledIsSaid(t *testing.T) {
	declined := newTrial("apt-get", "sudo")
	declined.root, declined.declined = true, true
	for reason, m := range map[string]*trial{
		"SETUP=0":          declined,
		"has no apt-get":   newTrial("sudo"),
		"there is no sudo": newTrial("apt-get"),
	} {
		m.setUp(t.Context(), []need{m.lacks("postgresql", "postgresql")})
		require.Empty(t, m.calls, reason)
		require.Contains(t, m.said.String(), "nothing was installed: ")
		require.Contains(t, m.said.String(), reason+"; by hand: apt-get install postgresql\n")
		require.Contains(t, m.said.String(), "setup: postgresql is missing: no postgresql here\n")
	}
}

func TestFailedInstallationIsSaid(t *testing.T) {
	m := newTrial("apt-get")
	m.root, m.fails = true, errors.New("no network")
	m.setUp(t.Context(), []need{m.lacks("gcc", "gcc")})
	require.Contains(t, m.said.String(), "nothing was installed: no network;")
	require.Contains(t, m.said.String(), "gcc is missing: no gcc here")

	useless := newTrial("apt-get")
	useless.root = true
	useless.setUp(t.Context(), []need{{"x", []string{"x"}, func(context.Context) error { return errors.New("no x") }}})
	require.Contains(t, useless.said.String(), "x is missing: no x")
}

func TestChoose(t *testing.T) {
	chosen, err := choose([]string{"gcc", "postgresql"})
	require.NoError(t, err)
	require.Equal(t, "gcc", chosen[0].name)
	require.Equal(t, "postgresql", chosen[1].name)
	_, err = choose([]string{"mysql"})
	require.EqualError(t, err, `"mysql" is not known; there are: postgresql, gcc, docker`)
	_, err = choose(nil)
	require.ErrorContains(t, err, "name what is needed")
}

func TestCompilerIsTried(t *testing.T) {
	t.Setenv("CC", "no-such-compiler --with-a-flag")
	require.ErrorContains(t, compiler(t.Context()), "no-such-compiler --with-a-flag")
	t.Setenv("CC", "true")
	require.NoError(t, compiler(t.Context()))
}

func TestDockerIsMissedWithoutEngine(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	require.ErrorContains(t, docker(t.Context()), "no Docker engine")
	require.Error(t, compiler(t.Context()), "no go, no compiler")
}
