package retry

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

// cluster is several servers behind one DialFunc, by address.
type cluster map[string]*fakepg.Server

func (c cluster) dial(ctx context.Context, network, address string) (net.Conn, error) {
	server, ok := c[address]
	if !ok {
		return nil, os.NewSyscallError("connect", syscall.ECONNREFUSED)
	}
	return server.Dial(ctx, network, address)
}

// twoHosts makes a world of the servers a and b; the world's own server is a.
func twoHosts(w *world, rest string) *fakepg.Server {
	b := fakepg.New()
	w.t.Cleanup(b.Close)
	w.cfg.ConnConfig = parsed(w.t, "host=a,b user=app "+rest)
	w.cfg.Lookup = names{"a": {"192.0.2.1"}, "b": {"192.0.2.2"}}.lookup
	w.cfg.Dial = cluster{"192.0.2.1:5432": w.server, "192.0.2.2:5432": b}.dial
	return b
}

func TestTheSecondHostServesWhenTheFirstIsDown(t *testing.T) {
	inWorld(t, 8, func(w *world) { twoHosts(w, "sslmode=disable"); w.server.Stop() }, func(t *testing.T, w *world) {
		w.order(1, false)
		require.Equal(t, 1, w.pool.count(opened))
		w.order(3, false)
		require.Equal(t, []string{
			"192.0.2.1:5432", "192.0.2.2:5432", "192.0.2.2:5432", "192.0.2.2:5432", "192.0.2.2:5432",
		}, w.calls.addresses(), "what worked is tried first from then on")
		require.Empty(t, w.pool.published(), "there was no outage")
	})
}

func TestAFailoverBehindABlackHoleIsFound(t *testing.T) {
	var b *fakepg.Server
	inWorld(t, 8, func(w *world) { b = twoHosts(w, "sslmode=disable"); b.Stop() }, func(t *testing.T, w *world) {
		w.order(1, false)
		require.Equal(t, 1, w.server.Connections())
		w.server.Freeze()
		callOff := w.demand(5, true)
		w.pass(20 * time.Second)
		require.Equal(t, 1, w.pool.count(opened))
		b.Start()
		w.pass(1100 * time.Millisecond)
		callOff()
		require.Greater(t, b.Connections(), 0)
		require.LessOrEqual(t, w.calls.most(5*time.Second), 80)
		w.server.Thaw()
	})
}

func TestADetourThatHangsHoldsNoScoutUp(t *testing.T) {
	for down := 4 * time.Second; down < 5*time.Second; down += 100 * time.Millisecond {
		var b *fakepg.Server
		inWorld(t, 8, func(w *world) {
			b = twoHosts(w, "sslmode=disable")
			w.server.Stop()
			b.StopBehindProxy()
		}, func(t *testing.T, w *world) {
			callOff := w.demand(5, true)
			defer callOff()
			w.pass(down + 3*time.Millisecond)
			w.server.Start()
			w.pass(75 * time.Millisecond)
			require.Positive(t, w.server.Connections())
			require.True(t, w.pool.known().Since.IsZero())
		})
	}
}

func TestEveryHostHasToRefuse(t *testing.T) {
	var b *fakepg.Server
	inWorld(t, 8, func(w *world) {
		b = twoHosts(w, "sslmode=disable")
		w.server.Refuse("28P01", "password authentication failed")
		b.Stop()
	}, func(t *testing.T, w *world) {
		w.order(1, false)
		require.False(t, w.pool.known().Refused)
		require.ErrorContains(t, w.pool.known().Cause, "password authentication failed")
		require.ErrorContains(t, w.pool.known().Cause, "connection refused")

		b.Start()
		b.Refuse("3D000", "no such database")
		w.pass(time.Second)
		w.order(1, true)
		require.True(t, w.pool.known().Refused)
		require.Equal(t, 1, w.pool.known().Attempts)

		b.Refuse("", "")
		w.pass(time.Second)
		w.order(1, true)
		require.Equal(t, 1, w.pool.count(opened))
	})
}

func TestAHostWhoseNameIsGoneRefusesNoMore(t *testing.T) {
	dns := names{"a": {"192.0.2.1"}, "b": {"192.0.2.1"}}
	inWorld(t, 8, func(w *world) {
		w.cfg.ConnConfig = parsed(w.t, "host=a,b user=app sslmode=disable")
		w.cfg.Lookup = dns.lookup
		w.server.Refuse("28P01", "password authentication failed")
	}, func(t *testing.T, w *world) {
		w.order(1, false)
		require.True(t, w.pool.known().Refused)
		delete(dns, "b")
		w.pass(time.Second)
		w.order(1, true)
		require.False(t, w.pool.known().Refused)
	})
}

func TestAReadOnlyServerIsPassedOver(t *testing.T) {
	var b *fakepg.Server
	inWorld(t, 8, func(w *world) {
		b = twoHosts(w, "sslmode=disable target_session_attrs=primary")
		w.server.Standby(true)
	}, func(t *testing.T, w *world) {
		w.order(1, false)
		require.Equal(t, 1, b.Connections())
		b.Stop()
		w.pass(time.Second)
		w.order(1, false)
		require.ErrorContains(t, w.pool.known().Cause, "server is in standby mode")
		require.False(t, w.pool.known().Refused)
		w.server.Standby(false)
		w.pass(time.Second)
		w.order(1, true)
		require.Equal(t, 1, w.server.Connections(), "the promoted one")
	})
}

func TestAPreferredKindIsOnlyPreferred(t *testing.T) {
	var b *fakepg.Server
	inWorld(t, 8, func(w *world) {
		b = twoHosts(w, "sslmode=disable target_session_attrs=prefer-standby")
		b.Standby(true)
	}, func(t *testing.T, w *world) {
		w.order(1, false)
		require.Equal(t, 1, b.Connections(), "the standby, although the primary came first")
		b.Stop()
		w.order(1, false)
		require.Equal(t, 1, w.server.Connections(), "the primary, since there is no standby")
		require.Equal(t, []string{
			"192.0.2.1:5432", "192.0.2.2:5432", "192.0.2.2:5432", "192.0.2.1:5432", "192.0.2.1:5432",
		}, w.calls.addresses())
		w.server.Stop()
		w.order(1, false)
		require.False(t, w.pool.known().Since.IsZero())
		w.server.Start()
		w.pass(time.Second)
		w.order(1, true)
		require.Equal(t, 1, w.server.Connections(), "in an outage any kind will do")
	})
}

func TestAFallbackThatDiesMeanwhileIsAFailure(t *testing.T) {
	inWorld(t, 8, func(w *world) {
		w.cfg.ConnConfig = parsed(w.t, "host=db.test user=app sslmode=disable target_session_attrs=prefer-standby")
		dial, calls := w.server.Dial, 0
		w.cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if calls++; calls == 2 {
				return nil, syscall.ECONNREFUSED
			}
			return dial(ctx, network, address)
		}
	}, func(t *testing.T, w *world) {
		w.order(1, false)
		require.ErrorContains(t, w.pool.known().Cause, "not the kind of server that target_session_attrs prefers; ")
		require.ErrorContains(t, w.pool.known().Cause, "connection refused")
	})
}

func TestNamesAreResolvedAtEachDial(t *testing.T) {
	dns := names{"db.test": {"192.0.2.9"}}
	inWorld(t, 8, func(w *world) {
		w.cfg.Dial = cluster{"192.0.2.1:5432": w.server}.dial
		w.cfg.Lookup = dns.lookup
	}, func(t *testing.T, w *world) {
		w.order(1, false)
		dns["db.test"] = []string{"192.0.2.1"}
		w.pass(time.Second)
		w.order(1, true)
		require.Equal(t, 1, w.pool.count(opened))
		dns["db.test"] = []string{"192.0.2.8", "192.0.2.1"}
		w.order(1, false)
		require.Equal(t, []string{"192.0.2.9:5432", "192.0.2.1:5432", "192.0.2.1:5432"}, w.calls.addresses(),
			"the address that worked goes first")
		delete(dns, "db.test")
		w.order(1, false)
		require.ErrorContains(t, w.pool.known().Cause, "db.test: cannot look the name up: no such host")
		require.Len(t, w.calls.all(), 3)
	})
}

func TestAUnixSocketNeedsNoLookup(t *testing.T) {
	inWorld(t, 8, func(w *world) {
		w.cfg.ConnConfig = parsed(w.t, "host=/run/postgresql user=app")
		w.cfg.Lookup = names{}.lookup
		w.cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if network != "unix" {
				return nil, errors.New("a name was dialled")
			}
			return w.server.Dial(ctx, network, address)
		}
	}, func(t *testing.T, w *world) {
		w.order(1, false)
		require.Equal(t, 1, w.pool.count(opened))
		require.Equal(t, []string{"/run/postgresql/.s.PGSQL.5432"}, w.calls.addresses())
	})
}
