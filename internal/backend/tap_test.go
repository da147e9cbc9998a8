package backend

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"
)

// encode writes messages as a server would.
func encode(t testing.TB, messages ...pgproto3.BackendMessage) []byte {
	t.Helper()
	var stream []byte
	for _, m := range messages {
		var err error
		stream, err = m.Encode(stream)
		require.NoError(t, err)
	}
	return stream
}

func complete(tag string) pgproto3.BackendMessage {
	return &pgproto3.CommandComplete{CommandTag: []byte(tag)}
}

func TestScannerKnowsTheTags(t *testing.T) {
	for tag, want := range map[string]Changes{
		"SET": answeredSet, "RESET": ChangedSettings,
		"DISCARD ALL": Deallocated, "DISCARD PLANS": 0, "DISCARD SEQUENCES": 0, "DISCARD TEMP": 0,
		"LISTEN": ChangedListening, "UNLISTEN": ChangedListening,
		"PREPARE": ChangedPrepared, "DEALLOCATE": Deallocated, "DEALLOCATE ALL": Deallocated,
		"LOAD": ChangedLibraries, "DECLARE CURSOR": 0, "DO": ChangedAnything,
		"": 0, "SE": 0, "SETS": 0, "set": 0, "SET CONSTRAINTS": 0, "PREPARE TRANSACTION": 0, "NOTIFY": 0,
		"SELECT 18446744073709551615": 0, "DEALLOCATE ALL AND MORE": 0,
	} {
		var s scanner
		require.Equal(t, sight{changes: want}, s.scan(encode(t, complete(tag))), "tag %q", tag)
	}
}

// The text of a SET is the first witness; without it, its tag is believed.
func TestTheTagOfASetIsBelieved(t *testing.T) {
	require.Equal(t, ChangedSettings, answeredSet.conclude())
	require.Zero(t, (answeredSet | saidLocal).conclude())
	require.Equal(t, ChangedSettings|ChangedLocks, (answeredSet | saidLocal | ChangedSettings | ChangedLocks).conclude())
	require.Zero(t, saidLocal.conclude())
}

func TestScannerSkipsWhatIsNoTag(t *testing.T) {
	var s scanner
	fake := encode(t, complete("SET"), &pgproto3.ReadyForQuery{TxStatus: 'I'})
	stream := encode(
		t, &pgproto3.AuthenticationOk{}, &pgproto3.ParseComplete{}, &pgproto3.EmptyQueryResponse{},
		&pgproto3.DataRow{Values: [][]byte{fake, fake, nil}}, &pgproto3.CopyData{Data: fake},
		&pgproto3.NoticeResponse{Message: string(fake)},
	)
	require.Zero(t, s.scan(stream))
	require.Equal(t, sight{changes: answeredSet, ready: true}, s.scan(fake), "the scanner is in step")
}

func TestScannerStopsAtNonsense(t *testing.T) {
	for _, length := range []uint32{0, 3, 1 << 31, 1<<32 - 1} {
		var s scanner
		broken := binary.BigEndian.AppendUint32([]byte{'D'}, length)
		require.Zero(t, s.scan(append(broken, encode(t, complete("SET"))...)))
		require.Zero(t, s.scan(encode(t, complete("SET"))))
	}
}

// randomStream is a plausible talk of a server, and what is to be seen in it.
func randomStream(t testing.TB, r *rand.Rand) (stream []byte, want sight) {
	tags := []string{"SET", "SELECT 1", "LISTEN", "DISCARD ALL", "INSERT 0 1", "DEALLOCATE ALL", "BEGIN"}
	for range r.IntN(20) {
		switch r.IntN(4) {
		case 0:
			tag := tags[r.IntN(len(tags))]
			want.changes |= taggedChanges([]byte(tag))
			stream = append(stream, encode(t, complete(tag))...)
		case 1:
			want.ready = true
			stream = append(stream, encode(t, &pgproto3.ReadyForQuery{TxStatus: 'I'})...)
		case 2:
			row := &pgproto3.DataRow{Values: [][]byte{bytes.Repeat([]byte("C\x00\x00\x00\x08SET\x00"), r.IntN(5))}}
			stream = append(stream, encode(t, row)...)
		case 3:
			stream = append(stream, encode(t, &pgproto3.BindComplete{})...)
		}
	}
	return stream, want
}

func TestScannerInPieces(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		stream, want := randomStream(t, r)
		var s scanner
		var seen sight
		for rest := stream; len(rest) > 0; {
			n := 1 + r.IntN(min(len(rest), 12))
			got := s.scan(rest[:n])
			seen.changes |= got.changes
			seen.ready = seen.ready || got.ready
			rest = rest[n:]
		}
		require.Equal(t, want, seen, "stream %q", stream)
		require.Zero(t, s.body)
		require.Zero(t, s.nheader)
	}
}

// position is all of a scanner that matters for what it sees next.
func (s *scanner) position() [5]any {
	return [5]any{string(s.header[:s.nheader]), s.nheader, s.body, string(s.tag[:s.ntag]), s.lost}
}

// FuzzScanner: whatever a server says, in whatever pieces it comes, the same is seen, and nothing is read out of bounds.
func FuzzScanner(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		stream, _ := randomStream(f, r)
		f.Add(stream, []byte{1, 5, 3})
	}
	f.Add([]byte{'C', 0, 0, 0, 3, 'C', 0, 0, 0, 8, 'S', 'E', 'T', 0}, []byte{2})
	f.Fuzz(func(t *testing.T, stream, cuts []byte) {
		var whole, pieces scanner
		want := whole.scan(slices.Clone(stream))
		var seen sight
		rest := stream
		for i := 0; len(rest) > 0; i++ {
			n := len(rest)
			if len(cuts) > 0 {
				n = min(n, 1+int(cuts[i%len(cuts)]))
			}
			got := pieces.scan(rest[:n])
			seen.changes |= got.changes
			seen.ready = seen.ready || got.ready
			rest = rest[n:]
		}
		require.Equal(t, want, seen)
		require.Equal(t, whole.position(), pieces.position())
	})
}

func TestTapReadAllocatesNothing(t *testing.T) {
	stream := encode(t, &pgproto3.DataRow{Values: [][]byte{[]byte("x")}}, complete("SET"), &pgproto3.ReadyForQuery{TxStatus: 'I'})
	source := bytes.NewReader(stream)
	into := &tap{link: &link{}, r: source}
	p := make([]byte, 7)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		source.Reset(stream)
		for {
			if n, _ := into.Read(p); n == 0 {
				return
			}
		}
	}))
	require.EqualValues(t, answeredSet, into.link.changes.Load())
	require.True(t, into.link.idle.Load())
	require.True(t, into.link.gone.Load(), "the stream has ended")
}

// BenchmarkScanner reports what the tap adds to a big result: 8 KB at a time, rows of about 40 and 400 bytes.
func BenchmarkScanner(b *testing.B) {
	for name, size := range map[string]int{"40B": 33, "400B": 393} {
		b.Run(name, func(b *testing.B) {
			row := encode(b, &pgproto3.DataRow{Values: [][]byte{make([]byte, size)}})
			chunk := bytes.Repeat(row, 8192/len(row)+1)[:8192]
			var s scanner
			b.SetBytes(int64(len(chunk)))
			b.ReportAllocs()
			for b.Loop() {
				s = scanner{}
				s.scan(chunk)
			}
		})
	}
}

func TestTapSurvivesCopy(t *testing.T) {
	c := open(t, realConfig(t, false), Options{CancelBound: 10 * time.Second}) // also on a machine that is busy with others
	ctx := t.Context()
	_, err := c.PGX().Exec(ctx, "create temp table copied (line text)")
	require.NoError(t, err)
	in := strings.Repeat(strings.Repeat("C\x01SET ", 300)+"\n", 200)
	_, err = c.PGX().PgConn().CopyFrom(ctx, strings.NewReader(in), "copy copied from stdin")
	require.NoError(t, err)
	var out bytes.Buffer
	_, err = c.PGX().PgConn().CopyTo(ctx, io.MultiWriter(&out), "copy copied to stdout")
	require.NoError(t, err)
	require.Equal(t, len(in), out.Len())
	require.Equal(t, ChangedTemporary, c.Changes())
	require.True(t, c.Fit())

	late, cancel := context.WithCancel(ctx)
	_, err = c.PGX().PgConn().CopyFrom(late, &endless{after: 20, then: cancel}, "copy copied from stdin")
	require.ErrorIs(t, Explain(late, err), context.Canceled)
}

// endless is a source that never ends; it calls then after some reads.
type endless struct {
	after int
	then  func()
}

func (e *endless) Read(p []byte) (int, error) {
	if e.after--; e.after == 0 {
		e.then()
	}
	return copy(p, "line\n"), nil
}
