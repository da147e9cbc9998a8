// Package ecosystem holds tools that live on pgx and on database/sql against this pool and a real PostgreSQL: those that
// README.md lists, at the versions in go.mod. Each is also used while its server is down: its call has to wait, and to
// succeed.
package ecosystem

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

func TestMain(m *testing.M) { pgtest.Main(m, goleak.IgnoreAnyFunction(preparing)) }

// preparing is what GORM keeps for ever for each cache of prepared statements. Nothing else outlives these tests.
const preparing = "gorm.io/gorm/internal/lru.NewLRU[...].func1"

// patience bounds whatever a test waits for, on a machine that is busy with others.
const patience = 30 * time.Second

// lookout is how often a pool looks at the connections that nobody uses, so that it soon knows of an outage.
const lookout = 50 * time.Millisecond

// stage is a pool on a server that its test may kill.
type stage struct {
	server *postgres.Server
	pool   *poolactor.Pool
}

// set makes a stage whose pool is configured as the test wants it. When the test ends, no lease may be out.
func set(t *testing.T, server *postgres.Server, change func(*poolactor.Config)) *stage {
	t.Helper()
	cfg, err := poolactor.ParseConfig(server.DSN())
	require.NoError(t, err)
	cfg.MaxSize = 4
	cfg.Health.Interval = lookout
	if change != nil {
		change(&cfg)
	}
	pool, err := poolactor.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	return &stage{server: server, pool: pool}
}

// plain is a stage for a test that wants nothing special.
func plain(t *testing.T) *stage {
	t.Helper()
	return set(t, pgtest.Own(t, postgres.Options{}), nil)
}

// outage kills the server, at a moment when nobody has a connection and none is under way: whoever had one could fail. Then
// it lets use run, and when that waits, the server comes back.
func (s *stage) outage(t *testing.T, use func(context.Context) error) {
	t.Helper()
	require.NoError(t, s.pool.Suspend(within(t)))
	require.Eventually(t, func() bool { return s.pool.Stat().Opening == 0 }, patience, time.Millisecond)
	require.NoError(t, s.server.Kill())
	require.Eventually(t, func() bool {
		st := s.pool.Stat()
		return st.Idle+st.Checking == 0
	}, patience, time.Millisecond, "a backend may outlive its postmaster by a moment")
	require.NoError(t, s.pool.Resume())
	watch, over := context.WithCancel(context.Background())
	back := make(chan error, 1)
	go func() { back <- s.comeBack(watch) }()
	defer func() {
		over()
		require.NoError(t, <-back)
	}()
	require.NoError(t, use(within(t)))
}

// comeBack starts the server again when a call waits for it.
func (s *stage) comeBack(watch context.Context) error {
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for s.pool.Stat().Waiting == 0 {
		select {
		case <-look.C:
		case <-watch.Done():
			return errors.New("nobody waited for the server")
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return s.server.StartAgain(ctx)
}

// exec runs statements that are not the tool's.
func (s *stage) exec(t *testing.T, sql string) {
	t.Helper()
	_, err := s.pool.Exec(within(t), sql)
	require.NoError(t, err)
}

// within is a context that lasts as long as patience does, cancelled with the test.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}
