// Package retry is the actor that opens connections: the only place of a pool that dials, with bounded dials in flight,
// exponential backoff while the server lets nobody in, and scouts that find the end of an outage early.
//
// It is a part of poolactor, which configures and runs it: a program has no need to import it.
//
//	cfg.Retry = poolactor.RetryConfig{Initial: 100 * time.Millisecond, Max: 10 * time.Second}
//	pool, err := poolactor.Open(ctx, cfg)
//
// The actor owns no connection and no queue. What is to be dialled it takes from an Orders, order by order, and each
// order it takes ends exactly once: opened or failed. Its messages are hints that there may be orders. So it may crash
// at any instant: its dials are cancelled and joined, late connections closed, and the next life takes the same orders
// again.
//
// One call of the configured DialFunc is one dial attempt. A way to the server is an address and a TLS mode; every
// attempt leads one way. While the server is believed to be up, an order tries the way that worked last and then, as pgx
// does it, all others. In an outage it tries that way alone, and every other way once per second.
package retry
