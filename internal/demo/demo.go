// Package demo shows what the pool promises and holds it to that: it kills a throwaway PostgreSQL again and again under
// load, and judges every failed call by the backend that it had, and every key by the table.
//
// The judge believes nothing that the pool says about itself. Which backend a call had it learns from the connection,
// when that died from the system, what was committed from the table.
package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/rs/zerolog"
	"github.com/thejerf/suture/v4"

	"github.com/seed-4ff2b7b9/supervised/internal/config"
	"github.com/seed-4ff2b7b9/supervised/internal/daemon"
	"github.com/seed-4ff2b7b9/supervised/internal/judge"
	"github.com/seed-4ff2b7b9/supervised/internal/ops"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

// Options say what to show. All must be set but Break and Ops.
type Options struct {
	Every   time.Duration // between two kills; the first comes after half of it
	For     time.Duration // how long to go on
	Callers int
	// Break takes the pool's patience away, for the judge to notice.
	Break bool
	// Ops is where the daemon's pages and metrics are served meanwhile, like 127.0.0.1:8432; port 0 is a free one. Empty:
	// nowhere.
	Ops string
	Out io.Writer
}

// Bounds of the options: a killed server needs a moment to come back, and to be of use before the next kill.
const (
	leastEvery  = time.Second
	mostCallers = 1000
)

// Check says what is wrong with the options.
func (o Options) Check() error {
	switch {
	case o.Every < leastEvery:
		return fmt.Errorf("--every is %v: at least %v", o.Every, leastEvery)
	case o.For <= o.Every/2:
		return fmt.Errorf("--for is %v: longer than half of --every (%v), which is when the first kill comes", o.For, o.Every)
	case o.Callers < 1 || o.Callers > mostCallers:
		return fmt.Errorf("--callers is %d: 1 to %d", o.Callers, mostCallers)
	}
	if o.Ops == "" {
		return nil
	}
	_, _, err := o.address()
	return err
}

// address is where to serve.
func (o Options) address() (host string, port int, err error) {
	host, number, err := net.SplitHostPort(o.Ops)
	if err == nil {
		port, err = strconv.Atoi(number)
	}
	if err != nil {
		return "", 0, fmt.Errorf("--ops is %q: an address and a port, like 127.0.0.1:8432", o.Ops)
	}
	return host, port, nil
}

// ErrBroken is the end of a demo in which something failed that must not.
var ErrBroken = errors.New("the demo failed: the pool did not keep its promise")

// restartDelay is how long the server stays down after a kill: long enough for each outage to be one.
const restartDelay = 300 * time.Millisecond

// spareConnections are what the server has beyond the pool's, for the judge and for psql.
const spareConnections = 20

// demo is one run.
type demo struct {
	options  Options
	server   *postgres.Server
	front    *daemon.Front // nil: nobody looks
	pool     *poolactor.Pool
	tree     *supervisor.Tree
	backends judge.Census
	work     *workload
	killer   *killer
	began    time.Time
}

// Run shows it. The end of ctx ends the show early, with the verdict so far. The errors are ErrBroken, and whatever
// keeps the demo from running.
func Run(ctx context.Context, o Options) error {
	d := &demo{options: o}
	screen := newScreen(o.Out)
	cfg := config.Default()
	if o.Ops != "" {
		listener, err := d.open(cfg)
		if err != nil {
			return err
		}
		defer listener.Close() // for a start that fails; the server closes it as well
	}
	screen.say("Starting a throwaway PostgreSQL ...")
	var err error
	d.server, err = postgres.Start(ctx, postgres.Options{
		Password: rand.Text(), // or every account of the machine would be its superuser
		Settings: map[string]string{"max_connections": strconv.Itoa(cfg.Database.PoolMaxSize + spareConnections)},
	})
	if err != nil {
		return err
	}
	defer d.server.Close() // its folder is found and removed at the next start, if not now
	if err := createTable(ctx, d.server.DSN()); err != nil {
		return err
	}
	if err := d.assemble(cfg.WithURL(d.server.DSN())); err != nil {
		return err
	}
	if err := d.tree.Start(ctx); err != nil {
		return errors.Join(err, d.pool.Close())
	}
	screen.say(d.headline())
	if d.front != nil {
		defer d.front.Follow(d.pool, d.tree)()
		screen.say("Its pages are at " + d.front.URL() + ", its metrics at " + d.front.URL() + "metrics")
	}
	d.began = time.Now()
	d.show(ctx, screen)
	return d.conclude(screen)
}

// open makes what shows the demo to the outside.
func (d *demo) open(cfg config.Config) (net.Listener, error) {
	host, port, err := d.options.address()
	if err != nil {
		return nil, err
	}
	listener, err := ops.Listen(host, port)
	if err != nil {
		return nil, err
	}
	silent := zerolog.Nop()
	d.front = daemon.NewFront(cfg, "demo", listener, &silent)
	return listener, nil
}

// assemble makes the pool, the callers and the tree around them.
func (d *demo) assemble(cfg config.Config) error {
	silent := zerolog.Nop()
	settings, err := daemon.PoolConfig(cfg, &silent)
	if err != nil {
		return err
	}
	settings.ConnConfig.AfterConnect = d.backends.Introduce
	if d.front != nil {
		settings.Tracer = d.front.Tracer()
	}
	if d.options.Break {
		settings.Retry.FailFast, settings.Retry.MaxRetries = true, -1
	}
	if d.pool, err = poolactor.New(settings); err != nil {
		return err
	}
	d.work = newWorkload(d.pool, d.options.Callers)
	d.killer = newKiller(d.server, &d.backends, d.work)
	d.tree, err = daemon.NewTree(daemon.Parts{
		Embedded: d.server, EmbeddedDelay: restartDelay, Pool: d.pool, Logger: &silent, Front: d.front,
		Edge: []supervisor.Child{{
			Name: "callers", New: func() suture.Service { return d.work },
			// Whoever has begun a call ends it.
			StopTimeout: callTimeout + time.Second,
		}},
	})
	return err
}

func (d *demo) headline() string {
	o := d.options
	text := fmt.Sprintf("%d callers on a pool of %d connections to %s. Its postmaster is killed every %v, for %v.",
		o.Callers, d.pool.Stat().Max, d.server.Address(), o.Every, o.For)
	if o.Break {
		text += "\nThe pool is broken on purpose: calls fail at the first failed attempt to connect."
	}
	return text
}

// show runs until the time is over, ctx ends, or the tree does.
func (d *demo) show(ctx context.Context, screen *screen) {
	ctx, cancel := context.WithTimeout(ctx, d.options.For)
	defer cancel()
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		d.killer.run(ctx, d.options.Every)
	}()
	tick := time.NewTicker(screen.period())
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			screen.status(d.status())
		case k := <-d.killer.reports:
			screen.say(k)
		case <-ctx.Done():
			<-killed
			return
		case <-d.tree.Done():
			cancel()
			<-killed
			return
		}
	}
}

// patience bounds what comes after the show.
const patience = time.Minute

// conclude lets the callers end, and then the rest, looks at the table, and judges.
func (d *demo) conclude(screen *screen) error {
	screen.say("Letting the calls under way end ...")
	took := time.Since(d.began)
	gaveUp := d.tree.Err()
	restarts := restartsIn(d.tree.Snapshot())
	if err := errors.Join(gaveUp, d.tree.Stop(context.Background())); err != nil {
		return err
	}
	d.killer.wait()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	// The tree has stopped the server in order; the judge starts it once more and asks it without the pool.
	if err := d.server.StartAgain(ctx); err != nil {
		return err
	}
	table, err := readTable(ctx, d.server.DSN(), d.work.keys)
	if err != nil {
		return err
	}
	r := report{
		took: took, kills: d.killer.kills, restarts: restarts, figures: d.work.figures(), latency: d.work.latency.snapshot(),
		rule: judge.Rule(d.work.failures, d.killer.faults()), table: table, misread: d.work.misread.Load(),
		longest: time.Duration(d.work.longest.Load()),
	}
	screen.say(r.String())
	if !r.kept() {
		return ErrBroken
	}
	return nil
}

// restartsIn counts the restarts of everything in a tree.
func restartsIn(tree supervisor.Node) int {
	n := 0
	for node := range tree.All() {
		n += node.Restarts
	}
	return n
}
