//go:build linux || darwin

package postgres

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes makes a process of the account, in a process group of its own: Ctrl-C in a terminal goes to this process
// alone, which decides in what order things stop.
func attributes(who *account, death syscall.Signal) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if who != nil {
		attr.Credential = &syscall.Credential{Uid: uint32(who.uid), Gid: uint32(who.gid)}
	}
	dieWithParent(attr, death)
	return attr
}

// tryLock locks a file until it is closed or the process ends; errInUse if somebody else has it.
func tryLock(file *os.File) error {
	err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errInUse
	}
	return err
}

func ownerOf(info os.FileInfo) (uid, gid int) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return -1, -1
	}
	return int(stat.Uid), int(stat.Gid)
}

// removeSegment removes a System V shared memory segment if the process with the given id created it and nobody is
// attached to it any more. Ids are reused, hence the creator.
func removeSegment(id, creator int) error {
	var desc unix.SysvShmDesc
	if _, err := unix.SysvShmCtl(id, unix.IPC_STAT, &desc); err != nil {
		return nil // gone, or another user's
	}
	if int(desc.Cpid) != creator || desc.Nattch != 0 {
		return nil
	}
	_, err := unix.SysvShmCtl(id, unix.IPC_RMID, nil)
	return err
}
