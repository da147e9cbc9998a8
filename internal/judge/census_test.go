package judge

import (
	"context"
	"os"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
)

func connect(t *testing.T, dsn string, c *Census) (*pgconn.PgConn, *Backend) {
	t.Helper()
	cfg, err := pgconn.ParseConfig(dsn)
	require.NoError(t, err)
	cfg.AfterConnect = c.Introduce
	conn, err := pgconn.ConnectConfig(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the server may be dead by then
	b, err := Behind(conn)
	require.NoError(t, err)
	return conn, b
}

func TestBackendsIntroduceThemselves(t *testing.T) {
	server := pgtest.Server(t)
	var c Census
	before := time.Now()
	conn, b := connect(t, server.DSN(), &c)
	require.Equal(t, conn.PID(), b.PID)
	require.WithinRange(t, b.Started, before.Truncate(time.Microsecond), time.Now())
	require.True(t, b.Postmaster.Before(before))
	require.Zero(t, b.Died)
	_, other := connect(t, server.DSN(), &c)
	require.NotEqual(t, b.PID, other.PID)
	require.Equal(t, 2, c.Alive(time.Now()))
	require.Zero(t, c.Alive(b.Postmaster), "it counts those of earlier servers")

	require.NoError(t, c.Introduce(t.Context(), conn))
	again, err := Behind(conn)
	require.NoError(t, err)
	require.Same(t, b, again)
	require.Equal(t, 2, c.Alive(time.Now()))
}

func TestABackendIsItsProcessIDAndItsStart(t *testing.T) {
	var c Census
	b := c.enter(&Backend{PID: 4711, Started: at(1)})
	require.Same(t, b, c.enter(&Backend{PID: 4711, Started: at(1)}))
	require.NotSame(t, b, c.enter(&Backend{PID: 4711, Started: at(2)}))
	require.NotSame(t, b, c.enter(&Backend{PID: 4712, Started: at(1)}))
	require.Len(t, c.all, 3)
}

func TestAConnectionWithoutAnIntroduction(t *testing.T) {
	conn, err := pgconn.Connect(t.Context(), pgtest.Server(t).DSN())
	require.NoError(t, err)
	_, err = Behind(conn)
	require.ErrorContains(t, err, "introduction")
	require.NoError(t, conn.Close(t.Context()))
	require.Error(t, new(Census).Introduce(t.Context(), conn))
}

func TestTheDeathsOfAServerAreSeen(t *testing.T) {
	server := pgtest.Own(t, postgres.Options{})
	var c Census
	closed, early := connect(t, server.DSN(), &c)
	_, killed := connect(t, server.DSN(), &c)
	require.NoError(t, closed.Close(t.Context()))
	require.Eventually(t, func() bool { return !IsAlive(early.PID) }, time.Minute, time.Millisecond)

	f := c.Fault()
	died := early.Died
	require.NotZero(t, died)
	require.False(t, died.After(f.At), "it did not die of the fault")
	require.Equal(t, 1, c.Alive(f.At))
	require.NoError(t, server.Kill())
	c.Watch(f)
	require.WithinRange(t, killed.Died, f.At, f.At.Add(watchFor))
	require.Equal(t, died, early.Died, "nobody dies twice")
	require.Zero(t, c.Alive(f.At))
}

func TestAWatchEnds(t *testing.T) {
	for name, c := range map[string]struct {
		pid   uint32
		after time.Duration
	}{
		"soon, when nobody is left":            {deadProcess(t), watchLeast},
		"some time, when somebody outlives it": {uint32(os.Getpid()), watchFor},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				census := Census{all: []*Backend{{PID: c.pid, Postmaster: time.Now().Add(-time.Second)}}}
				f := &Fault{At: time.Now()}
				census.Watch(f)
				require.WithinDuration(t, f.At.Add(c.after), time.Now(), watchEvery)
				require.Zero(t, f.Lag)
			})
		})
	}
}

func TestAWatchTellsHowLateItBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &Fault{At: time.Now().Add(-7 * time.Millisecond)}
		new(Census).Watch(f)
		require.Equal(t, 7*time.Millisecond, f.Lag)
	})
}

func TestBackendsThatCannotBeSeenAreBuried(t *testing.T) {
	f := &Fault{At: time.Now()}
	hit := &Backend{PID: 1, Postmaster: f.At.Add(-time.Minute)}
	dead := &Backend{PID: 2, Postmaster: f.At.Add(-time.Minute), Died: f.At.Add(-time.Second)}
	next := &Backend{PID: 3, Postmaster: f.At.Add(time.Millisecond)}
	c := Census{all: []*Backend{hit, dead, next}}
	c.Bury(f)
	require.WithinRange(t, hit.Died, f.At, time.Now())
	require.Equal(t, f.At.Add(-time.Second), dead.Died)
	require.Zero(t, next.Died, "it is of the server that came after")
}

func TestProcesses(t *testing.T) {
	require.True(t, IsAlive(uint32(os.Getpid())))
	pid := deadProcess(t)
	require.False(t, IsAlive(pid), strconv.Itoa(int(pid)))
}

// The backends of a killed postmaster wait for whoever adopted them.
func TestAProcessThatNobodyHasWaitedForIsDead(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only /proc tells")
	}
	ended := shortProcess(t)
	require.Eventually(t, func() bool { return !IsAlive(uint32(ended.Pid)) }, time.Minute, time.Millisecond)
	_, err := ended.Wait()
	require.NoError(t, err)
}

// deadProcess is the id of a process that has ended.
func deadProcess(t *testing.T) uint32 {
	t.Helper()
	ended := shortProcess(t)
	pid := uint32(ended.Pid)
	_, err := ended.Wait()
	require.NoError(t, err)
	return pid
}

// shortProcess is one that ends at once.
func shortProcess(t *testing.T) *os.Process {
	t.Helper()
	p, err := os.StartProcess("/bin/sh", []string{"sh", "-c", "exit 0"}, &os.ProcAttr{})
	require.NoError(t, err)
	return p
}
