package postgres

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A postmaster that is killed leaves its backends behind: an idle one ends within milliseconds, one that computes only
// when it looks up. It also leaves a small System V shared memory segment in the kernel, by which the next postmaster
// sees that backends still run. Both must go when the data goes.

// orphanWait bounds the wait for killed processes to be gone.
const orphanWait = 5 * time.Second

// clearServer kills what still runs on the data folder and removes the shared memory that it had.
func clearServer(data string) error {
	segment, creator := segmentOf(data)
	for end := time.Now().Add(orphanWait); killOrphans(data) > 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if creator == 0 {
		return nil
	}
	return removeSegment(segment, creator)
}

// killOrphans kills every process of the server on the data folder, and returns their number.
func killOrphans(data string) int { return len(signalAll(data, os.Kill)) }

// signalAll sends a signal to every process whose working folder is the data folder, which is where each process of a
// server lives, and returns their ids. Where there is no /proc there are none to be seen.
func signalAll(data string, signal os.Signal) (found []int) {
	links, err := filepath.Glob("/proc/[0-9]*/cwd")
	if err != nil {
		return nil
	}
	for _, link := range links {
		if !livesIn(link, data) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link)))
		if err != nil {
			continue
		}
		process, err := os.FindProcess(pid)
		if err != nil {
			continue
		}
		// The handle is bound to the process that has this id now. Looked at once more, it is the right one.
		if livesIn(link, data) {
			found = append(found, pid)
			_ = process.Signal(signal) // it may just have ended
		}
		_ = process.Release()
	}
	return found
}

func livesIn(link, data string) bool {
	target, err := os.Readlink(link)
	return err == nil && strings.TrimSuffix(target, " (deleted)") == data
}

// segmentOf reads the shared memory segment and the postmaster that made it from the lock file of a server that was
// killed; a server that was stopped has removed both.
func segmentOf(data string) (id, creator int) {
	content, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if err != nil {
		return 0, 0
	}
	// The lines are: process id, data folder, start time, port, socket folder, address, "key id" of the segment, status.
	lines := strings.Split(string(content), "\n")
	if len(lines) < 7 {
		return 0, 0
	}
	fields := strings.Fields(lines[6])
	if len(fields) != 2 {
		return 0, 0
	}
	id, errID := strconv.Atoi(fields[1])
	creator, errPID := strconv.Atoi(strings.TrimSpace(lines[0]))
	if errID != nil || errPID != nil {
		return 0, 0
	}
	return id, creator
}
