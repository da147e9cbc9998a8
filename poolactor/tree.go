package poolactor

import (
	"time"

	"github.com/thejerf/suture/v4"

	"github.com/seed-4ff2b7b9/supervised/actors/health"
	"github.com/seed-4ff2b7b9/supervised/actors/retry"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

// stopMargin is what the ordered stop of the pool's actors may take beside the draining of leases: each of them only
// cancels and joins its own work.
const stopMargin = 5 * time.Second

func (p *Pool) stopTimeout() time.Duration { return p.cfg.DrainTimeout + 3*stopMargin }

// assemble builds the pool's actors and their tree: the pool actor alone in one group, so that nothing else's crashes
// can put it into backoff, and those that keep it up in the other.
func (p *Pool) assemble() error {
	cc := p.cfg.connConfig()
	p.actor = &poolActor{p: p}
	p.retry = retry.New(retry.Config{
		ConnConfig:     cc,
		Dial:           p.cfg.DialFunc,
		CancelDial:     p.cfg.CancelDialFunc,
		Lookup:         p.cfg.LookupFunc,
		BeforeConnect:  p.cfg.BeforeConnect,
		AfterConnect:   p.cfg.AfterConnect,
		Panicked:       p.tellPanic,
		ConnectTimeout: p.cfg.ConnectTimeout,
		Initial:        p.cfg.Retry.Initial,
		Max:            p.cfg.Retry.Max,
		MaxRetries:     offIfZero(p.cfg.Retry.MaxRetries),
		Jitter:         offIfZero(p.cfg.Retry.Jitter),
		MaxDials:       p.cfg.Retry.MaxDials,
		Logger:         p.cfg.Logger,
		Target:         p.target,
	}, orders{p})
	p.health = health.New(health.Config{
		Interval: offIfZero(p.cfg.Health.Interval),
		Timeout:  p.cfg.Health.Timeout,
	}, patients{p})
	p.desk = newDesk(p)
	tree, err := supervisor.New(supervisor.Config{Logger: p.cfg.Logger}, supervisor.Group{
		Name:        "data",
		StopTimeout: stopMargin,
		Children: []supervisor.Child{{
			Name:        "pool",
			New:         func() suture.Service { return p.actor },
			Restart:     p.cfg.Supervision.pool(),
			StopTimeout: stopMargin,
		}},
	}, supervisor.Group{
		Name:        "upkeep",
		StopTimeout: 2 * stopMargin,
		Children: []supervisor.Child{
			p.upkeep("retry", func() suture.Service { return p.retry }),
			p.upkeep("health", func() suture.Service { return p.health }),
			p.upkeep("desk", func() suture.Service { return p.desk }),
			p.upkeep("janitor", func() suture.Service { return &janitor{p: p} }),
		},
	})
	if err != nil {
		return err
	}
	p.tree = tree
	return nil
}

// upkeep is a part of the pool beside its actor. A crash may have swallowed the last hint of the life before, so each life
// begins with the pool actor looking at every slot, and the health actor at the outage.
func (p *Pool) upkeep(name string, life func() suture.Service) supervisor.Child {
	begin := func() suture.Service {
		p.rescan.Store(true)
		p.wake()
		p.noticeOutage()
		return life()
	}
	return supervisor.Child{Name: name, New: begin, Restart: p.cfg.Supervision.Upkeep, StopTimeout: 2 * time.Second}
}

// offIfZero undoes withDefaults for a part whose own zero value means the default.
func offIfZero[T int | float64 | time.Duration](v T) T {
	if v == 0 {
		return -1
	}
	return v
}
