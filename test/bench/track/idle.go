package track

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/seed-4ff2b7b9/supervised/test/bench/figures"
)

// idleEvents are what a pool costs that nobody calls: each in a process of its own, so that nothing else wakes it up.
func idleEvents() []event {
	var entrants []entrant
	for _, name := range []string{Ours, pgxPool, stdlibSQL, limit} {
		entrants = append(entrants, entrant{name, func(ctx context.Context, t *Track) (lane, error) {
			s, err := t.sleeper(ctx, name)
			if err != nil {
				return lane{}, err
			}
			return lane{func(ctx context.Context) (figures.Figures, error) { return s.watch(ctx, t.window(3*time.Second)) }, s.end}, nil
		}})
	}
	return []event{{
		Row: figures.Row{
			ID:    "idle",
			Title: fmt.Sprintf("idle: %d connections, nobody calls", poolSize),
			Setup: fmt.Sprintf("a process with the pool and nothing else, watched from outside; what its threads do with pauses of less than "+
				"%v is one wake-up; goroutines are those beyond what the same connections have without a pool", oneWakeup),
			Bounds: []figures.Bound{
				figures.Under(Ours, figures.Wakeups, 5),
				figures.Under(Ours, figures.Goroutines, 12),
			},
		},
		entrants: entrants,
	}}
}

// Environment variables that make this binary a sleeper.
const (
	sleeperKind = "BENCH_SLEEPER"
	sleeperDSN  = "BENCH_SLEEPER_DSN"
)

// Sleeper is what the process of an idle pool does instead of running the rows; false: it is not such a process. The
// program's main calls it first.
func Sleeper() bool {
	kind := os.Getenv(sleeperKind)
	if kind == "" {
		return false
	}
	if err := sleep(context.Background(), kind, os.Getenv(sleeperDSN)); err != nil {
		fmt.Println("failed:", err)
	}
	return true
}

// sleep opens a pool, and answers each line of its input with how many goroutines it has beyond those of bare
// connections.
func sleep(ctx context.Context, kind, dsn string) error {
	bare, err := openBare(ctx, dsn, poolSize)
	if err != nil {
		return err
	}
	without := runtime.NumGoroutine()
	if err := bare.close(); err != nil {
		return err
	}
	p, err := openKind(ctx, kind, dsn)
	if err != nil {
		return err
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		fmt.Println(runtime.NumGoroutine() - without)
	}
	return p.close()
}

func openKind(ctx context.Context, kind, dsn string) (*pool, error) {
	switch kind {
	case Ours:
		return openOurs(ctx, dsn, fixed(poolSize), nil)
	case pgxPool:
		return openPgxpool(ctx, dsn, fixed(poolSize), nil)
	case stdlibSQL:
		return openStdlib(ctx, dsn, fixed(poolSize))
	default:
		return openBare(ctx, dsn, poolSize)
	}
}

// sleeper is the process of an idle pool, seen from outside.
type sleeper struct {
	process *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

func (t *Track) sleeper(ctx context.Context, kind string) (*sleeper, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &sleeper{process: exec.CommandContext(ctx, self)}
	s.process.Env = append(os.Environ(), sleeperKind+"="+kind, sleeperDSN+"="+t.server.DSN())
	if s.in, err = s.process.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.out = bufio.NewReader(out)
	return s, s.process.Start()
}

func (s *sleeper) end() error { return errors.Join(s.in.Close(), s.process.Wait()) }

// goroutines asks; the process is awake for that.
func (s *sleeper) goroutines() (int, error) {
	if _, err := fmt.Fprintln(s.in); err != nil {
		return 0, err
	}
	line, err := s.out.ReadString('\n')
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		return 0, errors.New(strings.TrimSpace(line))
	}
	return n, nil
}

// What counts as one wake-up, and how often is looked.
const (
	oneWakeup = 10 * time.Millisecond
	lookEvery = 2 * time.Millisecond
)

// watch looks at the process for the time of the window.
func (s *sleeper) watch(ctx context.Context, window time.Duration) (figures.Figures, error) {
	goroutines, err := s.goroutines()
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, 10*oneWakeup); err != nil { // until it sleeps again
		return nil, err
	}
	first, err := activity(s.process.Process.Pid)
	if err != nil {
		return nil, err
	}
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	var (
		began, awake = time.Now(), time.Time{}
		last         = first
		wakeups      = 0
	)
	for time.Since(began) < window {
		select {
		case <-look.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		now, err := activity(s.process.Process.Pid)
		if err != nil {
			return nil, err
		}
		if now != last {
			if time.Since(awake) > oneWakeup {
				wakeups++
			}
			awake, last = time.Now(), now
		}
	}
	took := time.Since(began).Seconds()
	return figures.Figures{
		figures.Wakeups:    float64(wakeups) / took,
		figures.Switches:   float64(last.switches-first.switches) / took,
		figures.CPU:        float64(last.ran-first.ran) / took,
		figures.Goroutines: float64(goroutines),
	}, nil
}

// active is what the threads of a process have done so far, by the kernel's count.
type active struct {
	ran      int64 // nanoseconds on a processor
	switches int64 // how often one began to run
}

// activity reads it.
func activity(pid int) (a active, err error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return a, err
	}
	if len(files) == 0 {
		return a, fmt.Errorf("%w: only Linux tells what a process does", errAbsent)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // a thread that ended
		}
		var ran, waited, switches int64
		if _, err := fmt.Sscan(string(text), &ran, &waited, &switches); err != nil {
			return a, fmt.Errorf("%s: %w", file, err)
		}
		a.ran, a.switches = a.ran+ran, a.switches+switches
	}
	return a, nil
}
