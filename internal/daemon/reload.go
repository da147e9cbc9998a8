package daemon

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"github.com/seed-4ff2b7b9/supervised/internal/config"
)

// reload reads the configuration again and applies what can change in a running daemon. What cannot is named; what is
// wrong leaves everything as it was.
func (d *daemon) reload(ctx context.Context) {
	log := d.log
	next, err := config.Load(d.options.ConfigFile, d.options.Asked)
	if err != nil {
		log.line(zerolog.ErrorLevel, "reload_failed").AnErr("cause", err).Msg("the configuration was not read again: the one in force stays")
		return
	}
	next = d.withEmbedded(next)
	changes := config.Diff(d.cfg, next)
	d.cfg = d.cfg.Adopt(next)
	if err := d.log.setLevel(d.cfg.Log.Level); err != nil {
		log.line(zerolog.ErrorLevel, "reload_failed").AnErr("cause", err).Msg("the level of the log stays as it was")
	}
	d.front.watch.SetReadyWhileDown(d.cfg.Ops.ReadyWhileDown)
	if err := d.pool.LimitLeases(time.Duration(d.cfg.Lease.WarnAfter), time.Duration(d.cfg.Lease.MaxAge)); err != nil {
		log.line(zerolog.ErrorLevel, "reload_failed").AnErr("cause", err).Msg("the limits of leases stay as they were")
	}
	d.resize(ctx)
	for _, c := range changes {
		level, what := zerolog.InfoLevel, "changed"
		if !c.Live {
			level, what = zerolog.WarnLevel, "needs a restart to change"
		}
		log.line(level, "setting_changed").Str("key", c.Key).Str("from", c.Old).Str("to", c.New).Msg(what)
	}
	log.line(zerolog.InfoLevel, "reloaded").Int("count", len(changes)).Msg("the configuration was read again")
}

// resizeBound is how long a reload waits for the pool to take on its new size: longer than the wait before a restart of
// the pool, as configured by default.
const resizeBound = 2 * time.Second

// resize gives the pool the configured size, if it has another. The size is a wish that outlives the wait for it.
func (d *daemon) resize(ctx context.Context) {
	log, want, now := d.log, d.cfg.Database, d.pool.Stat()
	if want.PoolMinSize == now.Min && want.PoolMaxSize == now.Max {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, resizeBound)
	defer cancel()
	if err := d.pool.Resize(ctx, want.PoolMinSize, want.PoolMaxSize); err != nil {
		log.line(zerolog.WarnLevel, "resize_pending").AnErr("cause", err).Msg("the pool has not taken on its new size yet: it does when its actor runs")
	}
	if d.embedded.Load() != nil && want.PoolMaxSize > d.room {
		log.line(zerolog.WarnLevel, "resize_without_room").Int("pool_max_size", want.PoolMaxSize).Int("room", d.room).
			Msg("the throwaway server has no room for so many connections before the daemon is restarted")
	}
}
