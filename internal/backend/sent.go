package backend

// Sent tells whether a byte of any statement was written since [Conn.ClearSent], Terminate aside. If none was, the server
// has run nothing of what pgx was asked for meanwhile, whatever error came of it. Under TLS a byte counts once its whole
// record was written: the server can decrypt nothing less. Only the connection's user may call it.
func (c *Conn) Sent() bool { return c.link.wrote.Load() }

// ClearSent forgets what was written so far. Only the connection's user may call it, and not during a statement.
func (c *Conn) ClearSent() { c.link.wrote.Store(false) }

// MarkSent makes Sent say yes, for what cannot be done again although nothing was written. Only the connection's user may
// call it.
func (c *Conn) MarkSent() { c.link.wrote.Store(true) }

// Closed tells whether pgx has given the connection up: no statement can reach the server any more. Only the
// connection's user may call it.
func (c *Conn) Closed() bool { return c.link.pg.IsClosed() }
