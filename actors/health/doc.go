// Package health is the actor that keeps a pool's resting connections honest, and that asks for scouts while the server
// is down.
//
// It is a part of poolactor, which configures and runs it: a program has no need to import it.
//
//	cfg.Health = poolactor.HealthConfig{Interval: time.Second}
//	pool, err := poolactor.Open(ctx, cfg)
//
// It has three duties:
//   - every Config.Interval it looks at all resting sockets and sends SELECT 1 over those that nothing has proved lately;
//   - on a hint of the pool it looks at all of them, or verifies all of them, at once;
//   - while the server is down it asks for a scout, one real log-in in spite of the backoff, every Config.ScoutEvery
//     while somebody waits, every Config.ScoutSlow otherwise.
//
// The actor owns nothing: what it knows of connections and outages it asks its Pool at each step, so a crash at any
// instant loses nothing that the next life does not find again.
//
// Beside the actor, the package has the pure functions by which a pool draws its conclusions in the goroutine of whoever
// met an error: Grade, Judge and Bound.
package health
