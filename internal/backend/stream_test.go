package backend

import (
	"io"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"
)

// Whoever speaks the protocol past pgx is seen, and leaves pgx with a connection that works.
func TestAStreamIsPartOfTheConnection(t *testing.T) {
	for _, encrypted := range []bool{false, true} {
		c := open(t, realConfig(t, encrypted), Options{})
		s, err := c.Stream()
		require.NoError(t, err)
		ask := func(sql string) {
			out, err := (&pgproto3.Query{String: sql}).Encode(nil)
			require.NoError(t, err)
			_, err = s.Write(out)
			require.NoError(t, err)
			frontend := pgproto3.NewFrontend(s, io.Discard)
			for {
				m, err := frontend.Receive()
				require.NoError(t, err)
				if _, ready := m.(*pgproto3.ReadyForQuery); ready {
					return
				}
			}
		}
		ask("select 1; select 2")
		require.Zero(t, c.Changes())
		require.NoError(t, c.Check(t.Context()))
		ask("set timezone = 'UTC'")
		require.Equal(t, ChangedSettings, c.Changes())
		require.NoError(t, c.Check(t.Context()))

		_, err = c.PGX().Query(t.Context(), "select 1")
		require.NoError(t, err)
		_, err = c.Stream()
		require.Error(t, err, "there are rows to be read")
	}
}

func TestMayChange(t *testing.T) {
	require.True(t, MayChange("set timezone = 'UTC'"))
	require.False(t, MayChange("select 1"))
}
