package postgres

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
)

// account is the user that the server runs as. The nil account is whoever runs this process.
type account struct {
	name string
	uid  int
	gid  int
}

// unprivileged returns the account for a server that is started by the user with the given id: PostgreSQL refuses to
// run as root, so root's servers run as postgres, which its packages create, or as nobody.
func unprivileged(euid int) (*account, error) {
	if euid != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.Atoi(u.Uid)
		gid, errGID := strconv.Atoi(u.Gid)
		// macOS writes nobody's id as -2.
		if errUID != nil || errGID != nil || uid == 0 {
			continue
		}
		return &account{name: name, uid: uid, gid: gid}, nil
	}
	return nil, fmt.Errorf("postgres: root may not run PostgreSQL, and there is no user postgres or nobody to run it as")
}

// own gives a file or folder to the account.
func (a *account) own(path string) error {
	if a == nil {
		return nil
	}
	return os.Lchown(path, a.uid, a.gid)
}

// enters reports whether the account can reach what lies in dir, an absolute and resolved path; the error names the folder that is closed to it.
func (a *account) enters(dir string) error {
	if a == nil {
		return nil
	}
	path := dir
	for {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if !a.mayEnter(info) {
			return fmt.Errorf("postgres: the server runs as user %s, who may not enter %s (mode %v): choose another folder",
				a.name, path, info.Mode().Perm())
		}
		parent := filepath.Dir(path)
		if parent == path {
			return nil
		}
		path = parent
	}
}

func (a *account) mayEnter(info os.FileInfo) bool {
	uid, gid := ownerOf(info)
	switch {
	case uid == a.uid:
		return info.Mode()&0o100 != 0
	case gid == a.gid:
		return info.Mode()&0o010 != 0
	default:
		return info.Mode()&0o001 != 0
	}
}
