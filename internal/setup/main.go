// Command setup installs what the project needs and the machine lacks, on Debian and Ubuntu, and prints what it does.
//
//	go run ./internal/setup NEED...
//
// As root it calls apt-get directly, else through sudo; with SETUP=0 in the environment it installs nothing. What cannot
// be installed is no failure here: whoever needs it says so in words of its own, or does without.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/term"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	wanted, err := choose(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "setup:", err)
		stop()
		os.Exit(2)
	}
	m := machine{
		declined: os.Getenv("SETUP") == "0",
		root:     os.Geteuid() == 0,
		terminal: term.IsTerminal(int(os.Stdin.Fd())),
		lookPath: exec.LookPath,
		run:      command,
		out:      os.Stdout,
	}
	m.setUp(ctx, wanted)
}

func command(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}
