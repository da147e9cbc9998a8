package gotest

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"time"
)

// grace is how long go test may take to end after an interrupt: it waits for its test binaries, which print their
// goroutines first.
const grace = 10 * time.Second

// Command is one call of go test.
type Command struct {
	// Dir is where it runs; empty is the current folder.
	Dir string
	// Args follow `go test -json`.
	Args []string
	// Stderr takes what go test says there; nil discards it.
	Stderr io.Writer
}

// Run runs go test, hands what it says to h and waits for its end. The error is nil if go test ended with exit code 0;
// an *exec.ExitError tells that something failed, which h has heard of. If ctx ends, go test and the test binaries it
// started are interrupted, then killed.
func (c Command) Run(ctx context.Context, h Handler) error {
	args := append([]string{"test", "-json"}, c.Args...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = c.Dir
	cmd.Stderr = c.Stderr
	// A process group of its own, so that test binaries and what they started cannot outlive a time-out.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = grace
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("go test: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("go test: %w", err)
	}
	readErr := Read(out, h)
	waitErr := cmd.Wait()
	if ctx.Err() != nil {
		// What shrugged the interrupt off; an error means that nobody is left.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	return cmp.Or(waitErr, readErr)
}
