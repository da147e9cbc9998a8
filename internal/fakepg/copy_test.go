package fakepg_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

func TestCopyFromTheClient(t *testing.T) {
	everywhere(t, func(t *testing.T, server *fakepg.Server) {
		conn := connect(t, server).PgConn()
		tag, err := conn.CopyFrom(t.Context(), strings.NewReader("1\tAda\n2\tGrace\n"), "copy users from stdin")
		require.NoError(t, err)
		require.Equal(t, "COPY 2", tag.String())

		const signature = "PGCOPY\n\xff\r\n\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00"
		const row = "\x00\x02" + "\x00\x00\x00\x01a" + "\xff\xff\xff\xff"
		for text, want := range map[string]string{
			signature: "COPY 0", signature + row + row: "COPY 2", signature + row + "\xff\xff": "COPY 1",
		} {
			tag, err = conn.CopyFrom(t.Context(), strings.NewReader(text), "copy users from stdin binary")
			require.NoError(t, err)
			require.Equal(t, want, tag.String())
		}
		for _, text := range []string{"", "PGCOPY", signature + row[:3], signature + row[:6], signature + row[:9]} {
			_, err = conn.CopyFrom(t.Context(), strings.NewReader(text), "copy users from stdin binary")
			requireCode(t, "22P04", err)
		}
		_, err = conn.CopyFrom(t.Context(), strings.NewReader(""), "copy users from program 'yes'")
		requireCode(t, "0A000", err)
		_, err = conn.Exec(t.Context(), "select 1").ReadAll()
		require.NoError(t, err)
	})
}
