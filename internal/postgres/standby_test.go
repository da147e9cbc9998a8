//go:build linux || darwin

package postgres

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

func TestStandbyLetsNobodyInBeforeItIsPromoted(t *testing.T) {
	o := quick(t)
	o.Settings = map[string]string{"hot_standby": "off"}
	s := start(t, o)
	require.NoError(t, s.Stop(bounded(t), Fast))
	require.ErrorIs(t, s.Promote(), ErrNotRunning)
	require.NoError(t, s.Standby())
	ctx, started := bounded(t), make(chan error, 1)
	go func() { started <- s.StartAgain(ctx) }()
	var answer *pgconn.PgError
	require.Eventually(t, func() bool {
		_, err := pgx.Connect(t.Context(), s.DSN())
		require.Error(t, err)
		return errors.As(err, &answer)
	}, 10*time.Second, 10*time.Millisecond)
	require.Equal(t, "57P03", answer.Code)
	require.Empty(t, started)
	require.NoError(t, s.Promote())
	require.NoError(t, <-started)
	connect(t, s)
}
