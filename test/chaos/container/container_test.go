package container

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/containerd/errdefs"
	"github.com/jackc/pgx/v5"
	"github.com/moby/moby/client"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// ownerVariable makes this test binary a process that owns a container and is going to be killed.
const ownerVariable = "CONTAINER_TEST_OWNER"

func TestMain(m *testing.M) {
	if os.Getenv(ownerVariable) != "" {
		s, err := Start(context.Background(), Options{})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(s.ID())
		select {}
	}
	goleak.VerifyTestMain(m)
}

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func connect(t *testing.T, s *Server) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(bounded(t), s.DSN())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the server may be dead by then
	return conn
}

func TestKilledServerComesBackWithItsData(t *testing.T) {
	for name, o := range map[string]Options{
		"through a published port": {},
		"on the host network":      {HostNetwork: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := Own(t, o)
			port := s.Port()
			require.Less(t, port, 32768, "above, outgoing connections could take it while the server is down")
			conn := connect(t, s)
			_, err := conn.Exec(t.Context(), "create table kept as select 1 as key")
			require.NoError(t, err)

			require.NoError(t, s.Kill(bounded(t)))
			_, err = conn.Exec(t.Context(), "select 1")
			require.Error(t, err)
			begin := time.Now()
			require.NoError(t, s.Start(bounded(t)))
			accepted, err := s.WaitAccepting(bounded(t))
			require.NoError(t, err)
			require.WithinRange(t, accepted, begin, time.Now())
			ready, err := s.ReadyAt(bounded(t))
			require.NoError(t, err)
			require.WithinRange(t, ready, begin.Truncate(time.Millisecond), accepted)
			t.Logf("ready %v after the start, log-in %v later", ready.Sub(begin), accepted.Sub(ready))

			var key int
			require.NoError(t, connect(t, s).QueryRow(t.Context(), "select key from kept").Scan(&key))
			require.Equal(t, port, s.Port())
		})
	}
}

func TestStopIsFastInSpiteOfClients(t *testing.T) {
	s := Own(t, Options{Settings: map[string]string{"max_connections": "7"}})
	conn := connect(t, s)
	var limit string
	require.NoError(t, conn.QueryRow(t.Context(), "show max_connections").Scan(&limit))
	require.Equal(t, "7", limit)

	pid := int(conn.PgConn().PID())
	begin := time.Now()
	require.NoError(t, s.Stop(bounded(t)))
	require.Less(t, time.Since(begin), 9*time.Second, "after ten it would have been killed")
	lines, err := s.Log(bounded(t))
	require.NoError(t, err)
	var told bool
	for _, line := range lines {
		told = told || line.PID == pid && line.Code == "57P01"
	}
	require.True(t, told, "the log tells which backend was sent away")

	require.NoError(t, s.Start(bounded(t)))
	_, err = s.WaitAccepting(bounded(t))
	require.NoError(t, err)
	require.NoError(t, s.Restart(bounded(t)))
	_, err = s.WaitAccepting(bounded(t))
	require.NoError(t, err)
}

func TestPause(t *testing.T) {
	s := Own(t, Options{})
	conn := connect(t, s)
	require.NoError(t, s.Pause(bounded(t)))
	answered := make(chan error, 1)
	go func() {
		_, err := conn.Exec(context.Background(), "select 1")
		answered <- err
	}()
	select {
	case err := <-answered:
		require.Fail(t, "a paused server answered", "%v", err)
	case <-time.After(100 * time.Millisecond):
	}
	require.NoError(t, s.Unpause(bounded(t)))
	require.NoError(t, <-answered)
	require.NoError(t, s.Pause(bounded(t)), "a paused container can be removed")
}

func TestDisconnect(t *testing.T) {
	s := Own(t, Options{})
	connect(t, s)
	require.NoError(t, s.Disconnect(bounded(t)))
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := s.WaitAccepting(short)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, s.Connect(bounded(t)))
	_, err = s.WaitAccepting(bounded(t))
	require.NoError(t, err)
}

// A process that is killed cannot clean up: the next one to start a container removes what it had.
func TestContainersOfKilledProcessesAreRemoved(t *testing.T) {
	Available(t)
	process := exec.Command(os.Args[0])
	process.Env = append(os.Environ(), ownerVariable+"=1")
	process.Stderr = os.Stderr
	out, err := process.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, process.Start())
	lines := bufio.NewScanner(out)
	require.True(t, lines.Scan())
	id := lines.Text()

	docker, err := client.New(client.FromEnv)
	require.NoError(t, err)
	defer docker.Close()
	require.NoError(t, sweep(bounded(t), docker))
	_, err = docker.ContainerInspect(bounded(t), id, client.ContainerInspectOptions{})
	require.NoError(t, err, "its process lives")

	require.NoError(t, process.Process.Kill())
	_ = process.Wait() // it was killed
	require.NoError(t, sweep(bounded(t), docker))
	require.Eventually(t, func() bool {
		_, err := docker.ContainerInspect(bounded(t), id, client.ContainerInspectOptions{})
		return errdefs.IsNotFound(err)
	}, 10*time.Second, 10*time.Millisecond)
}

func TestImageThatDoesNotExist(t *testing.T) {
	Available(t)
	t.Setenv(ImageVariable, "127.0.0.1:1/nothing:here")
	_, err := Start(bounded(t), Options{})
	require.ErrorContains(t, err, "127.0.0.1:1/nothing:here")
	require.Nil(t, owner.lock, "nothing is left of the attempt")
}

func TestServerThatCannotStart(t *testing.T) {
	Available(t)
	_, err := Start(bounded(t), Options{Settings: map[string]string{"nonsense": "1"}})
	require.ErrorIs(t, err, errEnded)
	require.ErrorContains(t, err, "nonsense")
	require.Nil(t, owner.lock, "nothing is left of the attempt")
}

// The image that is built where no registry can be reached must work everywhere, or it is found broken too late.
func TestBuiltImage(t *testing.T) {
	Available(t)
	name, err := nameOfBuilt()
	if err != nil {
		t.Skip(err)
	}
	docker, err := client.New(client.FromEnv)
	require.NoError(t, err)
	defer docker.Close()
	there, err := hasImage(bounded(t), docker, name)
	require.NoError(t, err)
	if !there {
		labels, err := owner.begin()
		require.NoError(t, err)
		defer func() { require.NoError(t, owner.end()) }()
		require.NoError(t, build(bounded(t), docker, name, labels))
	}
	t.Setenv(ImageVariable, name)
	s := Own(t, Options{})
	var hour int
	require.NoError(t, connect(t, s).QueryRow(t.Context(),
		"select extract(hour from timestamptz '2026-07-01 12:00 UTC' at time zone 'Europe/Berlin')::int").Scan(&hour))
	require.Equal(t, 14, hour, "it knows the time zones")
}

func TestWithoutDocker(t *testing.T) {
	if os.Getenv("CONTAINER_TEST_INNER") == "1" {
		Available(t)
		return
	}
	for _, c := range []struct {
		name, required string
		passes         bool
		want           string
	}{
		{"skips", "0", true, "--- SKIP: TestWithoutDocker"},
		{"fails where it is required", "1", false, "--- FAIL: TestWithoutDocker"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inner := exec.Command(os.Args[0], "-test.run=^TestWithoutDocker$", "-test.v")
			inner.Env = append(os.Environ(), "CONTAINER_TEST_INNER=1", RequireVariable+"="+c.required,
				"DOCKER_HOST=unix://"+t.TempDir()+"/nothing.sock")
			out, err := inner.CombinedOutput()
			require.Equal(t, c.passes, err == nil, "%s", out)
			require.Contains(t, string(out), c.want)
			require.Contains(t, string(out), "no Docker engine")
		})
	}
}
