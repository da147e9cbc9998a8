package remedy

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRemedies(t *testing.T) {
	answer := func(code string) error { return fmt.Errorf("cannot log in: %w", &pgconn.PgError{Code: code}) }
	for says, err := range map[string]error{
		"DATABASE_PASSWORD":        answer("28P01"),
		"pg_hba.conf":              answer("28000"),
		"createdb":                 answer("3D000"),
		"GRANT CONNECT":            answer("42501"),
		"runtime_params, or":       answer("22023"),
		"default_query_exec_mode":  answer("0A000"),
		"max_connections":          answer("53300"),
		"starting, stopping":       answer("57P03"),
		"code XX000":               answer("XX000"),
		"Nobody listens":           fmt.Errorf("dial: %w", syscall.ECONNREFUSED),
		"no such Unix socket":      fmt.Errorf("dial: %w", syscall.ENOENT),
		"permissions":              fmt.Errorf("dial: %w", syscall.EACCES),
		"no way to that host":      fmt.Errorf("dial: %w", syscall.EHOSTUNREACH),
		"no way to that network":   fmt.Errorf("dial: %w", syscall.ENETUNREACH),
		"has no TLS":               errors.New("server refused TLS connection"),
		"does not verify":          errors.New("tls: failed to verify certificate: x509: certificate signed by unknown authority"),
		"encrypted connection":     errors.New("tls: handshake failure"),
		"name is unknown":          errors.New("lookup db.example: no such host"),
		"could not be resolved":    errors.New("hostname resolving error"),
		"Nobody answers":           errors.New("dial tcp 10.0.0.1:5432: i/o timeout"),
		"connection_timeout is":    context.DeadlineExceeded,
		"hangs":                    errors.New("no log-in within 500ms"),
		"Calls wait meanwhile":     errors.New("no answer to SELECT 1 within the health time-out; the check goes on"),
		"See whether the server":   errors.New("anything else"),
		"runs and can be reached":  nil,
		"look into its log":        errors.New(""),
		"DATABASE_HOST, DATABASE_": syscall.ECONNREFUSED,
	} {
		require.Contains(t, For(err), says, "%v", err)
	}
}
