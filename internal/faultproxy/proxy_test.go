package faultproxy_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/seed-4ff2b7b9/supervised/internal/faultproxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is for what must happen; moment is for what must not.
const (
	patience = 10 * time.Second
	moment   = 50 * time.Millisecond
)

// echo is a server that sends back what it gets.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	var work sync.WaitGroup
	work.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn) // ends with its client
			})
		}
	})
	t.Cleanup(func() {
		require.NoError(t, l.Close())
		work.Wait()
	})
	return l.Addr().String()
}

func proxy(t *testing.T) *faultproxy.Proxy {
	t.Helper()
	p, err := faultproxy.New(echo(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

func dial(t *testing.T, p *faultproxy.Proxy) *net.TCPConn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", p.Address(), patience)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn.(*net.TCPConn)
}

func send(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(conn, text)
	require.NoError(t, err)
}

func hear(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	got := make([]byte, len(text))
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	_, err := io.ReadFull(conn, got)
	require.NoError(t, err)
	require.Equal(t, text, string(got))
}

func silent(t *testing.T, conn net.Conn) {
	t.Helper()
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(moment)))
	_, err := conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

// reset requires that the connection ends by a reset after it brought text.
func reset(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	hear(t, conn, text)
	_, err := conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, syscall.ECONNRESET)
}

func TestForwards(t *testing.T) {
	p := proxy(t)
	conn := dial(t, p)
	send(t, conn, "hello")
	hear(t, conn, "hello")

	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	var writer sync.WaitGroup
	writer.Go(func() {
		_, _ = conn.Write(big) // what does not arrive is missed below
		_ = conn.CloseWrite()
	})
	got, err := io.ReadAll(conn)
	writer.Wait()
	require.NoError(t, err, "the end comes through as an end")
	require.True(t, bytes.Equal(big, got))
}

func TestCounts(t *testing.T) {
	p := proxy(t)
	for range 3 {
		conn := dial(t, p)
		send(t, conn, "x")
		hear(t, conn, "x")
	}
	require.Equal(t, faultproxy.Counts{Accepted: 3, Open: 3, Peak: 3}, p.Counts())
	p.ResetAll()
	require.Eventually(t, func() bool { return p.Counts().Open == 0 }, patience, time.Millisecond)
	conn := dial(t, p)
	send(t, conn, "x")
	hear(t, conn, "x")
	require.Equal(t, faultproxy.Counts{Accepted: 4, Open: 1, Peak: 3}, p.Counts())
	require.NoError(t, conn.Close())
	require.Eventually(t, func() bool { return p.Counts().Open == 0 }, patience, time.Millisecond)
}

func TestRefuse(t *testing.T) {
	p := proxy(t)
	old := dial(t, p)
	send(t, old, "a")
	hear(t, old, "a")
	p.Refuse()
	p.Refuse()
	_, err := net.DialTimeout("tcp", p.Address(), patience)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
	send(t, old, "still here")
	hear(t, old, "still here")
	require.NoError(t, p.Heal())
	require.NoError(t, p.Heal())
	conn := dial(t, p)
	send(t, conn, "b")
	hear(t, conn, "b")
}

func TestHang(t *testing.T) {
	p := proxy(t)
	old := dial(t, p)
	send(t, old, "a")
	hear(t, old, "a")
	p.Hang()
	hung := dial(t, p)
	send(t, hung, "anybody?")
	silent(t, hung)
	send(t, old, "b")
	hear(t, old, "b")
	require.NoError(t, p.Heal())
	silent(t, hung)
	conn := dial(t, p)
	send(t, conn, "c")
	hear(t, conn, "c")
	require.NoError(t, hung.Close())
	require.Eventually(t, func() bool { return p.Counts().Open == 2 }, patience, time.Millisecond)
}

func TestFreeze(t *testing.T) {
	p := proxy(t)
	old := dial(t, p)
	send(t, old, "a")
	hear(t, old, "a")
	p.Freeze()
	fresh := dial(t, p)
	send(t, old, "late")
	send(t, fresh, "late, too")
	require.NoError(t, fresh.CloseWrite())
	silent(t, old)
	silent(t, fresh)
	require.NoError(t, p.Heal())
	hear(t, old, "late")
	hear(t, fresh, "late, too")
	_, err := fresh.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}

func TestLatencyDelaysEachWayAndLimitsNothing(t *testing.T) {
	const delay = 20 * time.Millisecond
	p := proxy(t)
	p.Latency(delay)
	conn := dial(t, p)
	begin := time.Now()
	send(t, conn, "x")
	hear(t, conn, "x")
	require.GreaterOrEqual(t, time.Since(begin), 2*delay)

	begin = time.Now()
	var writer sync.WaitGroup
	const pieces = 200
	writer.Go(func() {
		for range pieces {
			_, _ = io.WriteString(conn, "y") // what does not arrive is missed below
		}
	})
	_, err := io.ReadFull(conn, make([]byte, pieces))
	writer.Wait()
	require.NoError(t, err)
	require.Less(t, time.Since(begin), pieces*delay/2)
}

func TestRate(t *testing.T) {
	p := proxy(t)
	p.Rate(40)
	conn := dial(t, p)
	begin := time.Now()
	send(t, conn, "0123456789")
	hear(t, conn, "0123456789")
	require.GreaterOrEqual(t, time.Since(begin), 190*time.Millisecond, "two bytes each 50 ms, the first at once")

	p.Rate(1)
	send(t, conn, "abc")
	hear(t, conn, "a")
	silent(t, conn)
	require.NoError(t, p.Heal())
	hear(t, conn, "bc")
}

func TestCutAfter(t *testing.T) {
	p := proxy(t)
	open := dial(t, p)
	send(t, open, "before")
	hear(t, open, "before")
	p.CutAfter(faultproxy.ToClient, 4)
	send(t, open, "0123456789")
	reset(t, open, "0123")
	fresh := dial(t, p)
	send(t, fresh, "0123456789")
	reset(t, fresh, "0123")
	requireReset(t, p, open, fresh)

	require.NoError(t, p.Heal())
	conn := dial(t, p)
	send(t, conn, "whole again")
	hear(t, conn, "whole again")
	p.CutAfter(faultproxy.ToServer, 0)
	send(t, conn, "x")
	reset(t, conn, "")
}

// requireReset holds that the proxy tells of the reset of exactly these connections.
func requireReset(t *testing.T, p *faultproxy.Proxy, conns ...net.Conn) {
	t.Helper()
	var want []string
	for _, conn := range conns {
		want = append(want, conn.LocalAddr().String())
	}
	require.Eventually(t, func() bool { return len(p.Resets()) >= len(want) }, patience, time.Millisecond)
	var got []string
	for _, r := range p.Resets() {
		got = append(got, r.Client)
		require.False(t, r.By.Before(r.At))
	}
	require.ElementsMatch(t, want, got)
}

func TestResetsAreThoseOfFaultsAlone(t *testing.T) {
	p := proxy(t)
	gone, cut := dial(t, p), dial(t, p)
	for _, conn := range []net.Conn{gone, cut} {
		send(t, conn, "x")
		hear(t, conn, "x")
	}
	require.NoError(t, gone.Close())
	require.Eventually(t, func() bool { return p.Counts().Open == 1 }, patience, time.Millisecond)
	p.ResetAll()
	reset(t, cut, "")
	requireReset(t, p, cut)
	last := dial(t, p)
	send(t, last, "x")
	hear(t, last, "x")
	require.NoError(t, p.Close())
	requireReset(t, p, cut)
	p.ForgetResets()
	require.Empty(t, p.Resets())
}

func TestResetAll(t *testing.T) {
	p := proxy(t)
	conns := []*net.TCPConn{dial(t, p), dial(t, p)}
	for _, conn := range conns {
		send(t, conn, "x")
		hear(t, conn, "x")
	}
	p.Freeze()
	conns = append(conns, dial(t, p))
	require.Eventually(t, func() bool { return p.Counts().Open == 3 }, patience, time.Millisecond)
	p.Hang()
	conns = append(conns, dial(t, p))
	require.Eventually(t, func() bool { return p.Counts().Open == 4 }, patience, time.Millisecond)
	p.ResetAll()
	for _, conn := range conns {
		reset(t, conn, "")
	}
	require.NoError(t, p.Heal())
}

func TestTargetThatIsDown(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	p, err := faultproxy.New(l.Addr().String())
	require.NoError(t, err)
	defer func() { require.NoError(t, p.Close()) }()
	conn, err := net.DialTimeout("tcp", p.Address(), patience)
	if err == nil { // else the reset came before the dial returned
		defer conn.Close()
		_, err = conn.Read(make([]byte, 1))
	}
	require.ErrorIs(t, err, syscall.ECONNRESET)
}

func TestClose(t *testing.T) {
	p := proxy(t)
	conn := dial(t, p)
	send(t, conn, "x")
	hear(t, conn, "x")
	p.Freeze()
	send(t, conn, "y")
	require.NoError(t, p.Close())
	require.NoError(t, p.Close())
	reset(t, conn, "")
	require.NoError(t, p.Heal(), "a closed proxy stays closed")
	_, err := net.DialTimeout("tcp", p.Address(), patience)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
}
