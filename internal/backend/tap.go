package backend

import (
	"errors"
	"io"
	"syscall"
)

// tap sits between pgx and the connection, above TLS. It notes what statements and the server's answers say about the
// session, and keeps new statements out of reach of old cancel requests. pgx reads with it from one goroutine at a time,
// and may write from another.
type tap struct {
	link    *link
	r       io.Reader
	w       io.Writer
	scanner scanner
}

// Read passes on what the server says.
func (t *tap) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if n > 0 {
		seen := t.scanner.scan(p[:n])
		if seen.changes != 0 {
			t.link.changes.Or(uint32(seen.changes))
		}
		if seen.ready {
			t.link.idle.Store(true)
		}
	}
	if err != nil {
		t.link.noteEnd(err)
	}
	return n, err
}

// Write sends what pgx says. Whole messages come here.
func (t *tap) Write(p []byte) (int, error) {
	if t.link.clear {
		return t.w.Write(p) // it comes to the wire as it is
	}
	t.link.sending.Store(true)
	defer t.link.sending.Store(false)
	return t.link.send(p, t.w)
}

// send writes messages, and notes what they say about the session. A new statement waits until no old cancel request can
// hit it.
func (l *link) send(p []byte, w io.Writer) (int, error) {
	begins := beginsStatement(p)
	if begins {
		if err := l.gate(); err != nil {
			return 0, err
		}
		l.idle.Store(false)
	} else if len(p) > 0 && p[0] == 'X' {
		l.leaving.Store(true)
	}
	if seen := l.sent.scan(p); seen != 0 {
		l.changes.Or(uint32(seen))
	}
	n, err := w.Write(p)
	if begins && n > 0 {
		l.wrote.Store(true)
	}
	if err != nil {
		l.noteEnd(err)
	}
	// The context may have ended after pgx looked at it: what found the connection idle then left the rest to us.
	if begins && l.over.Load() {
		l.beginCancel(l.pg)
	}
	return n, err
}

// noteEnd notes that the other end is gone, so that nobody tries to cancel anything there.
func (l *link) noteEnd(err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		l.gone.Store(true)
	}
}

// beginsStatement tells whether the server will answer the messages in p: all do but Terminate and the data of COPY.
func beginsStatement(p []byte) bool {
	if len(p) == 0 {
		return false
	}
	switch p[0] {
	case 'X', 'd', 'c', 'f':
		return false
	default:
		return true
	}
}
