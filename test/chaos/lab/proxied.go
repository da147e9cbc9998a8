package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"syscall"
	"time"

	"github.com/seed-4ff2b7b9/supervised/internal/faultproxy"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
)

// proxied is a server behind a network that can fail.
type proxied struct {
	server *postgres.Server
	proxy  *faultproxy.Proxy
	also   []*faultproxy.Proxy // more ways to the same server
}

// proxied starts a server of the experiment's own, and the proxy. Whoever asks closes both.
func (l *Lab) proxied(ctx context.Context) (*proxied, error) {
	server, err := l.server(ctx, postgres.Options{})
	if err != nil {
		return nil, err
	}
	proxy, err := faultproxy.New(server.Address())
	if err != nil {
		return nil, errors.Join(err, server.Close())
	}
	return &proxied{server: server, proxy: proxy}, nil
}

func (p *proxied) close() {
	for _, proxy := range append(p.also, p.proxy) {
		_ = proxy.Close() // never fails
	}
	_ = p.server.Close()
}

// setup leads the callers through the proxy, and the audit past it.
func (p *proxied) setup() Setup {
	return Setup{DSN: leadTo(p.server.DSN(), p.proxy.Address()), Audit: p.server.DSN(), Log: p.server.Log, Resets: p.proxy.Resets}
}

// leadTo puts another host and port into a connection string.
func leadTo(dsn, address string) string {
	u := parsed(dsn)
	u.Host = address
	return u.String()
}

// parsed takes a server's connection string apart.
func parsed(dsn string) *url.URL {
	u, err := url.Parse(dsn)
	if err != nil {
		panic(err) // it came from the server, or from this package
	}
	return u
}

// through makes an experiment with a server behind a proxy out of what is done to it. tune may change the setup.
func through(tune func(*Setup), do func(context.Context, *Experiment, *proxied) error) func(context.Context, *Lab, Kind) (Result, error) {
	return func(ctx context.Context, l *Lab, k Kind) (Result, error) {
		p, err := l.proxied(ctx)
		if err != nil {
			return Result{}, err
		}
		defer p.close()
		s := p.setup()
		if tune != nil {
			tune(&s)
		}
		x, err := Begin(ctx, k, s)
		if err != nil {
			return Result{}, err
		}
		err = do(ctx, x, p)
		return x.Finish(ctx), err
	}
}

// deaf is a port on which no SYN is answered: its backlog is full.
type deaf struct {
	listener net.Listener
	filling  []net.Conn
}

// deafPatience is after how long a dial counts as not answered.
const deafPatience = 200 * time.Millisecond

// beDeaf takes a port that nobody listens on.
func beDeaf(address string) (*deaf, error) {
	listener, err := net.Listen("tcp4", address)
	if err != nil {
		return nil, err
	}
	d := &deaf{listener: listener}
	if err := d.fill(address); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// fill makes the backlog as short as it can be, and fills it.
func (d *deaf) fill(address string) error {
	raw, err := d.listener.(*net.TCPListener).SyscallConn()
	if err != nil {
		return err
	}
	var refused error
	if err := raw.Control(func(fd uintptr) { refused = syscall.Listen(int(fd), 0) }); err != nil || refused != nil {
		return errors.Join(err, refused)
	}
	const enough = 16
	for range enough {
		conn, err := net.DialTimeout("tcp4", address, deafPatience)
		var network net.Error
		if errors.As(err, &network) && network.Timeout() {
			return nil
		}
		if err != nil {
			return err
		}
		d.filling = append(d.filling, conn)
	}
	return fmt.Errorf("lab: %d dials to a port that nobody serves were answered", enough)
}

// close gives the port back.
func (d *deaf) close() error {
	failed := d.listener.Close()
	for _, conn := range d.filling {
		failed = errors.Join(failed, conn.Close())
	}
	return failed
}
