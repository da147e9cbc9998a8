package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// NotFoundError says that no PostgreSQL server is installed, where it was looked for, and how to install one.
type NotFoundError struct {
	// Looked lists the folders and commands that were tried, in order.
	Looked []string
}

func (e *NotFoundError) Error() string {
	return "no PostgreSQL server found (looked at " + strings.Join(e.Looked, ", ") + "); install one" +
		" (Debian, Ubuntu: sudo apt-get install postgresql; macOS: brew install postgresql@17;" +
		" Fedora: sudo dnf install postgresql-server)" +
		" or set PG_BINDIR to the folder that holds initdb and postgres"
}

// installed lists the folders that packages put the server into, in the order in which they are tried. Where one
// pattern matches several versions, the newest is taken.
var installed = []string{
	"/usr/lib/postgresql/*/bin",                                // Debian, Ubuntu
	"/usr/pgsql-*/bin",                                         // the PostgreSQL project's own packages for Fedora and RHEL
	"/opt/homebrew/opt/postgresql@*/bin",                       // Homebrew on Apple silicon
	"/usr/local/opt/postgresql@*/bin",                          // Homebrew on Intel
	"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",          // Homebrew on Linux
	"/Applications/Postgres.app/Contents/Versions/*/bin",       // Postgres.app
	"/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql/bin", // built from source; Homebrew's unversioned name
}

// Find returns the folder that holds the binaries initdb and postgres: $PG_BINDIR if that is set, else what
// pg_config says, else the newest version in the usual folders of Linux distributions and Homebrew, else PATH.
// If there is none, the error is a *[NotFoundError].
func Find() (string, error) {
	return places{getenv: os.Getenv, config: askConfig, patterns: installed, lookPath: exec.LookPath}.find()
}

// places is everything that Find reads from the machine.
type places struct {
	getenv   func(string) string
	config   func() (string, error)
	patterns []string
	lookPath func(string) (string, error)
}

func (p places) find() (string, error) {
	if dir := p.getenv("PG_BINDIR"); dir != "" {
		// Whoever names a folder wants that one: another version in its place would be a surprise.
		if !complete(dir) {
			return "", &NotFoundError{Looked: []string{"$PG_BINDIR " + dir}}
		}
		return dir, nil
	}
	looked := []string{"pg_config --bindir"}
	if dir, err := p.config(); err == nil && complete(dir) {
		return dir, nil
	}
	for _, pattern := range p.patterns {
		looked = append(looked, pattern)
		dirs, err := filepath.Glob(pattern)
		if err != nil {
			return "", fmt.Errorf("postgres: pattern %q: %w", pattern, err)
		}
		slices.SortFunc(dirs, newestFirst)
		if i := slices.IndexFunc(dirs, complete); i >= 0 {
			return dirs[i], nil
		}
	}
	looked = append(looked, "PATH")
	if file, err := p.lookPath("initdb"); err == nil {
		// A link in PATH may stand beside no postgres binary: its target's folder holds both.
		if target, err := filepath.EvalSymlinks(file); err == nil && complete(filepath.Dir(target)) {
			return filepath.Dir(target), nil
		}
	}
	return "", &NotFoundError{Looked: looked}
}

// complete reports whether dir holds what a server needs. A pg_config without them is common: it comes with libpq.
func complete(dir string) bool {
	for _, name := range []string{"initdb", "postgres"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}

// newestFirst orders folders such as /usr/lib/postgresql/9.6/bin and /usr/lib/postgresql/15/bin by their version.
func newestFirst(a, b string) int {
	if c := version(b) - version(a); c != 0 {
		if c > 0 {
			return 1
		}
		return -1
	}
	return strings.Compare(b, a)
}

// version reads the number out of the folder that names the version, 0 if there is none.
func version(bindir string) float64 {
	name := filepath.Base(filepath.Dir(bindir))
	if i := strings.LastIndexAny(name, "-@"); i >= 0 {
		name = name[i+1:]
	}
	v, err := strconv.ParseFloat(name, 64)
	if err != nil {
		return 0
	}
	return v
}

func askConfig() (string, error) {
	// A command that prints a constant; the bound is for a PATH that leads to a dead network folder.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output()
	if err != nil {
		return "", err
	}
	dir := strings.TrimSpace(string(out))
	if dir == "" {
		return "", errors.New("pg_config --bindir printed nothing")
	}
	return dir, nil
}
