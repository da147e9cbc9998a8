package daemon

import (
	"github.com/seed-4ff2b7b9/supervised/internal/config"
)

// reload reads the configuration again and applies what can change in a running daemon. What cannot is named; what is
// wrong leaves everything as it was.
func (d *daemon) reload() {
	log := &d.log.logger
	next, err := config.Load(d.options.ConfigFile, d.options.Asked)
	if err != nil {
		log.Error().Err(err).Msg("the configuration was not read again: the one in force stays")
		return
	}
	next = d.withEmbedded(next)
	changes := config.Diff(d.cfg, next)
	d.cfg = d.cfg.Adopt(next)
	if err := d.log.setLevel(d.cfg.Log.Level); err != nil {
		log.Error().Err(err).Msg("the level of the log stays as it was")
	}
	d.watch.SetReadyWhileDown(d.cfg.Ops.ReadyWhileDown)
	for _, c := range changes {
		line, what := log.Info(), "changed"
		if !c.Live {
			line, what = log.Warn(), "needs a restart to change"
		}
		line.Str("key", c.Key).Str("from", c.Old).Str("to", c.New).Msg(what)
	}
	log.Info().Int("changes", len(changes)).Msg("the configuration was read again")
}
