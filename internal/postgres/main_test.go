package postgres

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// ownerVariable makes this test binary a process that owns a server and is going to be killed.
const ownerVariable = "POSTGRES_TEST_OWNER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(ownerVariable); dir != "" {
		own(dir)
		return
	}
	goleak.VerifyTestMain(tests{m})
}

// prototype is what the servers of these tests are copied from, unless a test is about their making.
var prototype struct {
	mu sync.Mutex
	*Template
}

// tests is a testing.M that removes the prototype before goleak looks.
type tests struct{ m *testing.M }

func (t tests) Run() int {
	code := t.m.Run()
	prototype.mu.Lock()
	defer prototype.mu.Unlock()
	if prototype.Template == nil {
		return code
	}
	if err := prototype.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// quick are options for a server whose making is not what the test is about.
func quick(t *testing.T) Options {
	t.Helper()
	requireBinaries(t)
	prototype.mu.Lock()
	defer prototype.mu.Unlock()
	if prototype.Template == nil {
		made, err := NewTemplate(bounded(t), MemoryDir())
		require.NoError(t, err)
		prototype.Template = made
	}
	return Options{Dir: MemoryDir(), Template: prototype.Template}
}

// own starts a server, says who and where it is, and waits to be killed.
func own(dir string) {
	s, err := Start(context.Background(), Options{Dir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(s.PID())
	fmt.Println(s.Dir())
	select {}
}

// requireBinaries skips a test that starts servers where there is no PostgreSQL. It is pgtest's rule, which this
// package cannot import.
func requireBinaries(t *testing.T) {
	t.Helper()
	_, err := Find()
	if err != nil && os.Getenv("SUPERVISED_REQUIRE_POSTGRES") != "1" {
		t.Skip(err)
	}
	require.NoError(t, err)
}

// parentFolder is a folder that the server's account can enter, unlike t.TempDir, and whose name has a space in it.
func parentFolder(t *testing.T) string {
	t.Helper()
	base, err := chooseParent(MemoryDir(), mustAccount(t))
	require.NoError(t, err)
	dir, err := os.MkdirTemp(base, "with a space ")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

func mustAccount(t *testing.T) *account {
	t.Helper()
	who, err := unprivileged(os.Geteuid())
	require.NoError(t, err)
	return who
}

func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func start(t *testing.T, o Options) *Server {
	t.Helper()
	requireBinaries(t)
	s, err := Start(bounded(t), o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}
