package server

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// A lease that is held for too long is taken away, and the server lets go of what it held: a statement that runs, and the
// locks of a transaction that was left open. The server is not asked to look after its clients by itself.
func TestAnOldLeaseIsTakenAway(t *testing.T) {
	for name, use := range map[string]string{"in a statement": "select pg_sleep(600)", "idle in a transaction": ""} {
		t.Run(name, func(t *testing.T) {
			log := &paper{}
			p := open(t, func(c *poolactor.Config) {
				c.MaxSize, c.RecordStacks, c.Logger = 1, true, log.logger()
				c.LeaseWarnAfter, c.LeaseMaxAge = time.Second, 3*time.Second
				c.ClientCheckInterval = -1
			})
			stubborn, err := p.Acquire(poolactor.WithLabel(within(t, patience), "stubborn"))
			require.NoError(t, err)
			pid := pidOf(t, stubborn)
			_, err = stubborn.Exec(within(t, patience), "begin; select pg_advisory_xact_lock(4711)")
			require.NoError(t, err)
			running := make(chan error, 1)
			go func() {
				if use != "" {
					_, err := stubborn.Exec(within(t, patience), use)
					running <- err
				}
			}()
			beside := connect(t, pgtest.Server(t).DSN())
			require.NotEqual(t, pid, ask[int](t, p, "select pg_backend_pid()"), "its place serves the next caller")
			if use != "" {
				require.ErrorIs(t, <-running, poolactor.ErrRevoked)
			}
			require.Eventually(t, func() bool {
				return ask[int](t, beside, "select count(*) from pg_stat_activity where pid = $1", pid) == 0
			}, patience, time.Millisecond)
			_, err = beside.Exec(within(t, patience), "select pg_advisory_lock(4711), pg_advisory_unlock(4711)")
			require.NoError(t, err)
			_, err = stubborn.Exec(within(t, patience), "commit")
			require.ErrorIs(t, err, poolactor.ErrRevoked)
			stubborn.Release()
			require.EqualValues(t, 1, p.Stat().Revoked)
			for _, line := range [][]string{
				{`"level":"warn"`, `"event":"overdue"`, `"label":"stubborn"`, `"held":`, "server.TestAnOldLease"},
				{`"level":"error"`, `"event":"revoked"`, `"label":"stubborn"`, `"held":`, "server.TestAnOldLease"},
			} {
				require.Eventually(t, func() bool {
					for written := range strings.Lines(log.String()) {
						if contains(written, line...) {
							return true
						}
					}
					return false
				}, patience, time.Millisecond, "%v: %s", line, log)
			}
		})
	}
}
