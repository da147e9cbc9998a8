package lab

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
)

// Row 9: the server is there and asks for patience. No connection is open then, and nobody holds one when it begins, so
// that no call has an excuse to fail.

// patienceAsked is how long the server asks for patience.
const patienceAsked = 5 * time.Second

func patiences() []Row {
	bounds := []Bound{NothingFails, DialsWithin(80)}
	return []Row{
		{ID: "9-53300", Fault: fmt.Sprintf("too many clients for %v, no connection open", patienceAsked), Bounds: bounds, Run: tooMany},
		{ID: "9-57P03", Fault: fmt.Sprintf("the server starts up for %v (57P03)", patienceAsked), Bounds: bounds, Run: startsSlowly},
	}
}

// tooMany: others take every place that the pool's connections leave.
func tooMany(ctx context.Context, l *Lab, k Kind) (Result, error) {
	o := postgres.Options{Settings: map[string]string{"max_connections": "40", "superuser_reserved_connections": "0"}}
	return l.on(ctx, k, o, Setup{}, func(x *Experiment, server *postgres.Server) error {
		x.load.pause()
		if err := endSessions(ctx, server.DSN(), "true"); err != nil {
			return err
		}
		crowd, err := crowd(ctx, server.DSN())
		if err != nil {
			return err
		}
		f := x.StrikeNow()
		x.load.resume()
		Pass(ctx, patienceAsked)
		leave(ctx, crowd)
		x.First(ctx, f, time.Now(), 0)
		Pass(ctx, 500*time.Millisecond)
		return nil
	})
}

// crowd takes every connection that the server has.
func crowd(ctx context.Context, dsn string) (all []*pgx.Conn, err error) {
	for {
		conn, err := pgx.Connect(ctx, dsn)
		if err == nil {
			all = append(all, conn)
			continue
		}
		if code(err) == "53300" {
			return all, nil
		}
		leave(ctx, all)
		return nil, err
	}
}

func leave(ctx context.Context, all []*pgx.Conn) {
	for _, conn := range all {
		_ = conn.Close(ctx) // it goes either way
	}
}

// code is the server's SQLSTATE in an error; empty if it did not answer.
func code(err error) string {
	var answer *pgconn.PgError
	if errors.As(err, &answer) {
		return answer.Code
	}
	return ""
}

// startsSlowly: the server was stopped while nobody held a connection, and replays its log for a while when it starts.
func startsSlowly(ctx context.Context, l *Lab, k Kind) (Result, error) {
	o := postgres.Options{Settings: map[string]string{"hot_standby": "off"}}
	return l.on(ctx, k, o, Setup{}, func(x *Experiment, server *postgres.Server) error {
		x.load.pause()
		if err := server.Stop(ctx, postgres.Fast); err != nil {
			return err
		}
		if err := server.Standby(); err != nil {
			return err
		}
		started := make(chan error, 1)
		go func() { started <- server.StartAgain(ctx) }()
		asks := func() bool { return code(logIn(ctx, server.DSN())) == "57P03" }
		if !until(ctx, eventually, asks) {
			return errors.New("the server did not ask for patience")
		}
		f := x.StrikeNow()
		x.load.resume()
		Pass(ctx, patienceAsked)
		if !asks() {
			x.Fail("the server was up too early: the row shows nothing")
		}
		if err := server.Promote(); err != nil {
			return err
		}
		if err := <-started; err != nil {
			return err
		}
		x.First(ctx, f, server.AcceptedAt(), 0)
		Pass(ctx, 500*time.Millisecond)
		return nil
	})
}

// logIn logs in once.
func logIn(ctx context.Context, dsn string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// execute runs statements one after the other, each for itself, over a connection of its own.
func execute(ctx context.Context, dsn string, statements ...string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}

// endSessions ends all other sessions for which a condition holds, and returns when they are gone.
func endSessions(ctx context.Context, dsn, condition string) error {
	const sessions = "from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid() and "
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, "select pg_terminate_backend(pid) "+sessions+condition); err != nil {
		return err
	}
	gone := func() bool {
		var left int
		err = conn.QueryRow(ctx, "select count(*) "+sessions+condition).Scan(&left)
		return err != nil || left == 0
	}
	if !until(ctx, eventually, gone) {
		return errors.New("sessions that were ended are still there")
	}
	return err
}
