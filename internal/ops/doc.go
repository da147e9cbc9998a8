// Package ops is what the daemon shows to probes and to people: an HTTP server with /livez, /readyz, /api/state,
// /metrics and a small page, and the watch that knows whether the daemon is ready.
//
// # When the daemon is ready
//
// Ready means that a call which begins now may expect to be served. It is not ready
//
//   - until it has had its first connection;
//   - while the server lets nobody in, unless open connections still answer: then calls are served by these, and only
//     growth fails;
//   - while every connection is silent, from the first check that got no answer on;
//   - while a group of the tree is being restarted by escalation, and while the pool actor flaps: from 5 restarts within
//     10 s on, until 10 s went by without one;
//   - while the pool is suspended or closed, and once the daemon stops.
//
// The pool knows an outage only by trying. Whenever it has no connection that is trusted, also because nobody needed one,
// the watch itself waits for one as a caller does: so an outage is found, and its end as well, also when nobody calls, or
// when all traffic is held back because of the 503. A daemon thus keeps one connection, whatever its minimum. And where
// connections rest that nobody has asked for longer than the health actor would leave them alone, because there are no rounds
// of checks, the watch asks one.
package ops

import (
	"context"
	"net/http"
	"time"

	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

// Pool is what is shown of a pool. Its methods are safe from any goroutine, and but for WaitReady and Ping never block.
type Pool interface {
	Stat() poolactor.Stat
	Contact() poolactor.Contact
	Slots() []poolactor.SlotState
	Holders() []poolactor.Holder
	Target() poolactor.Target
	WaitReady(ctx context.Context) error
	Ping(ctx context.Context) error
}

var _ Pool = (*poolactor.Pool)(nil)

// Subject is the daemon that is shown.
type Subject struct {
	Version string
	Started time.Time
	Pool    Pool
	// Tree is the whole tree. It is called by many goroutines.
	Tree func() supervisor.Node
	// PoolPath is where the pool is mounted in it, like "root/database/pool".
	PoolPath string
	Journal  *Journal
	// Metrics answers /metrics; nil: there is none.
	Metrics http.Handler
}
