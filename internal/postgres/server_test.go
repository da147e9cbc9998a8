//go:build linux || darwin

package postgres

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

func connect(t *testing.T, s *Server) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(bounded(t), s.DSN())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the server may be dead by then
	return conn
}

func TestKilledServerComesBackWithItsData(t *testing.T) {
	o := quick(t)
	o.Dir = parentFolder(t)
	s := start(t, o)
	conn := connect(t, s)
	_, err := conn.Exec(t.Context(), "create table kept (key int)")
	require.NoError(t, err)

	pid, port := s.PID(), s.Port()
	for round := range 5 {
		conn := connect(t, s)
		_, err := conn.Exec(t.Context(), "insert into kept values ($1)", round)
		require.NoError(t, err)
		require.NoError(t, s.Kill())
		require.Zero(t, s.PID())
		require.True(t, s.AcceptedAt().IsZero())
		require.ErrorIs(t, s.Kill(), ErrNotRunning)

		before := time.Now()
		require.NoError(t, s.StartAgain(bounded(t)))
		require.NotEqual(t, pid, s.PID())
		require.Equal(t, port, s.Port())
		require.WithinRange(t, s.AcceptedAt(), before.Truncate(time.Millisecond), time.Now())
		pid = s.PID()
	}

	var rows int
	require.NoError(t, connect(t, s).QueryRow(t.Context(), "select count(distinct key) from kept").Scan(&rows))
	require.Equal(t, 5, rows)
}

func TestBackendThatComputesDoesNotKeepTheServerDown(t *testing.T) {
	s := start(t, quick(t))
	conn := connect(t, s)
	computing := make(chan error, 1)
	go func() {
		// Never looks whether its postmaster lives.
		_, err := conn.Exec(context.Background(), "select count(*) from generate_series(1, 10000000000)")
		computing <- err
	}()
	look := connect(t, s)
	require.Eventually(t, func() bool {
		var n int
		err := look.QueryRow(t.Context(), "select count(*) from pg_stat_activity where query like 'select count%generate%' and state = 'active' and pid <> pg_backend_pid()").Scan(&n)
		return err == nil && n == 1
	}, 10*time.Second, 10*time.Millisecond)

	require.NoError(t, s.Kill())
	require.NoError(t, s.StartAgain(bounded(t)))
	require.Error(t, <-computing)
}

func TestStop(t *testing.T) {
	for _, c := range []struct {
		mode      StopMode
		says      string // what a client that was connected hears
		recovered bool   // the next start finds a server that did not shut down
	}{
		{Fast, "57P01", false},
		{Immediate, "", true}, // a warning only, then the end of the connection
	} {
		t.Run(c.mode.String(), func(t *testing.T) {
			s := start(t, quick(t))
			conn := connect(t, s)
			require.NoError(t, s.Stop(bounded(t), c.mode))
			require.Zero(t, s.PID())
			require.NoError(t, s.Stop(bounded(t), c.mode), "not running is no error")

			_, err := conn.Exec(t.Context(), "select 1")
			require.ErrorContains(t, err, c.says)

			require.NoError(t, s.StartAgain(bounded(t)))
			require.Equal(t, c.recovered, logged(t, s, "was not properly shut down"))
		})
	}
}

func TestSmartStopWaitsForClients(t *testing.T) {
	s := start(t, quick(t))
	conn := connect(t, s)
	stopped := make(chan error, 1)
	go func() { stopped <- s.Stop(bounded(t), Smart) }()
	require.Eventually(t, func() bool { return logged(t, s, "received smart shutdown request") },
		10*time.Second, 5*time.Millisecond)
	_, err := conn.Exec(t.Context(), "select 1")
	require.NoError(t, err)
	require.NotZero(t, s.PID())

	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.Stop(short, Smart), context.DeadlineExceeded)

	require.NoError(t, conn.Close(t.Context()))
	require.NoError(t, <-stopped)
}

func logged(t *testing.T, s *Server, text string) bool {
	t.Helper()
	lines, err := s.Log()
	require.NoError(t, err)
	for _, line := range lines {
		if strings.Contains(line.Text, text) {
			return true
		}
	}
	return false
}

func TestLogTellsWhoWasThere(t *testing.T) {
	s := start(t, quick(t))
	conn := connect(t, s)
	pid := int(conn.PgConn().PID())
	require.NoError(t, conn.Close(t.Context()))
	require.Eventually(t, func() bool {
		lines, err := s.Log()
		require.NoError(t, err)
		var came, went bool
		for _, line := range lines {
			if line.PID == pid {
				came = came || strings.HasPrefix(line.Text, "connection authorized")
				went = went || strings.HasPrefix(line.Text, "disconnection")
			}
		}
		return came && went
	}, 10*time.Second, 5*time.Millisecond)
}

func TestCloseLeavesNothing(t *testing.T) {
	parent := parentFolder(t)
	o := quick(t)
	o.Dir = parent
	s := start(t, o)
	connect(t, s)
	segment, creator := segmentOf(s.cluster.data())
	require.Equal(t, s.PID(), creator)
	require.True(t, segmentExists(segment))
	require.NoError(t, s.Kill())
	data := s.cluster.data()

	require.NoError(t, s.Close())
	require.NoError(t, s.Close(), "again")
	require.Zero(t, killOrphans(data))
	require.False(t, segmentExists(segment))
	left, err := os.ReadDir(parent)
	require.NoError(t, err)
	require.Empty(t, left)
	require.ErrorIs(t, s.StartAgain(t.Context()), ErrClosed)
	require.ErrorIs(t, s.WaitAccepting(t.Context()), ErrClosed)
	require.ErrorIs(t, s.Kill(), ErrNotRunning)
}

func TestCloseEndsAStart(t *testing.T) {
	s, err := Prepare(bounded(t), quick(t))
	require.NoError(t, err)
	started := make(chan error, 1)
	go func() { started <- s.StartAgain(context.Background()) }()
	require.NoError(t, s.Close())
	if err := <-started; err != nil { // it may have been quicker
		require.ErrorIs(t, err, ErrClosed)
	}
	require.Zero(t, s.PID())
}

func TestPassword(t *testing.T) {
	const password = `c%n'ary "ü p@ss/word`
	s := start(t, Options{Dir: MemoryDir(), User: "someone", Password: password, Database: `odd "name`})
	var user, database string
	require.NoError(t, connect(t, s).QueryRow(t.Context(), "select current_user, current_database()").Scan(&user, &database))
	require.Equal(t, "someone", user)
	require.Equal(t, `odd "name`, database)

	config, err := pgx.ParseConfig(s.DSN())
	require.NoError(t, err)
	config.Password = "wrong"
	_, err = pgx.ConnectConfig(t.Context(), config)
	var refused *pgconn.PgError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "28P01", refused.Code)

	require.NotContains(t, fmt.Sprintf("%v %+v %#v %s", s, s, s, s), password)
	require.NoFileExists(t, filepath.Join(s.Dir(), "password"))
	require.NoError(t, s.Kill())
	require.NoError(t, s.StartAgain(bounded(t)), "the database is not created twice")
}

func TestOptionsReachTheServer(t *testing.T) {
	o := quick(t)
	o.Settings = map[string]string{"application_name": `it's a \ name`, "max_connections": "7"}
	o.HBA = []string{"host all nobody_here 127.0.0.1/32 reject"}
	o.Files = map[string][]byte{"some.key": []byte("content")}
	s := start(t, o)
	conn := connect(t, s)
	var name, limit, file string
	require.NoError(t, conn.QueryRow(t.Context(),
		"select reset_val, current_setting('max_connections'), pg_read_file('some.key') from pg_settings where name = 'application_name'").
		Scan(&name, &limit, &file))
	require.Equal(t, `it's a \ name`, name)
	require.Equal(t, "7", limit)
	require.Equal(t, "content", file)

	config, err := pgx.ParseConfig(s.DSN())
	require.NoError(t, err)
	config.User = "nobody_here"
	_, err = pgx.ConnectConfig(t.Context(), config)
	require.ErrorContains(t, err, "pg_hba.conf rejects")
}

func TestWrongOptions(t *testing.T) {
	template, parent := quick(t).Template, parentFolder(t)
	for name, c := range map[string]struct {
		options Options
		want    string
	}{
		"a setting of the package's own": {Options{Settings: map[string]string{"port": "1"}}, "port"},
		"a port out of range":            {Options{Port: 70000}, "65535"},
		"a setting that does not exist":  {Options{Settings: map[string]string{"nonsense": "1"}}, `unrecognized configuration parameter "nonsense"`},
		"a file elsewhere":               {Options{Files: map[string][]byte{"../x": nil}}, "plain name"},
	} {
		t.Run(name, func(t *testing.T) {
			c.options.Dir, c.options.Template = parent, template
			_, err := Start(bounded(t), c.options)
			require.ErrorContains(t, err, c.want)
			left, err := os.ReadDir(parent)
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}

func TestPortThatSomebodyHas(t *testing.T) {
	o := quick(t)
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port

	o.Port = port
	_, err = Start(bounded(t), o)
	require.ErrorContains(t, err, "Address already in use")

	o.Port = 0
	s, err := Prepare(bounded(t), o)
	require.NoError(t, err)
	defer s.Close()
	s.port = port
	require.NoError(t, s.StartAgain(bounded(t)), "a port that nobody asked for is replaced")
	require.NotEqual(t, port, s.Port())
}

func TestStartEndsWithItsContext(t *testing.T) {
	requireBinaries(t)
	parent := parentFolder(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Start(ctx, Options{Dir: parent})
	require.ErrorIs(t, err, context.Canceled)
	left, err := os.ReadDir(parent)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestTemplateIsNotTouchedByItsServers(t *testing.T) {
	o := quick(t)
	a := start(t, o)
	o.Database = "other"
	b := start(t, o)
	for _, s := range []*Server{a, b} {
		_, err := connect(t, s).Exec(t.Context(), "create table mine ()")
		require.NoError(t, err)
	}
	require.NotEqual(t, a.Dir(), b.Dir())
	require.NotEqual(t, a.Port(), b.Port())
}

func TestServerWithoutOptions(t *testing.T) {
	s := start(t, Options{})
	place, err := chooseParent("", mustAccount(t))
	require.NoError(t, err)
	require.Equal(t, place, filepath.Dir(s.Dir()))
	var user, database, fsync string
	require.NoError(t, connect(t, s).QueryRow(t.Context(),
		"select current_user, current_database(), current_setting('fsync')").Scan(&user, &database, &fsync))
	require.Equal(t, []string{DefaultUser, DefaultDatabase, "off"}, []string{user, database, fsync})
}

// A process that is killed cannot clean up: its server must end with it, and the next one to start removes its folder.
func TestKilledOwnerLeavesNothing(t *testing.T) {
	requireBinaries(t)
	parent := parentFolder(t)
	owner := exec.Command(os.Args[0])
	owner.Env = append(os.Environ(), ownerVariable+"="+parent)
	out, err := owner.StdoutPipe()
	require.NoError(t, err)
	owner.Stderr = os.Stderr
	require.NoError(t, owner.Start())
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan())
	pid, err := strconv.Atoi(lines.Text())
	require.NoError(t, err)
	require.True(t, lines.Scan())
	dir := lines.Text()
	segment, creator := segmentOf(filepath.Join(dir, dataName))
	require.Equal(t, pid, creator)

	// While its owner lives, nobody touches it.
	o := quick(t)
	o.Dir = parent
	other := start(t, o)
	require.NoError(t, other.Close())
	require.DirExists(t, dir)
	require.True(t, alive(pid))

	require.NoError(t, owner.Process.Kill())
	_ = owner.Wait() // it was killed
	if diesWithParent {
		require.Eventually(t, func() bool { return !alive(pid) }, 10*time.Second, 5*time.Millisecond)
	}

	start(t, o)
	require.NoDirExists(t, dir)
	require.False(t, segmentExists(segment))
}

func TestServe(t *testing.T) {
	s, err := Prepare(bounded(t), quick(t))
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()

	served := make(chan error, 1)
	serve := func(ctx context.Context) { served <- s.Serve(ctx) }
	go serve(t.Context())
	require.NoError(t, s.WaitAccepting(bounded(t)))
	pid := s.PID()
	require.NoError(t, s.Kill())
	err = <-served
	require.ErrorContains(t, err, fmt.Sprint(pid))
	require.ErrorContains(t, err, "killed")

	ctx, cancel := context.WithCancel(t.Context())
	go serve(ctx)
	require.NoError(t, s.WaitAccepting(bounded(t)))
	require.NotEqual(t, pid, s.PID())
	conn := connect(t, s)
	cancel()
	require.ErrorIs(t, <-served, context.Canceled)
	require.Zero(t, s.PID())
	_, err = conn.Exec(bounded(t), "select 1")
	require.ErrorContains(t, err, "57P01")

	short, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, s.WaitAccepting(short), context.Canceled)
}
