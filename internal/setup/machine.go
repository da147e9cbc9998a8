package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"strings"
)

//go:embed install.sh
var installScript string

// machine is what setting up knows of the machine and does to it.
type machine struct {
	declined bool // SETUP=0
	root     bool
	terminal bool // somebody could type a password
	lookPath func(string) (string, error)
	run      func(ctx context.Context, name string, args ...string) error
	out      io.Writer
}

// setUp installs what is missing. It says nothing if everything is there.
func (m machine) setUp(ctx context.Context, wanted []need) {
	lacking, packages := survey(ctx, wanted)
	if len(lacking) == 0 {
		return
	}
	prefix, err := m.privilege()
	if err == nil {
		m.say("installing %s with %s; this may take a minute", strings.Join(packages, ", "), strings.Join(append(prefix, "apt-get"), " "))
		words := append(prefix, "sh", "-c", installScript, "install.sh")
		words = append(words, packages...)
		err = m.run(ctx, words[0], words[1:]...)
	}
	if err != nil {
		m.say("nothing was installed: %v; by hand: apt-get install %s", err, strings.Join(packages, " "))
	}
	lacking, _ = survey(ctx, wanted)
	for _, l := range lacking {
		m.say("%s is missing: %v", l.name, l.err)
	}
}

// lack is a need that the machine does not meet.
type lack struct {
	name string
	err  error
}

func survey(ctx context.Context, wanted []need) (lacking []lack, packages []string) {
	for _, n := range wanted {
		if err := n.missing(ctx); err != nil {
			lacking = append(lacking, lack{n.name, err})
			packages = append(packages, n.packages...)
		}
	}
	return lacking, packages
}

// privilege gives the words that a command is to begin with for it to run as root, or why nothing can be installed.
func (m machine) privilege() ([]string, error) {
	if m.declined {
		return nil, errors.New("SETUP=0")
	}
	if _, err := m.lookPath("apt-get"); err != nil {
		return nil, errors.New("this machine has no apt-get")
	}
	if m.root {
		return nil, nil
	}
	if _, err := m.lookPath("sudo"); err != nil {
		return nil, errors.New("that needs root, and there is no sudo")
	}
	if !m.terminal {
		// Nobody is there to type a password: better to be refused than to wait for one.
		return []string{"sudo", "-n"}, nil
	}
	return []string{"sudo"}, nil
}

func (m machine) say(format string, args ...any) {
	fmt.Fprintf(m.out, "setup: "+format+"\n", args...)
}
