package lab

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/test/chaos/container"
)

// Rows 5 to 7, and the slowest line of row 8: a server or a network that says nothing, for less or for longer than callers
// wait, or says it late.

// healthTimeout is the pool's default: a connection that is silent for longer is suspected.
const healthTimeout = time.Second

func silences() []Row {
	var rows []Row
	for _, still := range []time.Duration{3 * time.Second, 15 * time.Second} {
		seconds := int(still.Seconds())
		rows = append(rows, Row{
			ID: fmt.Sprintf("5-%d", seconds), Fault: fmt.Sprintf("every process of the server stopped for %v", still),
			Short: still < 10*time.Second, Bounds: []Bound{NothingFails, DialsWithin(80)}, Run: standsStill(still),
		}, Row{
			ID: fmt.Sprintf("5-%dc", seconds), Fault: fmt.Sprintf("container paused for %v", still), Container: true,
			Bounds: []Bound{NothingFails, DialsWithin(80)}, Run: contained(pauses(still)),
		})
	}
	rows = append(rows, Row{
		ID: "5-15i", Fault: "black hole for 15s under connections that mostly rest", Bounds: []Bound{NothingFails, DialsWithin(80)},
		Run: through(resting, func(ctx context.Context, x *Experiment, p *proxied) error {
			return x.sitOut(ctx, 15*time.Second, func() error { p.proxy.Freeze(); return nil }, p.proxy.Heal)
		}),
	})
	beyond := []Bound{DialsWithin(80), TookWithin(returning, 50*time.Millisecond), FirstWithin(recovery)}
	return append(rows, Row{
		ID: "6-syn", Fault: "host gone for 5 s: no SYN answered, connections silent, reset at its return; deadlines of 2 s",
		Timed: true, Bounds: beyond, Run: through(hurried, hostGone),
	}, Row{
		ID: "6-hole", Fault: "black hole of 5 s, deadlines of 2 s", Timed: true, Bounds: beyond, Run: through(hurried, blackHole),
	}, Row{
		ID: "6-idle", Fault: "black hole of 5 s under connections that mostly rest, deadlines of 2 s", Timed: true,
		Bounds: beyond, Run: through(restingHurried, blackHole),
	}, Row{
		ID: "7-100", Fault: "100 ms more each way, for 5 s", Bounds: []Bound{NothingFails}, Run: through(thinking, slow(100*time.Millisecond, 5*time.Second)),
	}, Row{
		ID: "7-2000", Fault: "2 s more each way, for 16 s", Bounds: []Bound{NothingFails}, Run: through(thinking, slow(2*time.Second, 16*time.Second)),
	}, Row{
		ID: "8-rate", Fault: "1 byte a second for 5 s, deadlines of 2 s", Timed: true, Bounds: beyond, Run: through(hurried, trickle),
	})
}

// hurried callers have deadlines that are shorter than the fault.
func hurried(s *Setup) { s.Patience = 2 * time.Second }

// restingHurried is both.
func restingHurried(s *Setup) {
	hurried(s)
	resting(s)
}

// resting: more connections than calls, so that a fault finds most of them unused but proved within the last second, and
// calls come one after the other while nothing is known of it.
func resting(s *Setup) {
	s.Callers, s.Think = 20, 3*time.Second
	s.Tuning.Ours = func(c *poolactor.Config) { c.MinSize = defaultSize }
}

// thinking callers leave connections alone for long enough that they are checked before they are handed out.
func thinking(s *Setup) { s.Callers, s.Think = 12, 3*time.Second }

// standsStill stops and continues the processes of a local server.
func standsStill(still time.Duration) func(context.Context, *Lab, Kind) (Result, error) {
	return func(ctx context.Context, l *Lab, k Kind) (Result, error) {
		return l.on(ctx, k, postgres.Options{}, Setup{}, func(x *Experiment, server *postgres.Server) error {
			return x.sitOut(ctx, still, server.Pause, server.Unpause)
		})
	}
}

func pauses(still time.Duration) func(context.Context, *Experiment, *container.Server) error {
	return func(ctx context.Context, x *Experiment, server *container.Server) error {
		return x.sitOut(ctx, still, func() error { return server.Pause(ctx) }, func() error { return server.Unpause(ctx) })
	}
}

// sitOut lets a silence begin and end, holds that calls were under way all the time, and lets some more be made.
func (x *Experiment) sitOut(ctx context.Context, length time.Duration, begin, end func() error) error {
	f := x.Strike(ctx)
	if err := begin(); err != nil {
		return err
	}
	from := time.Now()
	Pass(ctx, length)
	to := time.Now()
	if err := end(); err != nil {
		return err
	}
	x.Accepted(ctx, f, to, 0)
	Pass(ctx, 500*time.Millisecond)
	if !x.load.anyThroughout(from, to) {
		x.Fail("no call was under way from the beginning to the end")
	}
	return nil
}

// hostGone is the loss of a machine: nothing answers, and when it is back it knows nothing of the old connections.
func hostGone(ctx context.Context, x *Experiment, p *proxied) error {
	f := x.Strike(ctx)
	p.proxy.Freeze()
	p.proxy.Refuse()
	silent, err := beDeaf(p.proxy.Address())
	if err != nil {
		return err
	}
	heard := x.meter.heard()
	Pass(ctx, time.Until(f.At.Add(5*time.Second)))
	p.proxy.ResetAll()
	if err := errors.Join(silent.close(), p.proxy.Heal()); err != nil {
		return err
	}
	x.outlasted(ctx, f, heard)
	return nil
}

// blackHole: the network takes everything, answers nothing, and delivers all of it when it is over.
func blackHole(ctx context.Context, x *Experiment, p *proxied) error {
	f := x.Strike(ctx)
	p.proxy.Freeze()
	Pass(ctx, 100*time.Millisecond) // for what was under way
	heard := x.meter.heard()
	Pass(ctx, time.Until(f.At.Add(5*time.Second)))
	if err := p.proxy.Heal(); err != nil {
		return err
	}
	x.outlasted(ctx, f, heard)
	return nil
}

// outlasted ends a silence that is longer than the callers' deadlines, at whose beginning the server had last been heard on
// each socket at some time. A call may have failed that held a lease when it began, or got a connection before the health
// checks could notice it, on which the server had been heard within the last second, one for each connection; and one that
// waited, at its deadline. Nobody else.
func (x *Experiment) outlasted(ctx context.Context, f *Fault, heard map[string]time.Time) {
	over := time.Now()
	x.Accepted(ctx, f, over, 0)
	Pass(ctx, 500*time.Millisecond)
	blamed := make(map[*Backend]bool)
	x.Excuse(func(c Call) bool {
		if c.Granted.IsZero() {
			return x.atDeadlineIn(c, f.At, over)
		}
		if c.Ended.Before(f.At) || blamed[c.Backend] || c.Granted.After(f.At) && !x.seemedWell(c, f, heard[c.Backend.Socket]) {
			return false
		}
		blamed[c.Backend] = true
		return true
	})
}

// seemedWell tells whether a call got a connection in a silence on which nothing could be suspected yet.
func (x *Experiment) seemedWell(c Call, f *Fault, heard time.Time) bool {
	return !c.Granted.After(f.At.Add(healthTimeout)) &&
		c.Granted.Sub(heard)-x.late.heldUp(heard, c.Granted) < healthTimeout
}

// slow adds a delay to everything, each way, for a while. By its second half checks have adapted: nothing is closed any
// more for being slow.
func slow(delay, length time.Duration) func(context.Context, *Experiment, *proxied) error {
	return func(ctx context.Context, x *Experiment, p *proxied) error {
		f := x.Strike(ctx)
		p.proxy.Latency(delay)
		Pass(ctx, length/2)
		half := x.meter.ended.Load()
		Pass(ctx, length/2)
		closed := x.meter.ended.Load() - half
		if err := p.proxy.Heal(); err != nil {
			return err
		}
		if closed > 0 {
			x.Fail("%d connections were closed in the second half: the checks did not adapt", closed)
		}
		x.Accepted(ctx, f, time.Now(), 0)
		Pass(ctx, 500*time.Millisecond)
		return nil
	}
}

// trickle lets next to nothing through. Whoever fails does so at the deadline, with a lease or without.
func trickle(ctx context.Context, x *Experiment, p *proxied) error {
	f := x.Strike(ctx)
	p.proxy.Rate(1)
	Pass(ctx, 5*time.Second)
	if err := p.proxy.Heal(); err != nil {
		return err
	}
	over := time.Now()
	x.Accepted(ctx, f, over, 0)
	Pass(ctx, 500*time.Millisecond)
	x.Excuse(func(c Call) bool { return x.atDeadlineIn(c, f.At, over) })
	return nil
}
