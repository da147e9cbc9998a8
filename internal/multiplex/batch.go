package multiplex

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// MaxBatch is how many statements a batch may have that shares; a longer one would keep its neighbours waiting.
const MaxBatch = 32

// Batch runs several statements as one transaction. Its errors are those of Exec.
func (g *Group) Batch(ctx context.Context, b *pgx.Batch, statements []Statement, o Options) (pgx.BatchResults, error) {
	r, err := g.run(ctx, statements, o)
	if err != nil {
		return nil, err
	}
	return &batchResults{group: g, r: r, b: b}, nil
}

// batchResults are the answers to a batch, which are there as a whole.
type batchResults struct {
	group *Group
	r     *request // nil when they are closed
	b     *pgx.Batch
	at    int   // the next result
	last  *Rows // those that were given out last
	err   error // nothing can be had after it
}

var (
	errBatchClosed = errors.New("batch already closed")
	errBatchOver   = errors.New("no more results in batch")
)

// next is the part whose turn it is.
func (br *batchResults) next() (int, error) {
	br.settle()
	switch {
	case br.err != nil:
		return 0, br.err
	case br.r == nil:
		return 0, errBatchClosed
	case br.at == len(br.r.parts):
		return 0, errBatchOver
	default:
		br.at++
		return br.at - 1, nil
	}
}

// settle closes the rows that were given out last: the next result is asked for.
func (br *batchResults) settle() {
	if br.last == nil {
		return
	}
	br.last.Close()
	if br.err == nil {
		br.err = br.last.Err()
	}
	br.last = nil
}

// refusal is the server's error of a part. That of the transaction as a whole comes with Close.
func (br *batchResults) refusal(i int) error {
	if e := br.r.parts[i].err; e != nil {
		return e
	}
	return nil
}

// Exec is the next result, without its rows.
func (br *batchResults) Exec() (pgconn.CommandTag, error) {
	i, err := br.next()
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	br.err = br.refusal(i)
	return pgconn.NewCommandTag(br.r.parts[i].tag), br.err
}

// Query is the next result.
func (br *batchResults) Query() (pgx.Rows, error) {
	i, err := br.next()
	if err != nil {
		return &Rows{err: err}, err
	}
	br.last = newRows(br.r, &br.r.parts[i], br.refusal(i), nil)
	return br.last, nil
}

// QueryRow is the next result, of which one row is read.
func (br *batchResults) QueryRow() pgx.Row {
	rows, err := br.Query()
	return batchRow{rows, err}
}

// Close calls the functions of those results that were not read, and ends the batch.
func (br *batchResults) Close() error {
	br.settle()
	if br.r == nil {
		return br.err
	}
	for at := br.at; br.err == nil && at < len(br.b.QueuedQueries); at = max(at+1, br.at) {
		if f := br.b.QueuedQueries[at].Fn; f == nil {
			_, _ = br.Exec() // its error is kept
		} else if err := f(br); err != nil {
			br.err = err
		}
		br.settle()
	}
	r := br.r
	if br.r = nil; br.err == nil && r.failed != nil {
		br.err = r.failed
	}
	br.group.recycle(r)
	return br.err
}

// Tx is nil: a batch that begins a transaction does not share.
func (br *batchResults) Tx() pgx.Tx { return nil }

// batchRow is the one row of a QueryRow.
type batchRow struct {
	rows pgx.Rows
	err  error
}

func (r batchRow) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return pgx.ErrNoRows
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	r.rows.Close()
	return r.rows.Err()
}
