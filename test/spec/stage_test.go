package spec

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/faultproxy"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// patience bounds whatever a test waits for, on a machine that is busy with others.
const patience = 30 * time.Second

// open opens a pool, changed as the test wants it, and closes it with the test.
func open(t *testing.T, dsn string, change func(*poolactor.Config)) *poolactor.Pool {
	t.Helper()
	cfg, err := poolactor.ParseConfig(dsn)
	require.NoError(t, err)
	if change != nil {
		change(&cfg)
	}
	p, err := poolactor.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

// within is a context with a deadline, cancelled with the test.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

type querier interface {
	QueryRow(context.Context, string, ...any) pgx.Row
}

// ask runs a query for one value.
func ask[T any](t *testing.T, q querier, sql string, args ...any) (value T) {
	t.Helper()
	require.NoError(t, q.QueryRow(within(t, patience), sql, args...).Scan(&value))
	return value
}

// connect is a connection beside the pool: what it sees is the server's own word.
func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(within(t, patience), dsn)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close(context.Background())) })
	return conn
}

// named counts the server's backends of one application.
const named = "select count(*) from pg_stat_activity where application_name = $1"

// proxied puts a proxy before a server and returns it with a connection string that leads through it.
func proxied(t *testing.T, address, dsn string) (*faultproxy.Proxy, string) {
	t.Helper()
	proxy, err := faultproxy.New(address)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, proxy.Close()) })
	return proxy, strings.Replace(dsn, address, proxy.Address(), 1)
}

// journal keeps what a logger wrote, and when.
type journal struct {
	mu    sync.Mutex
	lines []entry
	text  strings.Builder
}

type entry struct {
	at     time.Time
	fields map[string]any
}

func (j *journal) Write(line []byte) (int, error) {
	var fields map[string]any
	if err := json.Unmarshal(line, &fields); err != nil {
		return 0, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, entry{time.Now(), fields})
	return j.text.Write(line)
}

func (j *journal) logger() *zerolog.Logger {
	l := zerolog.New(j).Level(zerolog.DebugLevel)
	return &l
}

// having lists the lines of a level that have a field.
func (j *journal) having(level zerolog.Level, field string) (found []entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range j.lines {
		if _, ok := e.fields[field]; ok && e.fields["level"] == level.String() {
			found = append(found, e)
		}
	}
	return found
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// wire dials and counts: dials, and the checks that went over the sockets.
type wire struct{ dials, checks atomic.Int64 }

func (w *wire) dial(ctx context.Context, network, address string) (net.Conn, error) {
	w.dials.Add(1)
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &wiredConn{conn.(*net.TCPConn), w}, nil
}

type wiredConn struct {
	*net.TCPConn
	wire *wire
}

func (c *wiredConn) Write(p []byte) (int, error) {
	c.wire.checks.Add(int64(bytes.Count(p, []byte("SELECT 1\x00"))))
	return c.TCPConn.Write(p)
}
