// Package faultproxy is a TCP proxy for tests that does to connections what networks do: it refuses, hangs, loses,
// delays, trickles, cuts and resets, switched while it runs.
package faultproxy

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/seed-4ff2b7b9/supervised/internal/ports"
)

// Direction is one of the two ways through a connection.
type Direction int

const (
	ToServer Direction = iota
	ToClient
)

// Counts are what the proxy has seen.
type Counts struct {
	Accepted int // connections from clients, all together
	Open     int // of these, open now
	Peak     int // the most that were open at once
}

// Reset is one connection that the proxy has reset, by [Proxy.ResetAll] or [Proxy.CutAfter].
type Reset struct {
	Client string    // the client's end, "127.0.0.1:40312"
	At, By time.Time // when that was decided, and when it was done: from then on the client can see it
}

// Proxy forwards what comes in on a port of 127.0.0.1 to its target. It is safe for concurrent use; whoever made it
// closes it. Faults add up until [Proxy.Heal].
type Proxy struct {
	target  string
	address string

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	work   sync.WaitGroup

	turn sync.Mutex // held while the listener comes or goes

	mu       sync.Mutex
	faults   faults
	changed  chan struct{} // closed and replaced when faults change
	listener net.Listener  // nil while connections are refused
	links    map[*link]struct{}
	counts   Counts
	resets   []Reset
}

// faults is what is wrong now; the zero value is a network that works.
type faults struct {
	hang    bool          // new connections are accepted and not forwarded
	freeze  bool          // nothing moves
	latency time.Duration // each way
	rate    int           // bytes a second, for each connection and direction; 0 is no limit
	cuts    [2]cut        // by Direction
}

// cut is an order to reset each connection after so many bytes. The serial number tells it from earlier ones.
type cut struct {
	ordered bool
	serial  int
	bytes   int
}

// New starts a proxy in front of target, a host:port.
func New(target string) (*Proxy, error) {
	listener, err := ports.Listen()
	if err != nil {
		return nil, err
	}
	p := &Proxy{
		target: target, address: listener.Addr().String(),
		changed: make(chan struct{}), links: make(map[*link]struct{}),
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.serve(listener)
	return p, nil
}

// Address is the host:port that clients dial. It stays the same while connections are refused.
func (p *Proxy) Address() string { return p.address }

// Port is the port of Address.
func (p *Proxy) Port() int {
	address, err := net.ResolveTCPAddr("tcp", p.address)
	if err != nil {
		return 0 // Address came from a listener
	}
	return address.Port
}

// Counts tells how many connections there are and were. The ones that were refused are not seen.
func (p *Proxy) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts
}

// Resets lists the connections that the proxy has reset. What ends by its client, its server or [Proxy.Close] is not
// among them.
func (p *Proxy) Resets() []Reset {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Reset(nil), p.resets...)
}

// ForgetResets empties the list of Resets, which grows else as long as the proxy lives.
func (p *Proxy) ForgetResets() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resets = nil
}

// Refuse closes the port: who dials is refused. Connections that are open stay.
func (p *Proxy) Refuse() {
	p.turn.Lock()
	defer p.turn.Unlock()
	p.mu.Lock()
	listener := p.listener
	p.listener = nil
	p.mu.Unlock()
	if listener != nil {
		_ = listener.Close() // fails only if it is closed
	}
}

// Hang accepts new connections and never answers them, not even after Heal. Connections that are open stay as they are.
func (p *Proxy) Hang() { p.change(func(f *faults) { f.hang = true }) }

// Freeze makes a black hole: everything stays open and nothing moves, on new connections neither. After Heal what was
// held back arrives.
func (p *Proxy) Freeze() { p.change(func(f *faults) { f.freeze = true }) }

// Latency delays what is read from now on by d in each direction, without limiting how much is under way.
func (p *Proxy) Latency(d time.Duration) { p.change(func(f *faults) { f.latency = d }) }

// Rate lets that many bytes through a second, on each connection and in each direction: 1 is a connection that lives
// and is of no use. 0 is no limit.
func (p *Proxy) Rate(bytes int) { p.change(func(f *faults) { f.rate = bytes }) }

// CutAfter resets each connection, present or future, once that many more bytes went in the direction. At 0 it is
// reset when the next byte comes.
func (p *Proxy) CutAfter(d Direction, bytes int) {
	p.change(func(f *faults) { f.cuts[d] = cut{ordered: true, serial: f.cuts[d].serial + 1, bytes: bytes} })
}

// ResetAll resets every connection, towards the client and towards the server.
func (p *Proxy) ResetAll() {
	p.mu.Lock()
	links := make([]*link, 0, len(p.links))
	for l := range p.links {
		links = append(links, l)
	}
	p.mu.Unlock()
	for _, l := range links {
		l.reset()
	}
}

// Heal ends all faults. An error says that somebody else has taken the port in the meantime.
func (p *Proxy) Heal() error {
	p.change(func(f *faults) {
		cuts := f.cuts // the serial numbers go on
		cuts[ToServer].ordered, cuts[ToClient].ordered = false, false
		*f = faults{cuts: cuts}
	})
	p.turn.Lock()
	defer p.turn.Unlock()
	p.mu.Lock()
	listening := p.listener != nil || p.ctx.Err() != nil
	p.mu.Unlock()
	if listening {
		return nil
	}
	listener, err := net.Listen("tcp4", p.address)
	if err != nil {
		return err
	}
	p.serve(listener)
	return nil
}

// Close resets every connection, closes the port and returns when nothing runs any more.
func (p *Proxy) Close() error {
	p.cancel()
	p.Refuse()
	p.work.Wait()
	return nil
}

func (p *Proxy) noteReset(r Reset) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resets = append(p.resets, r)
}

func (p *Proxy) change(f func(*faults)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.faults)
	close(p.changed)
	p.changed = make(chan struct{})
}

// now returns the present faults, and what is closed when they change.
func (p *Proxy) now() (faults, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.faults, p.changed
}

func (p *Proxy) serve(listener net.Listener) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listener = listener
	p.work.Go(func() { p.accept(listener) })
}

func (p *Proxy) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // the client is gone already
		}
		l := p.open(client.(*net.TCPConn))
		p.work.Go(func() {
			defer p.forget(l)
			l.run()
		})
	}
}

func (p *Proxy) open(client *net.TCPConn) *link {
	l := &link{proxy: p, client: client}
	l.ctx, l.cancel = context.WithCancel(p.ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.links[l] = struct{}{}
	p.counts.Accepted++
	p.counts.Open++
	p.counts.Peak = max(p.counts.Peak, p.counts.Open)
	return l
}

func (p *Proxy) forget(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
	p.counts.Open--
}
