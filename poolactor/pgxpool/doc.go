// Package pgxpool is the pool of github.com/jackc/pgx/v5/pgxpool over a supervised one: change the import path, and what
// is built on a *pgxpool.Pool works as before and outlives its server.
//
//	import "github.com/seed-4ff2b7b9/supervised/poolactor/pgxpool" // was "github.com/jackc/pgx/v5/pgxpool"
//
//	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
//	if err != nil {
//		return err
//	}
//	defer pool.Close()
//
// # What is the same
//
// Names, signatures and meaning are those of pgxpool 5.12: the pool_* settings of the connection string, [Config] with all
// of its fields, the hooks and when they are called, the rows that give their connection back at their end, on an error and
// when the Scan of a QueryRow panics, the batch whose transaction keeps its connection, the figures of [Stat], the tracers.
// Types that come from pgx itself (pgx.Tx, pgx.Rows, pgconn.CommandTag ...) are pgx's own. The types of this package are
// not those of pgxpool: a library that asks for a *pgxpool.Pool by name takes no other.
//
// # What is different
//
// On purpose, and in the table of MIGRATING.md, each with its reason. What matters most:
//
//   - An outage is waited out. Calls wait as long as their context allows; one without a deadline gives up after about
//     15 s, with a *poolactor.UnavailableError that says why. Nobody dials beside the pool's own schedule.
//   - A statement whose context ends is cancelled at the server, and its connection lives on.
//   - What a caller has changed about a session (SET, temporary tables, locks, LISTEN) is undone before the next one has it.
//   - [Pool.Close] waits 10 s for connections to come back, not for ever.
//   - A panic in a hook or a tracer is an error of the call that it was for, or an event, and never the end of the process.
//     One in a method of a value that CopyFrom encodes (driver.Valuer) still is, since pgx calls it in a goroutine of its own.
//
// # What is more
//
// [Pool.Supervised] is the pool below: its events, who holds what, suspend and resume, resize, a shutdown that names
// whoever is late. [Config.Tune] changes what a [Config] has no field for:
//
//	config.Tune = func(c *poolactor.Config) {
//		c.Logger = &logger
//		c.DrainTimeout = 30 * time.Second
//		c.Retry.FailFast = true // as little patience with a deadline as without
//	}
package pgxpool
