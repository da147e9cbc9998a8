//go:build unix && !aix && !solaris

package backend

import "syscall"

// peek looks at a socket of the system by asking for a byte that stays where it is.
type peek struct {
	raw    syscall.RawConn
	ask    func(fd uintptr) // made once, so that a look allocates nothing
	byte   [1]byte
	answer error
}

// newPeek returns nil where the system cannot peek.
func newPeek(raw syscall.RawConn) looker {
	p := &peek{raw: raw}
	p.ask = p.recv
	return p
}

func (p *peek) look() error {
	// Control, not Read: pgx can have left a read behind that waits in the background (its answer to slow writes), and
	// Read would queue behind that one.
	if err := p.raw.Control(p.ask); err != nil {
		return err
	}
	return p.answer
}

func (p *peek) recv(fd uintptr) {
	for {
		n, _, err := syscall.Recvfrom(int(fd), p.byte[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN || err == syscall.EWOULDBLOCK:
			p.answer = nil
		case err != nil:
			p.answer = err
		case n == 0:
			p.answer = errPeerClosed
		default:
			p.answer = ErrUnexpectedData
		}
		return
	}
}
