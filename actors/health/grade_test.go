package health_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/seed-4ff2b7b9/supervised/actors/health"
	"github.com/seed-4ff2b7b9/supervised/internal/fakepg"
)

func code(sqlState string) error { return &pgconn.PgError{Severity: "FATAL", Code: sqlState} }

func socketError(err error) error {
	return &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", err)}
}

var grades = []struct {
	err  error
	want health.Sign
}{
	{nil, health.None},
	{errors.New("anything else"), health.None},
	{pgx.ErrNoRows, health.None},
	{code("23505"), health.None},
	{code("57014"), health.None},
	{code("53300"), health.None},
	{context.Canceled, health.None},
	{context.DeadlineExceeded, health.None},
	{errors.Join(context.Canceled, io.EOF), health.None},
	{errors.Join(os.ErrDeadlineExceeded, context.DeadlineExceeded), health.None},

	{code("57P05"), health.Own},
	{code("25P03"), health.Own},
	{health.ErrOwn, health.Own},
	{errors.Join(net.ErrClosed, health.ErrOwn), health.Own},
	{errors.Join(code("57P01"), health.ErrOwn), health.Own},

	{code("57P01"), health.Death},
	{code("57P02"), health.Death},
	{code("57P04"), health.Death},
	{errors.Join(context.Canceled, code("57P01")), health.Death},
	{io.EOF, health.Death},
	{io.ErrUnexpectedEOF, health.Death},
	{io.ErrClosedPipe, health.Death},
	{net.ErrClosed, health.Death},
	{pgconn.ErrConnClosed, health.Death},
	{socketError(syscall.ECONNRESET), health.Death},
	{socketError(syscall.ECONNABORTED), health.Death},
	{socketError(syscall.EPIPE), health.Death},
	{socketError(syscall.EHOSTUNREACH), health.Death},
	{socketError(syscall.ENETUNREACH), health.Death},

	{os.ErrDeadlineExceeded, health.Timeout},
	{&net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}, health.Timeout},
	{socketError(syscall.ETIMEDOUT), health.Timeout},

	{code("25006"), health.ReadOnly},
}

func TestGrade(t *testing.T) {
	for _, c := range grades {
		require.Equal(t, c.want, health.Grade(c.err), "%v", c.err)
	}
}

func TestGradeSeesThroughWrapping(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom(grades[1:]).Draw(t, "case")
		err := c.err
		for range rapid.IntRange(0, 4).Draw(t, "layers") {
			if rapid.Bool().Draw(t, "join") {
				err = errors.Join(errors.New("and"), err)
			} else {
				err = fmt.Errorf("around: %w", err)
			}
		}
		require.Equal(t, c.want, health.Grade(err))
	})
}

// TestGradeOfRealErrors grades what pgx makes of each fault, in the simple and in the extended protocol.
func TestGradeOfRealErrors(t *testing.T) {
	for name, c := range map[string]struct {
		fault func(*fakepg.Server, uint32)
		want  health.Sign
	}{
		"killed":       {func(s *fakepg.Server, pid uint32) { s.Kill(pid) }, health.Death},
		"stopped":      {func(s *fakepg.Server, _ uint32) { s.Stop() }, health.Death},
		"57P01":        {func(s *fakepg.Server, _ uint32) { s.Terminate("57P01") }, health.Death},
		"57P02":        {func(s *fakepg.Server, _ uint32) { s.Terminate("57P02") }, health.Death},
		"57P05":        {func(s *fakepg.Server, _ uint32) { s.Terminate("57P05") }, health.Own},
		"caller's end": {func(*fakepg.Server, uint32) {}, health.None},
		"frozen":       {func(s *fakepg.Server, _ uint32) { s.Freeze() }, health.None},
	} {
		for protocol, args := range map[string][]any{"simple": nil, "extended": {60}} {
			t.Run(name+" "+protocol, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					server := fakepg.New()
					defer server.Close()
					conn, err := pgx.ConnectConfig(t.Context(), server.Config())
					require.NoError(t, err)
					time.AfterFunc(time.Second, func() { c.fault(server, conn.PgConn().PID()) })
					bounded, cancel := context.WithTimeout(t.Context(), 10*time.Second)
					defer cancel()
					statement := map[bool]string{true: "select pg_sleep(60)", false: "select pg_sleep($1)"}[args == nil]
					_, err = conn.Exec(bounded, statement, args...)
					require.Equal(t, c.want, health.Grade(err), "%v", err)
				})
			})
		}
	}
}

func TestGradeOfAStatementsOwnErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := fakepg.New()
		defer server.Close()
		conn, err := pgx.ConnectConfig(t.Context(), server.Config())
		require.NoError(t, err)
		for sqlState, want := range map[string]health.Sign{"23505": health.None, "25006": health.ReadOnly} {
			_, err = conn.Exec(t.Context(), "fail "+sqlState)
			require.Equal(t, want, health.Grade(err))
		}

		server.Freeze()
		require.NoError(t, conn.PgConn().Conn().SetReadDeadline(time.Now().Add(time.Second)))
		_, err = conn.Exec(t.Context(), "select $1::int", 1)
		require.Equal(t, health.Timeout, health.Grade(err), "a deadline that was not the caller's: %v", err)
	})
}

func TestSignsAndVerdictsHaveNames(t *testing.T) {
	names := map[string]bool{}
	for sign := health.None; sign <= health.ReadOnly+1; sign++ {
		names[sign.String()] = true
	}
	require.Len(t, names, 6)
	for verdict := health.Nothing; verdict <= health.Distrust+1; verdict++ {
		names[verdict.String()] = true
	}
	require.Len(t, names, 9, "one of both is unknown")
}
