//go:build linux || darwin

package postgres

import (
	"errors"
	"fmt"
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

func TestAStandbyHasWhatItsPrimaryAcknowledged(t *testing.T) {
	o := quick(t)
	o.Settings = map[string]string{"synchronous_standby_names": "*"} // a commit waits for it from the start
	primary := start(t, o)
	o = quick(t)
	o.Primary = primary
	standby := start(t, o)
	require.NotEqual(t, primary.Port(), standby.Port())
	require.NoError(t, execute(t, primary, "create table t (i int)"))
	var answer *pgconn.PgError
	require.ErrorAs(t, execute(t, standby, "create table u (i int)"), &answer)
	require.Equal(t, "25006", answer.Code)
	for i := range 50 {
		require.NoError(t, execute(t, primary, fmt.Sprintf("insert into t values (%d)", i)))
	}
	require.NoError(t, primary.Kill())
	before := standby.AcceptedAt()
	require.False(t, before.IsZero())
	require.NoError(t, standby.Promote())
	require.Eventually(t, func() bool { return standby.AcceptedAt().After(before) }, 10*time.Second, time.Millisecond)
	require.NoError(t, execute(t, standby, "insert into t values (50)"))
	var n int
	require.NoError(t, connect(t, standby).QueryRow(t.Context(), "select count(*) from t").Scan(&n))
	require.Equal(t, 51, n)
}

func TestAServerWithAPasswordHasNoStandby(t *testing.T) {
	_, err := Prepare(t.Context(), Options{Primary: &Server{password: "secret"}})
	require.ErrorContains(t, err, "password")
}

func execute(t *testing.T, s *Server, sql string) error {
	_, err := connect(t, s).Exec(t.Context(), sql)
	return err
}
