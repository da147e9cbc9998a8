package lab

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// meter counts, from outside a pool, what it does with sockets: every dial, and how many sockets and dials there are.
type meter struct {
	dialer dialer // how sockets are made; nil: as net.Dialer makes them

	now, peak atomic.Int64
	ended     atomic.Int64 // sockets that were closed

	mu    sync.Mutex
	dials []time.Time
	open  map[*meteredTCP]struct{}
}

// dialer makes a socket.
type dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// dial is a DialFunc. A dial under way counts like the socket it may become.
func (m *meter) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	m.mu.Lock()
	m.dials = append(m.dials, time.Now())
	m.mu.Unlock()
	n := m.now.Add(1)
	for p := m.peak.Load(); n > p && !m.peak.CompareAndSwap(p, n); p = m.peak.Load() {
	}
	connect := m.dialer
	if connect == nil {
		connect = (&net.Dialer{}).DialContext
	}
	conn, err := connect(ctx, network, addr)
	if err != nil {
		m.now.Add(-1)
		return nil, err
	}
	done := sync.OnceFunc(func() {
		m.now.Add(-1)
		m.ended.Add(1)
	})
	if tcp, ok := conn.(*net.TCPConn); ok {
		return m.keep(&meteredTCP{TCPConn: tcp}, done), nil
	}
	return &metered{Conn: conn, closed: done}, nil
}

// keep knows a socket as long as it is open.
func (m *meter) keep(c *meteredTCP, done func()) *meteredTCP {
	c.closed = func() {
		done()
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.open, c)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.open == nil {
		m.open = make(map[*meteredTCP]struct{})
	}
	m.open[c] = struct{}{}
	return c
}

// heard is when the server was last heard on each socket that is open, by the client's end.
func (m *meter) heard() map[string]time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	last := make(map[string]time.Time, len(m.open))
	for c := range m.open {
		last[c.LocalAddr().String()] = time.Unix(0, c.heard.Load())
	}
	return last
}

// cancelDial is for cancel requests, which are no dial attempts.
func (m *meter) cancelDial(ctx context.Context, network, addr string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, network, addr)
}

// count is how many dials there were in all, and how many in the busiest five seconds of any of these outages.
func (m *meter) count(outages []outage) (all, busiest int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range outages {
		first := 0
		for last, at := range m.dials {
			if at.Before(o.from) || at.After(o.to) {
				continue
			}
			for m.dials[first].Before(o.from) || at.Sub(m.dials[first]) >= 5*time.Second {
				first++
			}
			busiest = max(busiest, last-first+1)
		}
	}
	return len(m.dials), busiest
}

// forget begins to count anew: the dials, and the peak, which the next dial sets.
func (m *meter) forget() {
	m.mu.Lock()
	m.dials = nil
	m.mu.Unlock()
	m.peak.Store(0)
}

// meteredTCP is a TCP connection whose end is noticed; whoever wants to look at its socket can.
type meteredTCP struct {
	*net.TCPConn
	closed func()
	heard  atomic.Int64 // when something came last, in Unix nanoseconds
}

func (c *meteredTCP) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	if n > 0 {
		c.heard.Store(time.Now().UnixNano())
	}
	return n, err
}

func (c *meteredTCP) Close() error {
	err := c.TCPConn.Close()
	c.closed()
	return err
}

type metered struct {
	net.Conn
	closed func()
}

func (c *metered) Close() error {
	err := c.Conn.Close()
	c.closed()
	return err
}
