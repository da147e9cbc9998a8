package lab

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/seed-4ff2b7b9/supervised/actors"
	"github.com/seed-4ff2b7b9/supervised/messages"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// Calls by message, as actors make them. Only our pool takes any.

// askByMessage makes a call by message.
func askByMessage(w *workload) error {
	ctx, cancel := context.WithTimeout(context.Background(), w.patience)
	defer cancel()
	c := Call{Began: time.Now()}
	c.Err = byMessage(ctx, w.pool.(ours).Ref(), func(raw *pgconn.PgConn) {
		c.Granted, c.Backend = time.Now(), w.behind(raw)
	})
	c.Ended = time.Now()
	w.note(c)
	return c.Err
}

// byMessage makes a call by message, and shows the connection that it was given.
func byMessage(ctx context.Context, pool actors.Ref[poolactor.ToPool], granted func(*pgconn.PgConn)) error {
	deadline, _ := ctx.Deadline()
	lease, err := actors.Ask(ctx, pool, func(r actors.Reply[*poolactor.Lease]) poolactor.ToPool {
		return poolactor.ToPool{Acquire: messages.Acquire{Deadline: deadline}, Reply: r}
	})
	if err != nil {
		return err
	}
	err = lease.Raw(func(raw *pgx.Conn) error { granted(raw.PgConn()); return nil })
	if err == nil {
		_, err = lease.Exec(ctx, "select pg_sleep(0.005)")
	}
	return errors.Join(err, pool.Tell(ctx, poolactor.ToPool{Release: lease}))
}
