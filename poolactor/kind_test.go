package poolactor

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

// wants is a pool of up to four connections to a server of one kind, without rounds of checks.
func wants(kind pgconn.ValidateConnectFunc) func(*Config) {
	return func(c *Config) { c.ConnConfig.ValidateConnect, c.Health.Interval = kind, -1 }
}

// askForPrimary is what pgx asks a server that has to be one.
const askForPrimary = "select pg_is_in_recovery()"

// asked is how often a server was asked something.
func asked(server *fakepg.Server, sql string) int {
	return len(slices.DeleteFunc(server.Statements(), func(s string) bool { return s != sql }))
}

// refuseWrite lets a statement of a lease fail as a write does where nobody may write.
func refuseWrite(t *testing.T, l *Lease) {
	t.Helper()
	_, err := l.Exec(t.Context(), "fail 25006")
	require.Error(t, err)
}

func TestAUsersReadOnlyTransactionRetiresNothing(t *testing.T) {
	for name, c := range map[string]struct {
		kind  pgconn.ValidateConnectFunc
		asked int
	}{
		"any server":       {nil, 0},
		"a primary":        {pgconn.ValidateConnectTargetSessionAttrsPrimary, 2},
		"rather a standby": {pgconn.ValidateConnectTargetSessionAttrsPreferStandby, 3}, // two while it was dialled
	} {
		t.Run(name, func(t *testing.T) {
			inMemory(t, func(cfg *Config) { wants(c.kind)(cfg); cfg.MaxSize = 1 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
				l := acquired(t, p)
				dials, epoch := server.Dials(), p.gate.Load().epoch()
				refuseWrite(t, l)
				l.Release()
				for range 3 {
					require.Equal(t, 1, one(t, t.Context(), p, "select 1"))
				}
				require.Equal(t, dials, server.Dials())
				require.Equal(t, epoch, p.gate.Load().epoch())
				require.Equal(t, c.asked, asked(server, askForPrimary), "by the dial, and once more by the check")
			})
		})
	}
}

// One write that a former primary refuses makes the pool leave it with every connection, by the next round of checks if
// nobody comes before.
func TestAServerThatTakesNoMoreWritesIsLeft(t *testing.T) {
	change := func(c *Config) { c.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsPrimary }
	inMemory(t, change, func(t *testing.T, p *Pool, server *fakepg.Server) {
		holdAll(t, p, 4)
		writer, reader := acquired(t, p), acquired(t, p)
		old, epoch := server.PIDs(), p.gate.Load().epoch()
		server.Standby(true)
		require.Equal(t, 1, one(t, t.Context(), reader, "select 1"), "it serves on")
		refuseWrite(t, writer)
		writer.Release()
		pass(time.Second)
		require.Equal(t, 1, stay(server, old), "but for the one that is leased")
		require.Equal(t, epoch+gateEpoch, p.gate.Load().epoch(), "one discovery is enough")
		reader.Release()
		_, err := p.Acquire(within(t, time.Second))
		require.Error(t, err, "nobody is given to a server that takes no writes")
		require.Zero(t, stay(server, old), "that one when it came back")
		server.Standby(false)
		acquired(t, p).Release()
	})
}

// A connection whose server was doubted for any reason shows what it showed when it was opened.
func TestANewEpochAsksForTheKind(t *testing.T) {
	inMemory(t, wants(pgconn.ValidateConnectTargetSessionAttrsPrimary), func(t *testing.T, p *Pool, server *fakepg.Server) {
		holdAll(t, p, 4)
		pass(2 * time.Second)
		before := asked(server, askForPrimary)
		acquired(t, p).Release()
		require.Equal(t, before, asked(server, askForPrimary), "a check alone is no reason to doubt")
		server.Standby(true)
		old, epoch := server.PIDs(), p.gate.Load().epoch()
		require.True(t, p.gate.distrust(epoch))
		_, err := p.Acquire(within(t, time.Second))
		require.Error(t, err)
		require.Zero(t, stay(server, old))
		require.Equal(t, epoch+gateEpoch, p.gate.Load().epoch(), "that has begun already")
		server.Standby(false)
	})
}

func TestAStandbyIsLeftWhereAnyServerWillDo(t *testing.T) {
	for name, c := range map[string]struct {
		kind pgconn.ValidateConnectFunc
		left bool
	}{
		"any server": {nil, true},
		"a standby":  {pgconn.ValidateConnectTargetSessionAttrsStandby, false},
	} {
		t.Run(name, func(t *testing.T) {
			inMemory(t, func(cfg *Config) { wants(c.kind)(cfg); cfg.MaxSize = 1 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
				server.Standby(true)
				l := acquired(t, p)
				old := server.PIDs()
				refuseWrite(t, l)
				l.Release()
				acquired(t, p).Release()
				require.Equal(t, c.left, stay(server, old) == 0)
			})
		})
	}
}

// A doubt about the kind keeps nobody from learning that the server has died.
func TestADoubtedConnectionTellsOfItsDeath(t *testing.T) {
	inMemory(t, wants(pgconn.ValidateConnectTargetSessionAttrsPrimary), func(t *testing.T, p *Pool, server *fakepg.Server) {
		holdAll(t, p, 4)
		l := acquired(t, p)
		refuseWrite(t, l)
		server.Terminate("57P01")
		_, err := l.Exec(t.Context(), "select 1")
		require.Error(t, err)
		synctest.Wait()
		require.Zero(t, p.Stat().Idle, "the others were looked at")
		l.Release()
	})
}

// What ends the question is not taken for the answer.
func TestAConnectionThatDiesOfTheQuestionIsOfNoKind(t *testing.T) {
	var server *fakepg.Server
	var lethal atomic.Bool
	kind := func(ctx context.Context, c *pgconn.PgConn) error {
		if lethal.Load() {
			server.Kill(c.PID())
		}
		return c.Exec(ctx, "select 1").Close()
	}
	inMemory(t, wants(kind), func(t *testing.T, p *Pool, s *fakepg.Server) {
		server = s
		events := p.Events(t.Context())
		l := acquired(t, p)
		refuseWrite(t, l)
		lethal.Store(true)
		l.Release()
		_, err := p.Acquire(within(t, time.Second))
		require.Error(t, err)
		for e := range events {
			if e.Kind == EventCheckFailed {
				require.False(t, errors.Is(e.Err, errOtherKind), e.Err)
				break
			}
		}
		lethal.Store(false)
	})
}

func TestWhatTheQuestionSetsUpIsNoChange(t *testing.T) {
	kind := func(ctx context.Context, c *pgconn.PgConn) error {
		return c.Exec(ctx, "set work_mem = '8MB'").Close()
	}
	inMemory(t, func(c *Config) { wants(kind)(c); c.MaxSize = 1 }, func(t *testing.T, p *Pool, server *fakepg.Server) {
		l := acquired(t, p)
		refuseWrite(t, l)
		l.Release()
		for range 2 {
			acquired(t, p).Release()
			synctest.Wait()
		}
		require.Equal(t, 2, asked(server, "set work_mem = '8MB'"), "by the dial and by the check")
		require.Equal(t, 1, server.Dials(), "cleaning would undo what was set up, so it would have been closed")
	})
}
