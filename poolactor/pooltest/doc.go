// Package pooltest is a PostgreSQL server in memory, for the unit tests of programs that use a pool.
//
//	server := pooltest.New()
//	t.Cleanup(server.Close)
//	pool, err := poolactor.Open(ctx, server.Config())
//
// It speaks the wire protocol, so the program under test uses its real pool, and a pool of its own or pgx alone works as
// well (Server.ConnConfig). There is no network, no process, and no table: a Server answers what the test has told it to,
// and fails when the test wants it to.
//
// # Answers
//
// Answer says what a statement returns. Columns take their types from the values, which may be whatever pgx can encode:
//
//	server.Answer("select id, name from users where login = $1", pooltest.Answer{
//		Columns: []string{"id", "name"},
//		Rows:    [][]any{{int64(1), "Ada Lovelace"}},
//	})
//
// Several answers are given one after another, and the last of them from then on. So this update meets a serialization
// failure once, which Pool.Retry is expected to get over:
//
//	server.Answer("update accounts set balance = balance - $1",
//		pooltest.Answer{Err: &pgconn.PgError{Code: "40001"}},
//		pooltest.Answer{Tag: "UPDATE 1"},
//	)
//
// Answers with Args are for calls with these arguments only:
//
//	server.Answer("select name from users where id = $1",
//		pooltest.Answer{Args: []any{1}, Columns: []string{"name"}, Rows: [][]any{{"Ada"}}},
//		pooltest.Answer{Args: []any{2}}, // there is no such user
//	)
//
// Statements are compared as the server reads them: spaces, comments and the case of words make no difference. In the
// exec mode QueryExecModeSimpleProtocol pgx writes arguments into the text, which makes another statement of it.
//
// # What is answered without being told
//
// Transactions and savepoints with their real status, settings (SET, SHOW, set_config, start-up parameters), DISCARD ALL,
// selects of constants and parameters, with generate_series, pg_sleep, pg_backend_pid and the like. INSERT, UPDATE, DELETE
// and DDL succeed, on one row each. "fail 23505" fails with the SQLSTATE that it names. Everything else, a select from a
// table above all, is an error that names the statement for which there is no answer. Notifications do not exist.
//
// CopyFrom counts the rows that come. Before that pgx asks for the types of the columns, which Answer has to know:
//
//	server.Answer(`select "id", "name" from "users"`, pooltest.Answer{Columns: []string{"id::int8", "name"}})
//	n, err := pool.CopyFrom(ctx, pgx.Identifier{"users"}, []string{"id", "name"}, pgx.CopyFromRows(rows))
//
// # Faults
//
// Stop and Start are an outage, StopBehindProxy one behind something that still takes connections. Kill and Terminate end
// what is connected, Freeze makes everything hang, Delay makes it slow, Refuse and RequirePassword turn log-ins away. An
// Answer may be late, an error, or the end of its connection.
//
// # Time
//
// Everything in a Server waits on channels and timers only. In a testing/synctest bubble, in which the server is made,
// delays, time-outs, backoff and the pool's whole schedule take fake time: an outage of an hour is over in milliseconds.
//
//	synctest.Test(t, func(t *testing.T) {
//		server := pooltest.New()
//		defer server.Close()
//		pool, err := poolactor.Open(t.Context(), server.Config())
//		...
//		defer pool.Close()
//		server.Stop()
//		time.AfterFunc(time.Hour, server.Start)
//		err = pool.Ping(deadlineInTwoHours) // nil
//	})
package pooltest
