package fakepg

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/jackc/pgx/v5/pgproto3"
)

// copyIn takes the rows of a COPY from the client, forgets them, and counts them for the tag.
func (s *session) copyIn(st *statement) (string, error) {
	if !st.tokensHave("stdin") {
		return "", failed("0A000", "this server copies from its client only")
	}
	inBinary := st.tokensHave("binary")
	response := &pgproto3.CopyInResponse{}
	if inBinary {
		response.OverallFormat = 1
	}
	s.wire.Send(response)
	if err := s.flush(); err != nil {
		return "", err
	}
	var data bytes.Buffer
	for {
		message, err := s.wire.Receive()
		if err != nil {
			return "", err
		}
		select {
		case <-s.canceled:
			return "", failed("57014", "canceling statement due to user request")
		default:
		}
		switch m := message.(type) {
		case *pgproto3.CopyData:
			data.Write(m.Data)
		case *pgproto3.CopyFail:
			return "", failed("57014", "COPY from stdin failed: "+m.Message)
		case *pgproto3.CopyDone:
			rows := bytes.Count(data.Bytes(), []byte{'\n'})
			if inBinary {
				if rows, err = binaryRows(data.Bytes()); err != nil {
					return "", err
				}
			}
			return fmt.Sprintf("COPY %d", rows), nil
		case *pgproto3.Flush, *pgproto3.Sync:
		default:
			return "", fatal("08P01", "unexpected message during COPY from stdin")
		}
	}
}

// copySignature begins the binary format.
var copySignature = []byte("PGCOPY\n\xff\r\n\x00")

// binaryRows counts the rows of a COPY in the binary format: behind the signature, the flags and an extension, each has a
// number of fields, and each field a length, negative for null.
func binaryRows(data []byte) (int, error) {
	malformed := failed("22P04", "COPY file signature not recognized, or row data incomplete")
	rest, ok := bytes.CutPrefix(data, copySignature)
	if !ok || len(rest) < 8 {
		return 0, malformed
	}
	rest = rest[8:]
	for rows := 0; ; rows++ {
		if len(rest) < 2 {
			return rows, nil // the end may be marked, or not
		}
		fields := int16(binary.BigEndian.Uint16(rest))
		rest = rest[2:]
		for range fields { // none at the mark of the end
			if len(rest) < 4 {
				return 0, malformed
			}
			length := max(0, int64(int32(binary.BigEndian.Uint32(rest))))
			if rest = rest[4:]; int64(len(rest)) < length {
				return 0, malformed
			}
			rest = rest[length:]
		}
		if fields < 0 {
			return rows, nil
		}
	}
}
