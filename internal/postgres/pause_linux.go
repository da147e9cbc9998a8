package postgres

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// pausePatience bounds the wait for signalled processes to stand still.
const pausePatience = 5 * time.Second

// Pause stops every process of the server with SIGSTOP and returns when all stand still: the kernel still takes what
// clients send, and nothing answers. [Server.Unpause] lets them go on; without it, [Server.Close] takes its time.
// [ErrNotRunning] if there was nothing to stop.
func (s *Server) Pause() error {
	p := s.now()
	if p == nil {
		return ErrNotRunning
	}
	p.signal(syscall.SIGSTOP) // first, so that it starts no more
	for end := time.Now().Add(pausePatience); time.Now().Before(end); {
		if still(signalAll(s.cluster.data(), syscall.SIGSTOP)) {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return errors.Join(fmt.Errorf("postgres: the server did not stand still within %v", pausePatience), s.Unpause())
}

// Unpause ends a [Server.Pause].
func (s *Server) Unpause() error {
	p := s.now()
	if p == nil {
		return ErrNotRunning
	}
	signalAll(s.cluster.data(), syscall.SIGCONT)
	return nil
}

// still tells whether all these processes are stopped, or gone.
func still(pids []int) bool {
	for _, pid := range pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		// The name comes in parentheses and may hold anything; the state is the first field after it.
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		if len(fields) == 0 || fields[0] != "T" {
			return false
		}
	}
	return len(pids) > 0
}
