package daemon

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/seed-4ff2b7b9/supervised/internal/config"
	"github.com/seed-4ff2b7b9/supervised/internal/remedy"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// ConnectError says why the database did not let a check in.
type ConnectError struct {
	Target  poolactor.Target
	Refused bool // the server answered, and waiting would not help
	Err     error
}

// Error says which server, why, and what to do.
func (e *ConnectError) Error() string {
	what := "cannot be reached"
	if e.Refused {
		what = "refuses the connection"
	}
	return fmt.Sprintf("%s %s: %v\nwhat to do: %s", address(e.Target), what, e.Err, remedy.For(e.Err))
}

// Unwrap gives the cause.
func (e *ConnectError) Unwrap() error { return e.Err }

// address writes a target for people.
func address(t poolactor.Target) string {
	return fmt.Sprintf("%s@%s/%s", t.User, net.JoinHostPort(t.Host, strconv.Itoa(int(t.Port))), t.Database)
}

// checkSpare is what a check may take beside its attempts to connect.
const checkSpare = 2 * time.Second

// Check reads the configuration and opens one connection by it, in the way the daemon would. What it finds goes to out.
// The error is that of the configuration (*config.Error or several, joined) or a *ConnectError.
func Check(ctx context.Context, file string, asked bool, out io.Writer) error {
	cfg, err := config.Load(file, asked)
	if err != nil {
		return err
	}
	settings, err := PoolConfig(cfg, nil)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, "The configuration is valid.")
	// One attempt, not a schedule of them: whoever checks wants to know how it is now.
	settings.MinSize, settings.MinIdle, settings.MaxSize = 0, 0, 1
	settings.Retry.FailFast, settings.Retry.MaxRetries = true, off
	attempts := time.Duration(1 + len(settings.ConnConfig.Fallbacks))
	ctx, cancel := context.WithTimeout(ctx, min(attempts*settings.ConnectTimeout, time.Minute)+checkSpare)
	defer cancel()
	pool, err := poolactor.Open(ctx, settings)
	if err != nil {
		return &config.Error{Problem: err.Error(), Err: err}
	}
	defer pool.Close() // the connection's end is no news here
	began := time.Now()
	if err := pool.With(ctx, func(_ context.Context, l *poolactor.Lease) error {
		took := time.Since(began)
		return l.Raw(func(c *pgx.Conn) error {
			fmt.Fprintf(out, "%s lets us in: PostgreSQL %s, %s, after %v.\n", address(pool.Target()),
				c.PgConn().ParameterStatus("server_version"), encryption(c), took.Round(time.Millisecond))
			return nil
		})
	}); err != nil {
		return connectError(pool.Target(), err)
	}
	return nil
}

func encryption(c *pgx.Conn) string {
	if _, ok := c.PgConn().Conn().(*tls.Conn); ok {
		return "encrypted"
	}
	return "not encrypted"
}

// connectError takes what the pool says about its own patience off an error: a check has none.
func connectError(t poolactor.Target, err error) error {
	e := &ConnectError{Target: t, Err: err}
	var unavailable *poolactor.UnavailableError
	if errors.As(err, &unavailable) {
		e.Refused, e.Err = unavailable.Refused, unavailable.Err
	}
	return e
}
