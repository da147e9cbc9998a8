package track

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/seed-4ff2b7b9/supervised/test/bench/figures"
)

// ceiling is what the server can do on this machine with as many connections as shared statements have: batches of
// statements, each with a Sync of its own, and nobody to whom the answers belong.
const ceiling = "raw pipelines"

// perBatch is how many statements a raw pipeline has under way: so many brought the most.
const perBatch = 16

// rawPipelines are n connections that each write a batch and read until all of it is answered, again and again.
func rawPipelines(sql string, n int) entrant {
	return entrant{ceiling, func(ctx context.Context, t *Track) (lane, error) {
		conns, err := connect(ctx, t.server.DSN(), n)
		if err != nil {
			return lane{}, err
		}
		batch, err := rawBatch()
		pipelines := make([]*pipeline, n)
		for i, c := range conns {
			socket := c.PgConn().Conn()
			pipelines[i] = &pipeline{socket, bufio.NewReaderSize(socket, 64<<10), batch}
			if err == nil {
				_, err = c.Prepare(ctx, rawName, sql)
			}
		}
		if err != nil {
			return lane{}, errors.Join(err, disconnect(conns))
		}
		return lane{
			func(context.Context) (figures.Figures, error) {
				done, err := drive(n, t.window(queryWindow), func(i int) error { return pipelines[i].cycle() })
				if err != nil {
					return nil, err
				}
				return figures.Figures{figures.Throughput: done.perSecond() * perBatch, figures.Work: done.work() / perBatch}, nil
			},
			func() error { return disconnect(conns) },
		}, nil
	}}
}

// rawName is the name of the prepared statement.
const rawName = "raw"

// rawBatch is a batch of one statement with the argument 7.
func rawBatch() (batch []byte, err error) {
	for range perBatch {
		for _, m := range []pgproto3.FrontendMessage{
			&pgproto3.Bind{
				PreparedStatement: rawName, ParameterFormatCodes: []int16{1}, Parameters: [][]byte{{0, 0, 0, 7}}, ResultFormatCodes: []int16{1},
			},
			&pgproto3.Execute{},
			&pgproto3.Sync{},
		} {
			if batch, err = m.Encode(batch); err != nil {
				return nil, err
			}
		}
	}
	return batch, nil
}

// pipeline is one connection of them.
type pipeline struct {
	socket  net.Conn
	answers *bufio.Reader
	batch   []byte
}

// cycle writes one batch and reads its answers.
func (p *pipeline) cycle() error {
	if err := p.socket.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := p.socket.Write(p.batch); err != nil {
		return err
	}
	for ready := 0; ready < perBatch; {
		head, err := p.answers.Peek(5)
		if err != nil {
			return err
		}
		switch head[0] {
		case 'Z':
			ready++
		case 'E':
			return errors.New("the server refused a statement of a raw pipeline")
		}
		if _, err := p.answers.Discard(1 + int(binary.BigEndian.Uint32(head[1:]))); err != nil {
			return err
		}
	}
	return nil
}
