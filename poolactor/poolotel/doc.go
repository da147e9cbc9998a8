// Package poolotel shows a pool to OpenTelemetry, by its semantic conventions for database clients: a span for each time
// that somebody asks for a connection, and the metrics of the pool.
//
//	cfg.Tracer = poolotel.New(poolotel.Config{})
//	pool, err := poolactor.Open(ctx, cfg)
//
// That is all: the pool shows itself to its tracer when it is made. With a tracer of your own beside it,
// poolactor.Tracers joins both. Spans and metrics go to the providers that are set globally, unless Config has others; who
// wants only one of both gives it, and a noop provider for the other. A pool without the tracer pays nothing. With it, and
// providers that do nothing, a lease costs about 0.2 microseconds more.
//
// # Spans
//
// A span is called "acquire" and the database's name, is a child of the span in the caller's context, and ends when there
// is a lease or an error. It carries db.system.name, db.namespace, server.address, server.port and
// db.client.connection.pool.name; when there is no lease also error.type, which is one of a few words (exhausted,
// unavailable, too_many_waiters, shed, closed, stopped, deadline_exceeded, canceled), and db.response.status_code, if it was
// the server that refused; when there is one supervised.backend.pid, the server's process. Its kind is internal: an acquire
// that finds a connection free asks no server anything.
//
// Statements are traced by pgx, not here: any pgx.QueryTracer works with this pool as it does elsewhere. Set it as
// Config.ConnConfig.Tracer.
//
// # Metrics
//
// db.client.connection.count, .max, .idle.max, .idle.min, .pending_requests, .timeouts, .create_time, .wait_time and
// .use_time. Of the two states that the conventions have, connections that are checked or cleaned count as used, and those
// that are being opened or closed are left out. The most that may be idle is the pool's size, the least is Config.MinIdle.
// Histograms advise buckets from 0.1 milliseconds to 10 seconds; a view of your SDK can set others.
package poolotel
