package postgres

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// process is one life of the postmaster.
type process struct {
	cmd    *exec.Cmd
	pid    int
	output *os.File

	ready   chan struct{} // closed when clients are let in for the first time
	readyAt atomic.Int64  // when they were last, in Unix nanoseconds: a postmaster whose backend crashed begins anew
	exited  chan struct{} // closed when the postmaster was reaped
	err     error         // how it ended; read after exited
	drained chan struct{} // closed when the last of its processes, the backends included, has closed the log
	told    bool          // the log knows that it accepts connections; the server's turn guards it

	mu   sync.Mutex
	tail []Line
}

// tailLength is how many entries of the log an error shows at most.
const tailLength = 8

// launch starts a command whose standard error is a server log, which is also copied to log.
func launch(cmd *exec.Cmd, log io.Writer) (*process, error) {
	output, input, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer input.Close()
	cmd.Stderr = input
	p := &process{
		cmd: cmd, output: output,
		ready: make(chan struct{}), exited: make(chan struct{}), drained: make(chan struct{}),
	}
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		_ = output.Close()
		return nil, err
	}
	p.pid = cmd.Process.Pid
	go p.read(log)
	return p, nil
}

// startBound runs a command to its end on a thread that lives as long: a child's death signal comes when the thread
// that started it ends, not when the process does.
func startBound(cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return cmd.Run()
}

// run starts the command and reaps it, on one thread for the reason that startBound gives.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	p.err = p.cmd.Wait()
	close(p.exited)
}

// read copies the log and watches it. It ends when every process that could write to it is gone, or with close.
func (p *process) read(log io.Writer) {
	defer close(p.drained)
	defer p.output.Close()
	lines := bufio.NewReader(p.output)
	for {
		raw, err := lines.ReadString('\n')
		if len(raw) > 0 {
			_, _ = io.WriteString(log, raw) // a full disk must not stop the server
			p.note(raw)
		}
		if err != nil {
			return
		}
	}
}

func (p *process) note(raw string) {
	line, ok := parseLine(strings.TrimRight(raw, "\n"))
	if !ok {
		line = Line{Text: strings.TrimSpace(raw)} // the loader's complaints, say
	}
	if line.Severity == "STATEMENT" {
		return // may hold a password
	}
	p.mu.Lock()
	p.tail = append(p.tail, line)
	if len(p.tail) > tailLength {
		p.tail = slices.Delete(p.tail, 0, 1)
	}
	p.mu.Unlock()
	if line.PID == p.cmd.Process.Pid && line.Ready() && p.readyAt.Swap(line.At.UnixNano()) == 0 {
		close(p.ready)
	}
}

// last returns the last entries of the log.
func (p *process) last() []Line {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.tail)
}

func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// signal returns without an error if the process has ended.
func (p *process) signal(s os.Signal) {
	_ = p.cmd.Process.Signal(s)
}

// wait waits for the postmaster's end.
func (p *process) wait(ctx context.Context) error {
	select {
	case <-p.exited:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// close ends the reading of the log, by force if something that cannot be seen still holds it.
func (p *process) close() {
	select {
	case <-p.drained:
	case <-time.After(orphanWait):
		_ = p.output.Close()
		<-p.drained
	}
}
