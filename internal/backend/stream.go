package backend

import (
	"errors"
	"io"
)

// errUnread says that pgx still holds something of what the server has sent.
var errUnread = errors.New("backend: the connection has unread answers")

// Stream is the connection for somebody who speaks the protocol himself. Whole messages are written to it, by one goroutine
// at a time, and what the server sends is read from it, by one goroutine at a time; both may go on at once. What it says
// about the session is seen as any other statement. Whoever uses it has to leave no answer unread, and pgx must not be used
// meanwhile. Only the connection's user may call it, and not during a statement.
func (c *Conn) Stream() (io.ReadWriter, error) {
	if !c.Fit() || c.link.tap == nil || c.link.pg.Frontend().ReadBufferLen() != 0 {
		return nil, errUnread
	}
	return c.link.tap, nil
}
