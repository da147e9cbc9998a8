package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
)

// need is something that the project uses and the machine may lack.
type need struct {
	name     string
	packages []string                    // what to install, as Debian and Ubuntu call it
	missing  func(context.Context) error // nil if it is there, else what is lacking
}

var needs = []need{
	{"postgresql", []string{"postgresql"}, func(context.Context) error {
		_, err := postgres.Find()
		return err
	}},
	{"gcc", []string{"gcc", "libc6-dev"}, compiler},
	{"docker", []string{"docker.io"}, docker},
}

// compiler tells whether cgo works, which the race detector needs: a compiler alone is not enough, headers come extra.
func compiler(ctx context.Context) error {
	name, err := exec.CommandContext(ctx, "go", "env", "CC").Output()
	if err != nil {
		return fmt.Errorf("go env CC: %w", err)
	}
	words := strings.Fields(string(name))
	if len(words) == 0 {
		return errors.New("go env CC names no compiler")
	}
	try := exec.CommandContext(ctx, words[0], append(words[1:], "-x", "c", "-fsyntax-only", "-")...)
	try.Stdin = strings.NewReader("#include <stdlib.h>\n")
	if err := try.Run(); err != nil {
		return fmt.Errorf("no working C compiler (%s): %w", strings.TrimSpace(string(name)), err)
	}
	return nil
}

// docker is content with an engine that could be started; one that runs elsewhere needs the client only.
func docker(ctx context.Context) error {
	if exec.CommandContext(ctx, "docker", "info").Run() == nil {
		return nil
	}
	if _, err := exec.LookPath("dockerd"); err != nil {
		return fmt.Errorf("no Docker engine: %w", err)
	}
	return nil
}

// choose finds needs by their names.
func choose(names []string) ([]need, error) {
	var chosen []need
	for _, name := range names {
		i := indexOf(name)
		if i < 0 {
			return nil, fmt.Errorf("%q is not known; there are: %s", name, strings.Join(known(), ", "))
		}
		chosen = append(chosen, needs[i])
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("name what is needed: %s", strings.Join(known(), ", "))
	}
	return chosen, nil
}

func indexOf(name string) int {
	for i, n := range needs {
		if n.name == name {
			return i
		}
	}
	return -1
}

func known() []string {
	var names []string
	for _, n := range needs {
		names = append(names, n.name)
	}
	return names
}
