package ecosystem

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/pgvector/pgvector-go"
	pgxvector "github.com/pgvector/pgvector-go/pgx"
	"github.com/stretchr/testify/require"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres/pgtest"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
)

// standIn is a type that the extension's client takes for the extension's: it keeps what comes in binary, and has nothing
// to compare it by.
const standIn = `
create type vector;
create function vector_in(cstring) returns vector language internal immutable strict as 'byteain';
create function vector_out(vector) returns cstring language internal immutable strict as 'byteaout';
create function vector_receive(internal) returns vector language internal immutable strict as 'bytearecv';
create function vector_send(vector) returns bytea language internal immutable strict as 'byteasend';
create type vector (input = vector_in, output = vector_out, receive = vector_receive, send = vector_send, storage = extended);
`

// vectors is a stage with a table of vectors, whose pool registers their type on each of its connections.
func vectors(t *testing.T, setup string) *stage {
	t.Helper()
	server := pgtest.Own(t, postgres.Options{})
	beside := connect(t, server)
	_, err := beside.Exec(within(t), setup+"; create table items (id bigint primary key, embedding vector)")
	require.NoError(t, err)
	return set(t, server, func(cfg *poolactor.Config) { cfg.AfterConnect = pgxvector.RegisterTypes })
}

// connect is a connection beside the pool.
func connect(t *testing.T, server *postgres.Server) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(within(t), server.DSN())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// items are two vectors that do not point the same way.
var items = []pgvector.Vector{pgvector.NewVector([]float32{1, 0, 0}), pgvector.NewVector([]float32{0, 2, 0.5})}

// insert puts the items into the table.
func insert(t *testing.T, s *stage) {
	t.Helper()
	for i, item := range items {
		_, err := s.pool.Exec(within(t), "insert into items values ($1, $2)", i, item)
		require.NoError(t, err)
	}
}

// With the types known to its connections, the pool takes and gives vectors as such, also on connections that were opened
// after an outage.
func TestPgvectorTypes(t *testing.T) {
	s := vectors(t, standIn)
	insert(t, s)
	ask := func(ctx context.Context) error {
		rows, _ := s.pool.Query(ctx, "select embedding from items order by id")
		found, err := pgx.CollectRows(rows, pgx.RowTo[pgvector.Vector])
		if err == nil {
			require.Equal(t, items, found)
		}
		return err
	}
	require.NoError(t, ask(within(t)))
	opened := s.pool.Stat().Opened
	s.outage(t, ask)
	require.Greater(t, s.pool.Stat().Opened, opened)
}

func TestPgvector(t *testing.T) {
	var there bool
	row := connect(t, pgtest.Server(t)).QueryRow(within(t), "select exists (select from pg_available_extensions where name = 'vector')")
	require.NoError(t, row.Scan(&there))
	if !there {
		t.Skip("PostgreSQL has no extension vector here: it is in the package postgresql-<version>-pgvector of apt.postgresql.org")
	}
	s := vectors(t, "create extension vector")
	insert(t, s)
	nearest := func(ctx context.Context) error {
		var id int
		row := s.pool.QueryRow(ctx, "select id from items order by embedding <-> $1 limit 1", pgvector.NewVector([]float32{0, 1, 0}))
		err := row.Scan(&id)
		if err == nil {
			require.Equal(t, 1, id)
		}
		return err
	}
	require.NoError(t, nearest(within(t)))
	s.outage(t, nearest)
}
