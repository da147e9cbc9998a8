package stdlib

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// trials are all of them.
func trials() []trial {
	var all []trial
	for _, some := range [][]trial{values, queries, statements, transactions, connections, contexts, differences} {
		all = append(all, some...)
	}
	return all
}

func TestBothDoTheSame(t *testing.T) {
	for _, c := range trials() {
		t.Run(c.name, func(t *testing.T) {
			for _, mode := range modes {
				if mode != modes[0] && !c.everyMode {
					break
				}
				t.Run(mode.String(), func(t *testing.T) {
					var pgx, ours []string
					t.Run("pgx", func(t *testing.T) { pgx = c.on(t, mode, openPGX) })
					t.Run("ours", func(t *testing.T) { ours = c.on(t, mode, openOurs) })
					if t.Failed() || t.Skipped() {
						return
					}
					t.Logf("seen: %q", ours)
					require.NotEmpty(t, pgx, "a trial that sees nothing shows nothing")
					if c.differs == nil {
						require.Equal(t, pgx, ours)
						return
					}
					require.Equal(t, c.differs.pgx, pgx, "what pgx's side is to see")
					require.Equal(t, c.differs.ours, ours, "what our side is to see")
					require.NotEqual(t, pgx, ours)
				})
			}
		})
	}
}
