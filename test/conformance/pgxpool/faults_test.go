package pgxpool_test

import (
	"context"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
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
