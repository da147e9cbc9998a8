package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/config"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

func TestCheckOfAServerThatLetsUsIn(t *testing.T) {
	server := pgtest.Server(t)
	var out bytes.Buffer
	file := write(t, fmt.Sprintf("database: {url: %q}", server.DSN()))
	require.NoError(t, Check(t.Context(), file, true, &out))
	require.Contains(t, out.String(), "lets us in: PostgreSQL")
}

func TestCheckOfNobody(t *testing.T) {
	var out bytes.Buffer
	err := Check(t.Context(), write(t, nobody), true, &out)
	var connect *ConnectError
	require.ErrorAs(t, err, &connect)
	require.False(t, connect.Refused)
	require.ErrorContains(t, err, "postgres@127.0.0.1:1/bmcis_knowledge_dev cannot be reached")
	require.ErrorContains(t, err, "what to do:")
	require.Contains(t, out.String(), "valid", "that much was right")
}

func TestCheckOfABadConfiguration(t *testing.T) {
	var out bytes.Buffer
	var problem *config.Error
	require.ErrorAs(t, Check(t.Context(), write(t, "x: y"), true, &out), &problem)
	require.Empty(t, out.String())
}

func TestARefusalIsToldApart(t *testing.T) {
	cause := errors.New("no such user")
	err := connectError(poolactor.Target{Host: "h", Port: 1, User: "u", Database: "d"},
		fmt.Errorf("wrapped: %w", &poolactor.UnavailableError{Refused: true, Err: cause}))
	require.ErrorContains(t, err, "u@h:1/d refuses the connection: no such user\n")
	require.ErrorIs(t, err, cause)
}
