package backend

import (
	"encoding/binary"
	"math"
)

// scanner walks the messages of a server, in whatever pieces they come: one byte of type, four of length (which count
// themselves), and the body. It skips all bodies but those of CommandComplete. The zero scanner is at the first message.
type scanner struct {
	header  [5]byte
	nheader int    // how much of the header is known, if it came in pieces
	body    uint32 // what is left of the body
	tag     [tagLength]byte
	ntag    int
	lost    bool // a length made no sense: pgx gives the connection up
}

// sight is what a piece of the stream has told.
type sight struct {
	changes Changes
	ready   bool // ReadyForQuery was among it
}

func (s *scanner) scan(p []byte) (seen sight) {
	for len(p) > 0 && !s.lost {
		if s.nheader == 0 {
			p = skipRows(p)
		}
		if s.body == 0 {
			if p = s.readHeader(p); s.nheader < len(s.header) {
				return seen
			}
		}
		n := min(uint32(min(len(p), math.MaxInt32)), s.body)
		if s.header[0] == 'C' && s.ntag < tagLength {
			s.ntag += copy(s.tag[s.ntag:], p[:n])
		}
		p = p[n:]
		if s.body -= n; s.body == 0 && !s.lost {
			s.finish(&seen)
		}
	}
	return seen
}

// skipRows skips what a big result consists of: whole messages that are nothing but skipped. It is here for speed alone.
func skipRows(p []byte) []byte {
	for len(p) > 4 && p[0] != 'C' && p[0] != 'Z' {
		length := binary.BigEndian.Uint32(p[1:])
		if length < 4 || uint64(length) >= uint64(len(p)) {
			break
		}
		p = p[length+1:]
	}
	return p
}

// readHeader takes a header, or what there is of it, off the front of p.
func (s *scanner) readHeader(p []byte) []byte {
	n := copy(s.header[s.nheader:], p)
	if s.nheader += n; s.nheader < len(s.header) {
		return nil
	}
	length := binary.BigEndian.Uint32(s.header[1:])
	if length < 4 || length > math.MaxInt32 {
		s.lost = true
	} else {
		s.body = length - 4
	}
	return p[n:]
}

// finish takes note of the message that has ended, and goes on to the next.
func (s *scanner) finish(seen *sight) {
	switch s.header[0] {
	case 'C':
		seen.changes |= taggedChanges(s.tag[:s.ntag])
	case 'Z':
		seen.ready = true
	}
	s.nheader, s.ntag = 0, 0
}
