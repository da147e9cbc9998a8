package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/ports"
)

func TestNobodyIsAnsweredOnADeafPort(t *testing.T) {
	l, err := ports.Listen()
	require.NoError(t, err)
	address := l.Addr().String()
	require.NoError(t, l.Close())

	d, err := beDeaf(address)
	require.NoError(t, err)
	_, err = net.DialTimeout("tcp", address, deafPatience)
	var network net.Error
	require.ErrorAs(t, err, &network)
	require.True(t, network.Timeout())
	require.NoError(t, d.close())

	l, err = net.Listen("tcp4", address)
	require.NoError(t, err, "the port is free again")
	require.NoError(t, l.Close())
}

// counted is a pool whose calls take no time.
type counted struct{ calls atomic.Int64 }

var errNone = errors.New("no connection")

func (c *counted) Do(context.Context, func(context.Context, Session, *pgconn.PgConn) error) error {
	c.calls.Add(1)
	return errNone
}

func (c *counted) Exec(context.Context, string, ...any) error {
	c.calls.Add(1)
	return errNone
}

func (c *counted) Scan(context.Context, any, string, ...any) error {
	c.calls.Add(1)
	return errNone
}

func (c *counted) Insert(context.Context, int64) (bool, error) {
	c.calls.Add(1)
	return false, errNone
}

func (c *counted) Leased() int { return 0 }

func (c *counted) Close() error { return nil }

func TestNobodyCallsDuringAPause(t *testing.T) {
	pool := &counted{}
	w := startCalling(pool, 4, habits{patience: time.Second})
	defer w.end()
	called := func() bool { return pool.calls.Load() > 100 }
	require.True(t, until(t.Context(), eventually, called))
	w.pause()
	before := pool.calls.Load()
	<-time.After(20 * time.Millisecond)
	require.Equal(t, before, pool.calls.Load())
	require.Len(t, w.made(), int(before))
	w.resume()
	called = func() bool { return pool.calls.Load() > before }
	require.True(t, until(t.Context(), eventually, called))
	w.pause() // the end lifts it
}

func TestNames(t *testing.T) {
	n := &names{}
	n.leadTo("127.0.0.1:5432")
	found, err := n.lookup(t.Context(), nameOfServer)
	require.NoError(t, err)
	require.Equal(t, []string{"127.0.0.1:5432"}, found)
	n.asked = nil
	for _, ms := range []int{0, 1000, 2000, 5500, 6500} {
		n.asked = append(n.asked, at(ms))
	}
	busiest, peak := n.busiest(at(500))
	require.Equal(t, 3, busiest, "of 1000 to 5500, or of 2000 to 6500")
	require.Equal(t, 1, peak)
}

func TestAPanicMayFailItsOwnCallOnly(t *testing.T) {
	for name, c := range map[string]struct {
		of   int64 // the call in which it panics; 0: in none
		ends []int64
		kept bool
	}{
		"its own":               {1, []int64{1}, true},
		"none":                  {1, nil, true},
		"another":               {1, []int64{2}, false},
		"its own, and one more": {1, []int64{1, 2}, false},
		"its own twice":         {1, []int64{1, 1}, false},
		"one, though in none":   {0, []int64{1}, false},
		"none, as in none":      {0, nil, true},
	} {
		m, x := newMine(1), &Experiment{}
		var err error
		func() {
			defer func() { err, _ = recover().(error) }()
			m.stepFor("here", c.of)
		}()
		for _, key := range c.ends {
			m.hit(key, fmt.Errorf("the pool: %w", err))
		}
		m.compare(x)
		require.Equal(t, c.kept, len(x.result.Broken) == 0, name)
		require.Equal(t, []string{"there"}, m.spared([]string{"here", "there"}), name)
	}
}
