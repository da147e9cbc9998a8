package postgres

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	folderPrefix = "supervised-postgres-"
	doomedSuffix = ".removing" // of a folder that is being deleted: its lock is the last thing in it
	lockName     = "lock"
)

// folder is a temporary folder that belongs to this process for as long as it lives. The proof is a lock on a file in
// it, which the kernel drops when the process ends, however it ends: no process id to compare, none to be reused.
type folder struct {
	path string
	lock *os.File
}

// chooseParent returns the resolved folder under which a server's own folder is to be made (empty: the system's place
// for temporary files), which the account must be able to enter.
func chooseParent(dir string, who *account) (string, error) {
	if dir == "" {
		if private, err := resolve(os.TempDir()); err == nil && who.enters(private) == nil {
			return private, nil
		}
		// A TMPDIR that is closed to others, which nobody asked for by name.
		dir = "/tmp"
	}
	dir, err := resolve(dir)
	if err != nil {
		return "", err
	}
	return dir, who.enters(dir)
}

// resolve names a folder as the kernel names the one that a process is in.
func resolve(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(dir)
}

// newFolder makes a folder under parent that the account can enter.
func newFolder(parent string, who *account) (*folder, error) {
	// Another process's sweep can take a folder between its making and its locking. It then is gone: make another.
	for {
		path, err := os.MkdirTemp(parent, folderPrefix)
		if err != nil {
			return nil, err
		}
		f, err := seize(path)
		if errors.Is(err, errInUse) || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, errors.Join(err, os.RemoveAll(path))
		}
		if who == nil {
			return f, nil
		}
		if err := os.Chmod(path, 0o711); err != nil {
			return nil, errors.Join(err, f.remove())
		}
		return f, nil
	}
}

var errInUse = errors.New("in use")

// seize locks a folder, without waiting: errInUse if somebody else has it.
func seize(path string) (*folder, error) {
	name, flags := filepath.Join(path, lockName), os.O_RDWR
	if !strings.HasSuffix(path, doomedSuffix) {
		flags |= os.O_CREATE // its maker may have died before it came to that
	}
	lock, err := os.OpenFile(name, flags, 0o600)
	if err != nil {
		return nil, err
	}
	if err := tryLock(lock); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	// Whoever had it may have removed it before we locked what we had opened.
	mine, errMine := lock.Stat()
	there, errThere := os.Lstat(name)
	if errMine != nil || errThere != nil || !os.SameFile(mine, there) {
		return nil, errors.Join(errInUse, lock.Close())
	}
	return &folder{path: path, lock: lock}, nil
}

func (f *folder) join(name string) string { return filepath.Join(f.path, name) }

// remove ends what still runs in the folder and deletes it.
func (f *folder) remove() error {
	errClear := clearServer(f.join(dataName))
	doomed := f.path
	if !strings.HasSuffix(doomed, doomedSuffix) {
		// Under its old name a process that is just about to lock it would find it half deleted.
		doomed += doomedSuffix
		if err := os.Rename(f.path, doomed); err != nil {
			return errors.Join(errClear, err, f.lock.Close())
		}
		f.path = doomed
	}
	return errors.Join(errClear, removeLocked(doomed), f.lock.Close())
}

// removeLocked deletes a folder so that its lock goes last: until then no other process can take it for abandoned.
func removeLocked(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.Name() == lockName {
			continue
		}
		if err := os.RemoveAll(filepath.Join(path, entry.Name())); err != nil {
			return err
		}
	}
	if err := os.Remove(filepath.Join(path, lockName)); err != nil {
		return err
	}
	err = os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a sweep saw it empty
	}
	return err
}

// sweep removes the folders under parent that belong to this user and to no living process.
func sweep(parent string) error {
	entries, err := os.ReadDir(parent)
	if err != nil {
		return err
	}
	var failed []error
	for _, entry := range entries {
		if !entry.IsDir() || !strings.HasPrefix(entry.Name(), folderPrefix) {
			continue
		}
		info, err := entry.Info()
		if err != nil {
			continue // gone in the meantime
		}
		if uid, _ := ownerOf(info); uid != os.Geteuid() {
			continue
		}
		path := filepath.Join(parent, entry.Name())
		f, err := seize(path)
		if errors.Is(err, errInUse) {
			continue
		}
		if errors.Is(err, fs.ErrNotExist) {
			_ = os.Remove(path) // gone, or the empty rest of a removal
			continue
		}
		if err == nil {
			err = f.remove()
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, fmt.Errorf("postgres: left-over folder %s: %w", entry.Name(), err))
		}
	}
	return errors.Join(failed...)
}
