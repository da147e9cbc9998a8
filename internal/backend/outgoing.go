package backend

import (
	"bytes"
	"encoding/binary"
)

// maxKnown bounds how many prepared statements are remembered that change something when they run. pgx keeps at most
// 512 of all kinds by itself.
const maxKnown = 1024

// outgoing reads what is sent to the server, for the texts in it: those of Query and of Parse. A prepared statement
// is sent by its name when it runs, so the names of those that change something are remembered. The zero outgoing is
// before the start-up message.
//
// pgx writes whole messages, one or several at a time. What comes in pieces is not put together: from then on anything
// may have changed.
type outgoing struct {
	started bool
	lost    bool
	named   bool               // statements were prepared under a name since the last forget
	known   map[string]Changes // by the name of a prepared statement; those that change nothing are left out
	full    bool               // there was no room for more of them
}

// scan says what the messages in p may change.
func (o *outgoing) scan(p []byte) (seen Changes) {
	if !o.started {
		o.started = true // the start-up message has no type, and nothing else comes with it
		return 0
	}
	for len(p) > 0 && !o.lost {
		kind, body, rest, ok := cutMessage(p)
		if !ok {
			o.lost = true
			break
		}
		switch kind {
		case 'Q':
			text, _ := cutString(body)
			seen |= textChanges(text)
		case 'P':
			name, body := cutString(body)
			text, _ := cutString(body)
			seen |= o.prepare(name, textChanges(text))
		case 'B':
			seen |= o.bind(body)
		case 'F': // the function is given by its number
			seen |= ChangedAnything
		}
		p = rest
	}
	if o.lost {
		return ChangedAnything
	}
	return seen
}

// prepare takes note of a Parse. A name keeps what was ever prepared under it: the server may refuse the second.
func (o *outgoing) prepare(name []byte, changes Changes) Changes {
	if len(name) == 0 {
		return changes // and not remembered: the cleaning that follows leaves no unnamed statement
	}
	o.named = true
	if changes == 0 || o.known[string(name)]&changes == changes {
		return 0
	}
	if len(o.known) >= maxKnown {
		o.full = true
		return ChangedPrepared // so that they are deallocated, and forgotten here
	}
	if o.known == nil {
		o.known = make(map[string]Changes)
	}
	o.known[string(name)] |= changes
	return 0
}

// bind says what the statement changes that is about to run.
func (o *outgoing) bind(body []byte) Changes {
	if len(o.known) == 0 {
		return 0
	}
	_, body = cutString(body) // the portal
	name, _ := cutString(body)
	changes, known := o.known[string(name)]
	if o.full && !known {
		return ChangedAnything
	}
	return changes
}

// forget is called when the server has no prepared statement any more.
func (o *outgoing) forget() { o.named, o.known, o.full = false, nil, false }

// cutMessage takes the first message off p: one byte of type, four of length (which count themselves), and the body.
func cutMessage(p []byte) (kind byte, body, rest []byte, ok bool) {
	if len(p) < 5 {
		return 0, nil, nil, false
	}
	length := uint64(binary.BigEndian.Uint32(p[1:]))
	if length < 4 || length >= uint64(len(p)) {
		return 0, nil, nil, false
	}
	return p[0], p[5 : length+1], p[length+1:], true
}

// cutString takes a text that ends with a NUL off the front of p.
func cutString(p []byte) (text, rest []byte) {
	text, rest, _ = bytes.Cut(p, []byte{0})
	return text, rest
}
