package ecosystem

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// DBTX is what code that sqlc generates for pgx/v5 runs on, if it has queries of every kind.
type DBTX interface {
	Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
	Query(context.Context, string, ...any) (pgx.Rows, error)
	QueryRow(context.Context, string, ...any) pgx.Row
	CopyFrom(context.Context, pgx.Identifier, []string, pgx.CopyFromSource) (int64, error)
	SendBatch(context.Context, *pgx.Batch) pgx.BatchResults
}

// Queries is made like sqlc's: a query of each kind, on whatever is a DBTX.
type Queries struct{ db DBTX }

// authors is the table.
const authors = "create table authors (id bigserial primary key, name text not null unique, born int)"

// Author is a row of the table.
type Author struct {
	ID   int64
	Name string
	Born *int32
}

// New makes the queries, as sqlc does.
func New(db DBTX) *Queries { return &Queries{db: db} }

// WithTx makes the queries run in a transaction.
func (q *Queries) WithTx(tx pgx.Tx) *Queries { return &Queries{db: tx} }

// create is a query of the kind :one.
func (q *Queries) create(ctx context.Context, name string, born *int32) (a Author, err error) {
	row := q.db.QueryRow(ctx, "insert into authors (name, born) values ($1, $2) returning id, name, born", name, born)
	err = row.Scan(&a.ID, &a.Name, &a.Born)
	return a, err
}

// list is a query of the kind :many.
func (q *Queries) list(ctx context.Context) (all []Author, err error) {
	rows, err := q.db.Query(ctx, "select id, name, born from authors order by name")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var a Author
		if err := rows.Scan(&a.ID, &a.Name, &a.Born); err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, rows.Err()
}

// clear is a query of the kind :execrows.
func (q *Queries) clear(ctx context.Context) (int64, error) {
	tag, err := q.db.Exec(ctx, "delete from authors")
	return tag.RowsAffected(), err
}

// copyIn is a query of the kind :copyfrom.
func (q *Queries) copyIn(ctx context.Context, names ...string) (int64, error) {
	rows := pgx.CopyFromSlice(len(names), func(i int) ([]any, error) { return []any{names[i]}, nil })
	return q.db.CopyFrom(ctx, pgx.Identifier{"authors"}, []string{"name"}, rows)
}

// rename is a query of the kind :batchexec.
func (q *Queries) rename(ctx context.Context, names map[string]string) error {
	var b pgx.Batch
	for from, to := range names {
		b.Queue("update authors set name = $2 where name = $1", from, to)
	}
	return q.db.SendBatch(ctx, &b).Close()
}

// play uses every kind of query, on a table that is empty before and after.
func (q *Queries) play(ctx context.Context) error {
	born := int32(1815)
	ada, err := q.create(ctx, "Ada", &born)
	if err != nil {
		return err
	}
	if _, err := q.copyIn(ctx, "Grace", "Barbara"); err != nil {
		return err
	}
	if err := q.rename(ctx, map[string]string{"Grace": "Edith", "Barbara": "Carol"}); err != nil {
		return err
	}
	all, err := q.list(ctx)
	if err != nil {
		return err
	}
	if len(all) != 3 || all[0].ID != ada.ID || *all[0].Born != born || all[1].Name != "Carol" || all[2].Name != "Edith" {
		return errors.New("these are not the rows")
	}
	if n, err := q.clear(ctx); err != nil || n != 3 {
		return errors.Join(err, errors.New("these are not all rows"))
	}
	return nil
}

func TestSqlc(t *testing.T) {
	s := plain(t)
	pool := s.pool
	s.exec(t, authors)
	for name, use := range map[string]func(context.Context) error{
		"pool": New(pool).play,
		"lease": func(ctx context.Context) error {
			return pool.With(ctx, func(ctx context.Context, lease *poolactor.Lease) error {
				return New(lease).play(ctx)
			})
		},
		"transaction": func(ctx context.Context) error {
			return pool.WithTx(ctx, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
				return New(pool).WithTx(tx).play(ctx)
			})
		},
		"retried transaction": func(ctx context.Context) error {
			return pool.Retry(ctx, poolactor.RetryPolicy{}, func(ctx context.Context, tx pgx.Tx) error {
				return New(tx).play(ctx)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, use(within(t)))
			s.outage(t, use)
			require.NoError(t, use(within(t)))
		})
	}

	_, err := New(pool).copyIn(within(t), "Ada", "Ada")
	var said *pgconn.PgError
	require.ErrorAs(t, err, &said)
	require.Equal(t, "23505", said.Code)
}
