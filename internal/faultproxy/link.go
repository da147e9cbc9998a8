package faultproxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// link is one connection of a client and, mostly, the one to the server that belongs to it.
type link struct {
	proxy  *Proxy
	ctx    context.Context // its end resets both connections
	cancel context.CancelFunc
	client *net.TCPConn
	doomed atomic.Pointer[time.Time] // when a fault reset it; nil: none did
}

// reset ends the link as a fault does.
func (l *link) reset() {
	now := time.Now()
	l.doomed.CompareAndSwap(nil, &now)
	l.cancel()
}

// run forwards until both sides have closed, or something has reset the link.
func (l *link) run() {
	defer l.cancel()
	for {
		now, changed := l.proxy.now()
		if now.hang {
			l.swallow()
			return
		}
		if !now.freeze {
			break
		}
		select {
		case <-changed:
		case <-l.ctx.Done():
			abort(l.client)
			return
		}
	}
	var dialer net.Dialer
	server, err := dialer.DialContext(l.ctx, "tcp", l.proxy.target)
	if err != nil {
		abort(l.client)
		return
	}
	l.forward(server.(*net.TCPConn))
}

// swallow takes what the client says until it goes.
func (l *link) swallow() {
	defer l.guard(l.client)()
	_, _ = io.Copy(io.Discard, l.client) // however it ends, it ends
	_ = l.client.Close()
}

func (l *link) forward(server *net.TCPConn) {
	defer l.guard(l.client, server)()
	var pumps sync.WaitGroup
	pumps.Go(func() { l.pump(ToServer, l.client, server) })
	pumps.Go(func() { l.pump(ToClient, server, l.client) })
	pumps.Wait()
	if l.ctx.Err() == nil {
		_ = l.client.Close()
		_ = server.Close()
	}
}

// guard resets the connections when the link's context ends. The function that it returns ends the link and waits for
// that.
func (l *link) guard(conns ...*net.TCPConn) (join func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		<-l.ctx.Done()
		for _, conn := range conns {
			abort(conn)
		}
		if at := l.doomed.Load(); at != nil {
			l.proxy.noteReset(Reset{Client: l.client.RemoteAddr().String(), At: *at, By: time.Now()})
		}
	}()
	return func() {
		l.cancel()
		<-done
	}
}

// abort closes a connection by a reset instead of an orderly end. One that is closed already does not mind.
func abort(conn *net.TCPConn) {
	_ = conn.SetLinger(0)
	_ = conn.Close()
}

// pump moves bytes one way. Reading goes on while the delivery waits, so that a delay is not a limit.
func (l *link) pump(d Direction, from, to *net.TCPConn) {
	chunks := make(chan chunk, 1024)
	var reader sync.WaitGroup
	defer reader.Wait()
	reader.Go(func() {
		defer close(chunks)
		l.read(from, chunks)
	})
	out := outlet{link: l, direction: d, to: to}
	for c := range chunks {
		if !out.deliver(c) {
			l.cancel()
			return
		}
	}
}

// chunk is what one read brought; no bytes mean that the sender has finished.
type chunk struct {
	bytes []byte
	due   time.Time
}

func (l *link) read(from *net.TCPConn, chunks chan<- chunk) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil && !errors.Is(err, io.EOF) {
			l.cancel() // reset by its sender, or by us: the other side shall see it, too
			return
		}
		now, _ := l.proxy.now()
		select {
		case chunks <- chunk{bytes: bytes.Clone(buffer[:n]), due: time.Now().Add(now.latency)}:
		case <-l.ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// outlet is the end of a pump.
type outlet struct {
	link      *link
	direction Direction
	to        *net.TCPConn

	next   time.Time // when the rate allows the next bytes
	serial int       // of the cut that left counts for
	left   int
}

// deliver writes a chunk as the faults allow it; false means that the link is to be reset, or was.
func (o *outlet) deliver(c chunk) bool {
	if !o.wait(time.Until(c.due), nil) {
		return false
	}
	for {
		now, changed := o.link.proxy.now()
		if now.freeze {
			if !o.wait(forever, changed) {
				return false
			}
			continue
		}
		if len(c.bytes) == 0 {
			return o.to.CloseWrite() == nil
		}
		if pause := time.Until(o.next); now.rate > 0 && pause > 0 {
			if !o.wait(pause, changed) {
				return false
			}
			continue
		}
		n, err := o.to.Write(c.bytes[:o.allowed(now, len(c.bytes))])
		o.spend(now, n)
		if o.exhausted(now) {
			o.link.reset()
			return false
		}
		if err != nil {
			return false
		}
		if c.bytes = c.bytes[n:]; len(c.bytes) == 0 {
			return true
		}
	}
}

// slices is how many pieces a second a limited rate is cut into, if it has that many bytes.
const slices = 20

// allowed is how many of n bytes may be written now.
func (o *outlet) allowed(now faults, n int) int {
	if now.rate > 0 {
		n = min(n, max(1, now.rate/slices))
	}
	if c := now.cuts[o.direction]; c.ordered {
		if o.serial != c.serial {
			o.serial, o.left = c.serial, c.bytes
		}
		n = min(n, o.left)
	}
	return n
}

func (o *outlet) spend(now faults, n int) {
	o.left -= n
	if now.rate > 0 {
		o.next = time.Now().Add(time.Duration(n) * time.Second / time.Duration(now.rate))
	}
}

func (o *outlet) exhausted(now faults) bool {
	return now.cuts[o.direction].ordered && o.left <= 0
}

const forever = time.Duration(1<<63 - 1)

// wait waits for d, or until changed is closed; false means that the link has ended.
func (o *outlet) wait(d time.Duration, changed <-chan struct{}) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-changed:
		return true
	case <-o.link.ctx.Done():
		return false
	}
}
