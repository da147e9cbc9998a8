package daemon

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/seed-4ff2b7b9/supervised/internal/config"
	"github.com/seed-4ff2b7b9/supervised/internal/ops"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

// Options say what to run.
type Options struct {
	// ConfigFile is the configuration file; Asked says that somebody named it, so that it must exist.
	ConfigFile string
	Asked      bool
	// Embedded runs a throwaway PostgreSQL in the place of the configured one.
	Embedded bool
	Version  string
	// Log is what is logged to.
	Log io.Writer
	// Signals are orders to the daemon: SIGHUP reads the configuration again, any other stops in order, a second one
	// at once.
	Signals <-chan os.Signal
}

// ErrAbandoned is the end of a daemon that was told to stop for the second time.
var ErrAbandoned = errors.New("stopped at once by a second signal: connections were closed without taking leave")

// embeddedDelay is how long the throwaway server stays down after a crash: long enough for the outage to be seen by
// somebody who causes it to see one. The pool notices within half a second.
const embeddedDelay = 3 * time.Second

// abandonBound is how long a second signal leaves for the throwaway server to go: the whole stop has a second.
const abandonBound = 700 * time.Millisecond

// Run runs the daemon until it is told to stop, which is no error. The errors are those of the configuration
// (*config.Error or several, joined) before anything starts, ErrAbandoned, after which parts may still be running, and
// whatever else ends the daemon; the latter are in the log as well.
func Run(o Options) error {
	cfg, err := config.Load(o.ConfigFile, o.Asked)
	if err != nil {
		return err
	}
	log, err := newLogbook(cfg.Log, o.Log)
	if err != nil {
		return err
	}
	d := &daemon{options: o, cfg: cfg, log: log, reloads: make(chan struct{}, 1)}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- d.live(ctx) }()
	return d.obey(ctx, stop, ended)
}

// daemon is one run.
type daemon struct {
	options Options
	cfg     config.Config // what is in force; changed by live alone
	log     *logbook
	reloads chan struct{} // the configuration is to be read again

	embedded atomic.Pointer[postgres.Server]
	room     int // how many connections the throwaway server takes
	pool     *poolactor.Pool
	front    *Front
	tree     *supervisor.Tree
}

// obey carries out signals until the daemon has ended.
func (d *daemon) obey(ctx context.Context, stop context.CancelFunc, ended <-chan error) error {
	for {
		select {
		case err := <-ended:
			return err
		case s := <-d.options.Signals:
			switch {
			case s == syscall.SIGHUP:
				select {
				case d.reloads <- struct{}{}:
				default: // one that is still to be done will do
				}
			case ctx.Err() == nil:
				d.log.line(zerolog.InfoLevel, "daemon_stopping").Stringer("signal", s).Msg("stopping: what is under way may end; a second signal stops at once")
				stop()
			default:
				d.log.line(zerolog.WarnLevel, "daemon_stopping_at_once").Stringer("signal", s).Msg("stopping at once")
				d.abandon()
				return ErrAbandoned
			}
		}
	}
}

// abandon sees to it that the throwaway server goes. Everything else goes with the process.
func (d *daemon) abandon() {
	server := d.embedded.Load()
	if server == nil {
		return
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = server.Close() // its folder is found and removed at the next start
	}()
	select {
	case <-closed:
	case <-time.After(abandonBound):
	}
}

// live is the daemon's whole life; the end of ctx is the order to stop.
func (d *daemon) live(ctx context.Context) (err error) {
	defer func() {
		if err != nil {
			d.log.line(zerolog.ErrorLevel, "daemon_failed").AnErr("cause", err).Msg("supervised ends")
			return
		}
		d.log.line(zerolog.InfoLevel, "daemon_stopped").Msg("supervised has stopped")
	}()
	d.log.line(zerolog.InfoLevel, "daemon_starting").Str("version", d.options.Version).Int("pid", os.Getpid()).Msg("supervised starts")
	listener, err := ops.Listen(d.cfg.Ops.Host, d.cfg.Ops.Port)
	if err != nil {
		return err
	}
	defer listener.Close() // for a start that fails; the server closes it as well
	d.front = NewFront(d.cfg, d.options.Version, listener, &d.log.logger)
	if d.options.Embedded {
		server, err := d.startEmbedded(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		defer server.Close()
	}
	if err := d.assemble(); err != nil {
		return err
	}
	return d.serve(ctx)
}

// spareConnections are what the throwaway server has beyond the pool's, for psql and its own use.
const spareConnections = 20

// startEmbedded starts the throwaway server and makes it the database.
func (d *daemon) startEmbedded(ctx context.Context) (*postgres.Server, error) {
	d.room = d.cfg.Database.PoolMaxSize + spareConnections
	server, err := postgres.Start(ctx, postgres.Options{
		Logger:   &d.log.logger,
		Password: rand.Text(), // or every account of the machine would be its superuser
		Settings: map[string]string{"max_connections": strconv.Itoa(d.room)},
	})
	if err != nil {
		return nil, err
	}
	d.embedded.Store(server)
	d.cfg = d.withEmbedded(d.cfg)
	return server, nil
}

// withEmbedded makes the throwaway server the database of a configuration, if there is one.
func (d *daemon) withEmbedded(c config.Config) config.Config {
	if server := d.embedded.Load(); server != nil {
		return c.WithURL(server.DSN())
	}
	return c
}

// assemble makes everything that serves; nothing of it runs yet.
func (d *daemon) assemble() error {
	settings, err := PoolConfig(d.cfg, &d.log.logger)
	if err != nil {
		return err
	}
	settings.Tracer = d.front.Tracer()
	if d.pool, err = poolactor.New(settings); err != nil {
		return &config.Error{Problem: err.Error(), Err: err}
	}
	d.tree, err = NewTree(Parts{
		Embedded: d.embedded.Load(), EmbeddedDelay: embeddedDelay, Pool: d.pool, Logger: &d.log.logger, Front: d.front,
	})
	return err
}

// serve runs the tree until ctx ends or the tree gives up.
func (d *daemon) serve(ctx context.Context) error {
	defer d.front.Follow(d.pool, d.tree)()
	if err := d.tree.Start(ctx); err != nil {
		return errors.Join(unlessStopped(ctx, err), d.pool.Close())
	}
	d.log.line(zerolog.InfoLevel, "daemon_running").Str("url", d.front.URL()).
		Str("server", address(d.pool.Target())).
		Msg("supervised runs")
	for {
		select {
		case <-d.reloads:
			d.reload(ctx)
		case <-d.tree.Done():
			return d.tree.Err()
		case <-ctx.Done():
			// Each part has a StopTimeout of its own, and their sum bounds the whole.
			return d.tree.Stop(context.Background())
		}
	}
}

// unlessStopped is err, unless a start failed only because it was called off.
func unlessStopped(ctx context.Context, err error) error {
	var late *supervisor.StopError
	if ctx.Err() != nil && !errors.As(err, &late) {
		return nil
	}
	return err
}
