package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/rs/zerolog"
)

const (
	dataName      = "data"           // the data folder's name in the server's own folder
	standbySignal = "standby.signal" // the file in it that makes the server a standby when it starts
)

// defaults is what every server is configured with; [Options.Settings] overrides it.
var defaults = map[string]string{
	// Nobody needs these data after the machine itself went down. What a killed process has written stays in the
	// kernel, so an acknowledged commit survives kill -9. full_page_writes and synchronous_commit stay on: a kill can
	// cut a page's write in half, and takes with it what was still in the server's own buffers.
	"fsync": "off",
	// Segments in /dev/shm would outlive a server that is killed and never started again; files go with the folder.
	"dynamic_shared_memory_type": "mmap",
	"shared_buffers":             "32MB",
	"jit":                        "off",
	"log_connections":            "on",
	"log_disconnections":         "on",
	"log_checkpoints":            "off",
	"log_timezone":               "UTC",
}

// reserved names the settings that the package itself depends on; they are given on the command line, which outranks
// every file and ALTER SYSTEM.
func reserved(port int) map[string]string {
	return map[string]string{
		"listen_addresses":        host,
		"port":                    fmt.Sprint(port),
		"unix_socket_directories": "", // its path has room for about a hundred bytes, a temporary folder's may be longer
		"logging_collector":       "off",
		"log_destination":         "stderr",
		"log_line_prefix":         linePrefix,
		"lc_messages":             "C",
	}
}

// arguments lists the settings as the postgres binary takes them, in a fixed order.
func arguments(settings map[string]string) []string {
	var args []string
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", key+"="+settings[key])
	}
	return args
}

// cluster is what makes a data folder.
type cluster struct {
	bindir string
	who    *account
	folder *folder
}

func (c cluster) data() string { return c.folder.join(dataName) }

// make runs initdb. A password, which may be empty, is handed over in a file that is gone afterwards.
func (c cluster) make(ctx context.Context, superuser, password string) (err error) {
	if err := c.makeData(); err != nil {
		return err
	}
	args := []string{
		"--pgdata=" + c.data(), "--username=" + superuser, "--no-sync", "--encoding=UTF8", "--locale=C", "--auth=trust",
		"--wal-segsize=1", // megabytes: the smallest, since most servers write next to nothing
	}
	if password != "" {
		file := c.folder.join("password")
		if err := c.write(file, []byte(password+"\n")); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.Remove(file)) }()
		args = append(args, "--pwfile="+file)
	}
	return c.run(ctx, "initdb", args...)
}

// backUp copies the data of a server that runs, and makes what runs on the copy a standby.
func (c cluster) backUp(ctx context.Context, conninfo string) error {
	if err := c.makeData(); err != nil {
		return err
	}
	err := c.run(ctx, "pg_basebackup", "--pgdata="+c.data(), "--dbname="+conninfo, "--checkpoint=fast", "--no-sync")
	if err != nil {
		return err
	}
	return c.write(filepath.Join(c.data(), standbySignal), nil)
}

// makeData makes the data folder, empty.
func (c cluster) makeData() error {
	if err := os.Mkdir(c.data(), 0o700); err != nil {
		return err
	}
	return c.who.own(c.data())
}

// run runs one of PostgreSQL's programs to its end.
func (c cluster) run(ctx context.Context, program string, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(c.bindir, program), args...)
	cmd.Dir, cmd.Env = c.folder.path, environment()
	cmd.SysProcAttr = attributes(c.who, syscall.SIGKILL)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := startBound(cmd); err != nil {
		return errors.Join(ctx.Err(), fmt.Errorf("postgres: %s: %w: %s", program, err, strings.TrimSpace(out.String())))
	}
	return nil
}

// configure writes the configuration and the extra files into the data folder.
func (c cluster) configure(settings map[string]string, access []string, files map[string][]byte) error {
	var conf strings.Builder
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&conf, "%s = '%s'\n", key, strings.NewReplacer(`\`, `\\`, `'`, `''`).Replace(settings[key]))
	}
	content := map[string][]byte{
		"postgresql.conf": []byte(conf.String()),
		"pg_hba.conf":     []byte(strings.Join(access, "\n") + "\n"),
	}
	for name, bytes := range files {
		if name != filepath.Base(name) {
			return fmt.Errorf("postgres: file %q: a plain name is wanted", name)
		}
		content[name] = bytes
	}
	for name, bytes := range content {
		if err := c.write(filepath.Join(c.data(), name), bytes); err != nil {
			return err
		}
	}
	return nil
}

// write makes a file that only the server's account can read, as it demands of keys and certificates.
func (c cluster) write(path string, content []byte) error {
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return err
	}
	return c.who.own(path)
}

// copyFrom copies a data folder that no server runs on.
func (c cluster) copyFrom(template string) error {
	return filepath.WalkDir(template, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(template, path)
		if err != nil {
			return err
		}
		target := filepath.Join(c.data(), name)
		if entry.IsDir() {
			err = os.Mkdir(target, 0o700)
		} else {
			err = copyFile(target, path)
		}
		if err != nil {
			return err
		}
		return c.who.own(target)
	})
}

func copyFile(target, source string) (err error) {
	in, err := os.Open(source)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}

// environment is what the binaries see of ours: no PG variable of the user's may reach them.
func environment() []string {
	env := []string{"LC_ALL=C", "TZ=UTC"}
	for _, name := range []string{"PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// Template is a data folder that several servers start from, since a copy takes a tenth of initdb's time.
// It is safe for concurrent use. Whoever made it closes it.
type Template struct {
	cluster cluster
}

// NewTemplate runs initdb in a temporary folder of its own, under dir or, if that is empty, where the system keeps
// temporary files.
func NewTemplate(ctx context.Context, dir string) (*Template, error) {
	c, err := newCluster(dir, zerolog.Nop())
	if err != nil {
		return nil, err
	}
	if err := c.make(ctx, DefaultUser, ""); err != nil {
		return nil, errors.Join(err, c.folder.remove())
	}
	return &Template{cluster: c}, nil
}

// Close removes the template. Servers that were made from it are not touched.
func (t *Template) Close() error { return t.cluster.folder.remove() }

// newCluster finds the binaries and makes the folder for a data folder, after it has removed the folders in the same
// place that dead processes left behind.
func newCluster(dir string, logger zerolog.Logger) (cluster, error) {
	bindir, err := Find()
	if err != nil {
		return cluster{}, err
	}
	who, err := unprivileged(os.Geteuid())
	if err != nil {
		return cluster{}, err
	}
	parent, err := chooseParent(dir, who)
	if err != nil {
		return cluster{}, err
	}
	if err := sweep(parent); err != nil {
		line(logger.Warn(), "postgres_leftovers").AnErr("cause", err).Msg("postgres: what an earlier process left behind cannot be removed")
	}
	f, err := newFolder(parent, who)
	if err != nil {
		return cluster{}, err
	}
	return cluster{bindir: bindir, who: who, folder: f}, nil
}
