package judge

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// IsAlive tells whether a process runs. One that has ended and waits for its parent's attention does not; where there
// is no /proc to tell, it counts as alive until then.
func IsAlive(pid uint32) bool {
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
		// pid (name) state ...: the name may contain anything.
		_, rest, _ := strings.Cut(string(stat[strings.LastIndexByte(string(stat), ')')+1:]), " ")
		return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
	}
	process, err := os.FindProcess(int(pid))
	if err != nil {
		return false
	}
	defer func() { _ = process.Release() }()
	err = process.Signal(syscall.Signal(0))
	return err == nil || errors.Is(err, os.ErrPermission)
}
