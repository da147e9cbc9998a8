package retry

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/messages"
)

func TestRefusalsAndTheWayBack(t *testing.T) {
	for code, reason := range map[string]string{
		"28P01": "password authentication failed", "28000": "no pg_hba.conf entry", "3D000": "database does not exist",
		"42501": "permission denied", "0A000": "unsupported", "42704": "unrecognized configuration parameter \"x\"",
		"22023": "invalid value for parameter \"x\"",
	} {
		inWorld(t, 10, nil, func(t *testing.T, w *world) {
			w.server.Refuse(code, reason)
			w.order(3, false)
			o := w.pool.known()
			require.True(t, o.Refused, code)
			require.Equal(t, 1, o.Attempts, code)
			var answer *pgconn.PgError
			require.ErrorAs(t, o.Cause, &answer)
			require.Equal(t, code, answer.Code)
			require.Equal(t, reason, answer.Message)
			require.Len(t, w.log.lines(t, zerolog.WarnLevel), 1)

			w.server.Stop()
			w.pass(75 * time.Millisecond)
			w.order(1, true)
			require.False(t, w.pool.known().Refused, "down is something to wait for")
			w.server.Start()
			w.pass(75 * time.Millisecond)
			w.order(1, true)
			require.True(t, w.pool.known().Refused)
			require.Equal(t, 1, w.pool.known().Attempts)

			w.server.Refuse("", "")
			w.pass(75 * time.Millisecond)
			w.order(1, true)
			require.Equal(t, messages.Outage{Failures: 1}, w.pool.known())
		})
	}
}

func TestOptionalParametersAreLeftOut(t *testing.T) {
	inWorld(t, 10, func(w *world) {
		w.cfg.ConnConfig.RuntimeParams["client_connection_check_interval"] = "2000"
		w.cfg.ConnConfig.RuntimeParams["tcp_keepalives_idle"] = "30"
		w.cfg.ConnConfig.RuntimeParams["application_name"] = "test"
		w.server.RefuseParameter("client_connection_check_interval", "42704")
		w.server.RefuseParameter("tcp_keepalives_idle", "22023")
		w.server.Delay(10 * time.Millisecond) // so that all four hear it
	}, func(t *testing.T, w *world) {
		w.order(4, false)
		w.pass(30 * time.Millisecond)
		require.Equal(t, 4, w.pool.count(opened))
		require.Len(t, w.calls.all(), 3*4)
		require.Empty(t, w.pool.published(), "that is no refusal")
		require.Len(t, w.log.lines(t, zerolog.WarnLevel), 2, "one for each parameter, not for each dial")
		before := len(w.calls.all())
		w.order(4, false)
		w.pass(10 * time.Millisecond)
		require.Len(t, w.calls.all(), before+4, "remembered")
		for _, pid := range w.server.PIDs() {
			sent := w.server.Parameters(pid)
			require.Equal(t, "test", sent["application_name"])
			require.NotContains(t, sent, "client_connection_check_interval")
			require.NotContains(t, sent, "tcp_keepalives_idle")
		}
	})
}

func TestAnOptionalParameterThatIsNotOursToLeaveOutIsARefusal(t *testing.T) {
	inWorld(t, 10, nil, func(t *testing.T, w *world) {
		w.server.Refuse("42704", `unrecognized configuration parameter "tcp_keepalives_idle"`) // from a role's settings
		w.order(1, false)
		require.True(t, w.pool.known().Refused)
		require.Len(t, w.calls.all(), 1)
	})
}
