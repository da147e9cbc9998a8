// Package fakepg is an in-memory PostgreSQL server for tests: it speaks enough of the wire protocol for pgx, needs no
// network, and fails on demand.
//
// Everything in it waits on channels and timers only, so it works inside a testing/synctest bubble, where pg_sleep and
// delays take fake time, as well as outside of one. A Server used in a bubble must be made in it.
//
//	server := fakepg.New()
//	defer server.Close()
//	conn, err := pgx.ConnectConfig(ctx, server.Config())
//
// It understands:
//   - select of numbers, strings, parameters and casts ($1::int), pg_backend_pid(), pg_sleep(n), pg_is_in_recovery(),
//     pg_terminate_backend(pid), current_setting(name), set_config(name, value, is_local), and as many rows of it as
//     "from generate_series(1, n)" asks for;
//   - begin, commit, rollback and savepoints with the right transaction status, an aborted transaction included;
//   - set, set local, reset, show, discard all, deallocate; pg_sleep obeys statement_timeout;
//   - insert, update, delete, create, listen, declare and the like, pg_advisory_lock(n) and pg_advisory_unlock_all(),
//     which do nothing but answer;
//   - "fail CODE", which answers with an ERROR of that SQLSTATE.
//
// Both the simple and the extended protocol are spoken. A parameter of a select without a cast has the type that Parse
// names, or text; those of other statements have whatever type the client takes for the value's. COPY from the client
// counts the rows and forgets them. Notifications, cursors and tables with rows in them do not exist here. Server.Script answers what the server does not understand, or
// otherwise.
package fakepg

// DSN leads to a Server, if its Dial and Lookup are the configuration's DialFunc and LookupFunc.
const DSN = "postgres://app:secret@db.test:5432/app?sslmode=disable"

// Address is what Lookup answers for every name: an address that is reserved for documentation.
const Address = "192.0.2.1"
