//go:build !linux && !darwin

package postgres

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
)

// Elsewhere no folder can be locked, so that no server is ever started.

func attributes(*account, syscall.Signal) *syscall.SysProcAttr { return nil }

func tryLock(*os.File) error {
	return fmt.Errorf("postgres: throwaway servers on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func ownerOf(os.FileInfo) (uid, gid int) { return -1, -1 }

func removeSegment(int, int) error { return nil }
