// Package poolactor is a PostgreSQL connection pool in which one supervised actor owns every connection.
//
//	cfg, err := poolactor.ParseConfig(os.Getenv("DATABASE_URL"))
//	pool, err := poolactor.Open(ctx, cfg)
//
// A caller leases a connection, uses it and releases it:
//
//	lease, err := pool.Acquire(ctx)
//	if err != nil {
//		return err
//	}
//	defer lease.Release()
//	rows, err := lease.Query(ctx, "select ...")
//
// or lets the pool do that around one statement (Exec, Query, QueryRow, SendBatch, CopyFrom), one function (With) or
// one transaction (WithTx, or Retry, which runs it again after a serialization failure, a deadlock, or the loss of the
// connection before COMMIT was sent). Other actors lease by message, through Ref.
//
// # An outage is latency
//
// While the server is down, calls wait: those with a deadline until it, those without until the retry schedule is
// exhausted (15.5 seconds with the defaults). A call fails from a fault of the server only if it held a lease on a
// backend that died, or got one within two milliseconds after. One actor dials, however many callers wait, and the end
// of the outage is found within 100 milliseconds or so by a log-in that is tried every 75.
//
// # More calls than connections
//
// Calls that find every connection leased wait in the order in which they came. Two settings, both off by default, tell a
// call at once that waiting is no use: Config.MaxWaiters bounds the queue, and Config.ShedByDeadline turns away those whose
// deadline would pass before their turn, as long as leases last as they lately did. The errors match ErrTooManyWaiters and
// ErrShed. A call for which a connection is free or can be opened is never turned away, nor one that was let in before.
//
// # What is repeated
//
// A statement is sent a second time only if the pool leased the connection for it and not a byte of it was written: the
// pool counts on the socket, above TLS, and does not rely on what pgx says about its errors. That holds for Exec, Query,
// QueryRow, SendBatch, CopyFrom (until rows were read), Ping and the BEGIN of WithTx and Retry, twice at most. A
// statement of a Lease is never repeated: with the connection its session is gone.
//
// # Several hosts
//
// With host=a,b and target_session_attrs=read-write the pool follows whichever server takes writes. A failover is an outage
// like any other. Where the old primary lives on and refuses to write, the first write that it refuses makes every
// connection show what its server is before anybody gets it. A READ ONLY transaction of the caller's own ends in the same
// error, and changes nothing for its connection.
//
// # Leases that do not come back
//
// A lease that nobody refers to any more is found by the garbage collector. One that is held for long is told about after
// Config.LeaseWarnAfter, and taken away after Config.LeaseMaxAge, which is off by default: its statement is cancelled, its
// connection closed, its place serves others, and its holder gets ErrRevoked. Each is an event and a line in the log with
// the label, the time and, with Config.RecordStacks, the stack of the Acquire; Holders and the errors of callers that
// wait in vain name who has what.
//
// # Maintenance
//
// Resize, Suspend, Resume and Evict are wishes that stand beside the slots, so they hold while every connection is busy
// and outlive crashes of the actors. After Suspend and Evict no connection is open, and none is opened before Resume;
// callers wait meanwhile.
//
// # Looking at it
//
// Stat, Holders, Slots, Contact and Snapshot are pictures of the moment: they never block, and work while the pool's actor
// is down. Events tells what happens; a reader that is slow loses some, which Stat counts. Config.Logger gets one line for
// each event, and one for a storm of them; docs/logs.md in this module lists events and fields.
//
// Config.Tracer is told of each lease, how long it was waited for and held, and, if it is a DialTracer as well, of each
// attempt to open a connection. The packages poolprom and poolotel below this one are tracers that show the pool to
// Prometheus and OpenTelemetry; Tracers joins several. Statements are not the pool's: ConnConfig.Tracer takes any
// pgx.QueryTracer.
//
// # Hooks
//
// Config.BeforeConnect may change each dial, its password above all; AfterConnect makes a connection ready, BeforeClose sees
// it go. A panic in one of them, in a tracer or in the source of a CopyFrom ends no more than what it was for. One in a method
// of a value that CopyFrom encodes (driver.Valuer) ends the process: pgx calls it in a goroutine of its own.
//
// # Tests
//
// Package pooltest is a PostgreSQL in memory for the unit tests of programs that use a pool: it answers what a test tells it
// to, and fails when the test wants it to.
//
// # How it works
//
// Every connection has a slot, and every slot a word that says who may use it; words change by compare-and-swap only.
// Channel messages between callers and the actor are hints: one may be lost, late or doubled, because whoever receives
// it believes the word. So a release reaches the next caller without a turn of the actor, and the actor may crash
// between any two steps: its next life reads the words. See ARCHITECTURE.md for the whole way of a lease.
//
// # Shared statements
//
// Pool.Shared runs statements of many callers over a few connections, without a lease for each: what waits is written at once,
// and answered one by one. Only plain statements that are transactions by themselves can be run so; the others are refused, or
// have a lease. The shared connections are leases that the pool gives to itself, so all that is said about leases holds for
// them.
//
// # What it cannot see
//
// A session that a lease has changed is cleaned before the next one gets it, and an unchanged one costs nothing; see
// ResetPolicy. What is a change is known from the wire: from the texts that are sent (SET, set_config, CREATE TEMP,
// pg_advisory_lock, PREPARE and the like, wherever they stand: a word too many costs a round trip) and from the tags of
// the server's answers. A statement that was prepared is known by its name when it runs. So a change by a function, a
// procedure, a trigger or a view that does it inside is not seen, unless its text is: ResetFull is for programs that rely
// on such. What was written to the socket past pgx is not read, but counts as if it had changed everything.
//
// Lease.Raw, Tx.Conn, Rows.Conn and Tx.LargeObjects hand out the raw connection, which no fence protects: what they give,
// kept after Release, reaches the next holder. What they change before that is seen as any other change.
package poolactor
