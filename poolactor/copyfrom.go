package poolactor

import (
	"context"
	"errors"
	"runtime/debug"

	"github.com/jackc/pgx/v5"

	"github.com/seed-4ff2b7b9/supervised/actors"
)

// copyFrom copies rows with f, which is pgx's. A panic of src is thrown again here, in its caller's goroutine.
func (l *Lease) copyFrom(ctx context.Context, s *slot, src pgx.CopyFromSource, f func(pgx.CopyFromSource) (int64, error)) (int64, error) {
	safe := &contained{source: src, sever: l.conn.Sever}
	n, err := f(safe)
	err = l.end(ctx, s, err)
	if safe.crash != nil {
		panic(safe.crash)
	}
	return n, err
}

// contained is a source of rows that does not panic. pgx reads it in a goroutine of its own, in which a panic would end
// the process, and a runtime.Goexit would leave the caller waiting for ever.
type contained struct {
	source pgx.CopyFromSource
	sever  func()
	crash  *actors.PanicError // written by pgx's goroutine, which has ended when the copy returns
}

// errSourcePanicked is what the server is told.
var errSourcePanicked = errors.New("the source of the rows panicked")

func (c *contained) Next() (more bool) {
	c.run(func() { more = c.source.Next() })
	return more && c.crash == nil
}

func (c *contained) Values() (values []any, err error) {
	c.run(func() { values, err = c.source.Values() })
	if c.crash != nil {
		return nil, errSourcePanicked
	}
	return values, err
}

func (c *contained) Err() (err error) {
	if c.crash == nil {
		c.run(func() { err = c.source.Err() })
	}
	if c.crash != nil {
		return errSourcePanicked
	}
	return err
}

// run calls the source. A panic is kept for the caller. What ends by runtime.Goexit cannot go on here: the socket is
// closed, so that pgx stops waiting for rows.
func (c *contained) run(f func()) {
	returned := false
	defer func() {
		if returned {
			return
		}
		v := recover()
		if v == nil {
			v = actors.ErrGoexit
			c.sever()
		}
		c.crash = &actors.PanicError{Value: v, Stack: debug.Stack()}
	}()
	f()
	returned = true
}
