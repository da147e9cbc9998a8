// Package stdlib is a pool as a *sql.DB, for programs on database/sql and for whatever is built on it: object mappers, query
// builders, migration tools.
//
//	pool, err := poolactor.Open(ctx, cfg)
//	if err != nil {
//		return err
//	}
//	defer pool.Close()
//	db := stdlib.OpenDB(pool)
//	defer db.Close() // closes db, not the pool
//
// It does what github.com/jackc/pgx/v5/stdlib does, on the pool's connections; MIGRATING.md lists what differs.
//
// # Connections are leases
//
// Each call of db leases a connection and gives it back when it is over: a query with its rows, a transaction with its end,
// a sql.Conn with its Close. db keeps none for itself, whatever SetMaxIdleConns says, and needs no limit of its own, since
// the pool is one: leave SetMaxOpenConns as it is. What a call has changed about its session is gone with it, as
// poolactor.ResetPolicy says: a temporary table, a SET or an advisory lock is for a transaction or a sql.Conn.
//
// So a call waits for a connection as poolactor.Pool.Acquire does, as long as its context allows, and an outage of the
// server is a part of that wait. What comes of it without a connection is the error of Acquire, to be matched through db:
// *poolactor.ExhaustedError, *poolactor.UnavailableError, poolactor.ErrClosed. Give calls a deadline. What the pool
// knows of its users it knows of those of db: a label from poolactor.WithLabel, Holders, LeaseMaxAge. One and the same pool can
// serve db and others.
//
// # When something is sent twice
//
// database/sql repeats a call whose driver answers driver.ErrBadConn, twice at most. This one does so only if the connection was
// lost before a byte of the call's statement was written to it; the error wraps the cause as well. Anything else that was
// under way may have happened at the server, so its error is returned to whoever called, and a COMMIT that was not answered
// matches poolactor.ErrOutcomeUnknown. To have transactions repeated, use poolactor.Pool.Retry. A repeated call asks the pool for
// a lease like a new one, which Config.MaxWaiters can turn away.
//
// # Arguments and results
//
// Placeholders are PostgreSQL's, $1 and $2. Arguments are pgx's: slices, maps, and types of package pgtype are sent as they
// are. The first of them may be options of pgx: a pgx.QueryExecMode, pgx.QueryResultFormats, pgx.QueryResultFormatsByOID or
// a pgx.QueryRewriter as pgx.NamedArgs. The name of a sql.Named is not looked at. Results that database/sql cannot scan, as
// slices, structs and the types of pgtype, are scanned by pgx if the program was built with Go 1.27 or later. With each
// version there is pgtype.Map.SQLScanner:
//
//	var numbers []int64
//	err := db.QueryRowContext(ctx, "select '{1,2,3}'::bigint[]").Scan(pgtype.NewMap().SQLScanner(&numbers))
//
// # Prepared statements
//
// A sql.Stmt outlives the leases on which it is executed. The server is asked about a text when it is first prepared on the
// pool; from then on, to prepare it costs no round trip. It is executed through pgx's cache of statements, which each
// connection has and keeps over its leases, and which bounds itself (ConnConfig.StatementCacheCapacity). So an execution
// costs one round trip on a connection that has met the text, and nothing has to be deallocated. In pgx's modes other than
// pgx.QueryExecModeCacheStatement nothing stays on the server: connections remember what it said about the types
// (ConnConfig.DescriptionCacheCapacity), or ask again each time.
//
// # The connection below
//
//	err := conn.Raw(func(driverConn any) error { // conn is a *sql.Conn
//		_, err := driverConn.(*stdlib.Conn).Conn().CopyFrom(ctx, table, columns, rows)
//		return err
//	})
package stdlib
