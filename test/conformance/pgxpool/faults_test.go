package pgxpool_test

import (
	"context"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// unreachable is a switch, and what makes the server of a configuration unreachable while it is on.
func unreachable() (*atomic.Bool, func(*pgx.ConnConfig)) {
	down := new(atomic.Bool)
	return down, func(c *pgx.ConnConfig) {
		dial := c.DialFunc
		c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			if down.Load() {
				return nil, os.NewSyscallError("connect", syscall.ECONNREFUSED)
			}
			return dial(ctx, network, address)
		}
	}
}

// twoHosts leads a configuration to two hosts, first and second, which are both the server. The first refuses while the switch
// is on. served is the host that was reached last.
func twoHosts(served *atomic.Value) (*atomic.Bool, func(*pgx.ConnConfig)) {
	down := new(atomic.Bool)
	return down, func(c *pgx.ConnConfig) {
		dial, network, address := c.DialFunc, "tcp", net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port)))
		c.Host, c.Port = "first", 1
		c.Fallbacks = []*pgconn.FallbackConfig{{Host: "second", Port: 1, TLSConfig: c.TLSConfig}}
		c.LookupFunc = func(_ context.Context, host string) ([]string, error) {
			return map[string][]string{"first": {"192.0.2.1"}, "second": {"192.0.2.2"}}[host], nil
		}
		c.DialFunc = func(ctx context.Context, _, to string) (net.Conn, error) {
			host := map[string]string{"192.0.2.1:1": "first", "192.0.2.2:1": "second"}[to]
			if down.Load() && host == "first" {
				return nil, os.NewSyscallError("connect", syscall.ECONNREFUSED)
			}
			served.Store(host)
			return dial(ctx, network, address)
		}
	}
}

// slowly makes reads from the server slow while the switch is on.
func slowly(on *atomic.Bool, by time.Duration) func(*pgx.ConnConfig) {
	return func(c *pgx.ConnConfig) {
		dial := c.DialFunc
		c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			socket, err := dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &slowSocket{socket, on, by}, nil
		}
	}
}

// firstLate makes the answers of the server to the first connection come late while the switch is on; unlike slowly, it leaves
// deadlines to the socket.
func (s *side) firstLate(on *atomic.Bool, by time.Duration) func(*pgx.ConnConfig) {
	var dials atomic.Int32
	var relay sync.WaitGroup
	s.after = append(s.after, relay.Wait)
	return func(c *pgx.ConnConfig) {
		dial := c.DialFunc
		c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			server, err := dial(ctx, network, address)
			if err != nil || dials.Add(1) > 1 {
				return server, err
			}
			near, far := net.Pipe()
			relay.Go(func() {
				defer server.Close()
				_, _ = io.Copy(server, far)
			})
			relay.Go(func() {
				defer far.Close()
				_, _ = io.Copy(far, &slowSocket{server, on, by})
			})
			return near, nil
		}
	}
}

type slowSocket struct {
	net.Conn
	on *atomic.Bool
	by time.Duration
}

func (s *slowSocket) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if s.on.Load() {
		<-time.After(s.by)
	}
	return n, err
}

// silent is a server that says nothing and hears nothing any more while the switch is on.
type silent struct {
	on       atomic.Bool
	farewell chan string // what a connection has ended with, one after the other
	mu       sync.Mutex
	sockets  []net.Conn
}

func (f *silent) config(c *pgx.ConnConfig) {
	dial := c.DialFunc
	c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if f.on.Load() {
			return nil, os.NewSyscallError("connect", syscall.ECONNREFUSED)
		}
		socket, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.sockets = append(f.sockets, socket)
		return &silentSocket{socket, f}, nil
	}
}

// cut ends what waits for the server.
func (f *silent) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, socket := range f.sockets {
		_ = socket.Close()
	}
}

func (f *silent) tell(what string) {
	select {
	case f.farewell <- what:
	default:
	}
}

type silentSocket struct {
	net.Conn
	server *silent
}

func (s *silentSocket) Write(b []byte) (int, error) {
	if !s.server.on.Load() {
		return s.Conn.Write(b)
	}
	if len(b) > 0 && b[0] == 'X' {
		s.server.tell("Terminate")
	}
	return len(b), nil
}

func (s *silentSocket) Close() error {
	if s.server.on.Load() {
		s.server.tell("closed")
	}
	return s.Conn.Close()
}
