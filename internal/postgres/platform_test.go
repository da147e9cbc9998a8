//go:build linux || darwin

package postgres

import (
	"bytes"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

const diesWithParent = runtime.GOOS == "linux"

// alive reports whether the process runs. One that has ended and that nobody has reaped yet does not.
func alive(pid int) bool {
	if runtime.GOOS != "linux" {
		return unix.Kill(pid, 0) == nil
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && !bytes.Contains(status, []byte("State:\tZ"))
}

func segmentExists(id int) bool {
	var desc unix.SysvShmDesc
	_, err := unix.SysvShmCtl(id, unix.IPC_STAT, &desc)
	return err == nil
}
