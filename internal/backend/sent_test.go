package backend

import (
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// partial is a socket that takes only so many bytes.
type partial int

func (n partial) Write([]byte) (int, error) { return int(n), syscall.EPIPE }

func TestOneByteOfAStatementCounts(t *testing.T) {
	for _, c := range []struct {
		message string
		takes   int
		want    bool
	}{
		{"Q\x00\x00\x00\x06;\x00", 0, false},
		{"Q\x00\x00\x00\x06;\x00", 1, true},
		{"P\x00\x00\x00\x08\x00\x00\x00\x00", 3, true},
		{"X\x00\x00\x00\x04", 5, false},
	} {
		l := &link{}
		_, err := (&tap{link: l, w: partial(c.takes)}).Write([]byte(c.message))
		require.Error(t, err)
		require.Equal(t, c.want, (&Conn{link: l}).Sent(), "%q, %d bytes", c.message, c.takes)
	}
}

func TestSentAndClosed(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		c := open(t, realConfig(t, encrypted), Options{})
		ctx := t.Context()
		c.ClearSent()
		_, err := c.PGX().Exec(ctx, "select $1::int", pgx.QueryExecModeExec, make(chan int))
		require.Error(t, err, "cannot be encoded")
		require.False(t, c.Sent())
		require.False(t, c.Closed())
		require.NoError(t, c.Check(ctx))
		require.True(t, c.Sent())

		c.ClearSent()
		c.Sever()
		_, err = c.PGX().Exec(ctx, "select 1")
		require.Error(t, err)
		require.False(t, c.Sent(), "encrypted: %v", encrypted)
		require.True(t, c.Closed())
		_, err = c.PGX().Exec(ctx, "select 1")
		require.Error(t, err, "conn closed")
		require.False(t, c.Sent())
		c.MarkSent()
		require.True(t, c.Sent())
	}
}
