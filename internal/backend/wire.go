package backend

import "net"

// wire is the socket as pgx has it. What pgx's frontend writes goes through the tap; but a batch in the mode
// pgx.QueryExecModeExec, and whoever writes to pgconn.PgConn.Conn, goes past it. So what is sent in the clear is looked
// at here, and of what is not (TLS, or a socket that a hook has wrapped) it is noted that the tap did not see it.
//
// The tap cannot be here alone: pgx looks for a *tls.Conn to bind the log-in to it.
type wire struct {
	net.Conn
	link *link
}

// NetConn is the socket as it was dialled.
func (w *wire) NetConn() net.Conn { return w.Conn }

func (w *wire) Write(p []byte) (int, error) {
	l := w.link
	switch {
	case l.clear:
		return l.send(p, w.Conn)
	case l.wrapped && !l.sending.Load() && !l.leaving.Load(): // TLS says goodbye by itself
		return w.writeUnseen(p)
	default:
		return w.Conn.Write(p)
	}
}

// writeUnseen writes what nobody has looked at: it may be any statement.
func (w *wire) writeUnseen(p []byte) (int, error) {
	w.link.changes.Or(uint32(ChangedAnything))
	w.link.idle.Store(false)
	n, err := w.Conn.Write(p)
	if n > 0 {
		w.link.wrote.Store(true)
	}
	return n, err
}
