package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"github.com/seed-4ff2b7b9/supervised/internal/ports"
)

const (
	// retryEvery is the pause before a start that failed for a passing reason is tried again.
	retryEvery = 10 * time.Millisecond
	// orphanPatience is how long the backends of a killed postmaster may go on before they are killed, too. They have
	// been seen to need 10 to 750 ms to notice; one that computes needs for ever.
	orphanPatience = 2 * time.Second
	// startPatience is how long a start is tried again for passing reasons. Whoever took the port may keep it.
	startPatience = 15 * time.Second
	// stopPatience is how long a server may take to stop by itself when it goes for good.
	stopPatience = 5 * time.Second
)

// StartAgain starts the server on its data and port and returns when it lets clients in; if it runs already, it waits
// for that only. A start that fails because of what a killed server left (its backends, its lock file, its port) is
// tried again for up to 15 seconds. If the server is killed while it starts, the error says so.
func (s *Server) StartAgain(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.closing, cancel)()
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return s.given(ctx)
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	if s.created || s.database == DefaultDatabase {
		return nil
	}
	if err := s.createDatabase(ctx); err != nil {
		return fmt.Errorf("postgres: create database %s: %w", s.database, err)
	}
	s.created = true
	return nil
}

// given is the reason why a start was given up.
func (s *Server) given(ctx context.Context) error {
	if s.closing.Err() != nil {
		return ErrClosed
	}
	return fmt.Errorf("postgres: the server was not ready: %w", ctx.Err())
}

// begin starts the postmaster, as often as it takes.
func (s *Server) begin(ctx context.Context) error {
	since := time.Now()
	for {
		p, err := s.launch()
		if err != nil {
			return err
		}
		select {
		case <-p.ready:
			s.pinned, s.proven = true, true
			if !p.told {
				p.told = true
				line(s.logger.Info(), "postgres_accepts").Int("pid", p.pid).Int("port", s.Port()).Msg("postgres accepts connections")
			}
			return nil
		case <-p.exited:
		case <-ctx.Done():
			p.signal(os.Kill)
			<-p.exited
			return s.given(ctx)
		}
		if err := s.learn(p, since); err != nil {
			return err
		}
		select {
		case <-time.After(retryEvery):
		case <-ctx.Done():
			return s.given(ctx)
		}
	}
}

// learn draws the conclusion from a start that failed: nil means that another try makes sense.
func (s *Server) learn(p *process, since time.Time) error {
	select {
	case <-p.drained: // the log says why only when all of it was read
	case <-time.After(orphanWait):
	}
	lines, elapsed := p.last(), time.Since(since)
	verdict := judge(lines)
	if verdict == portTaken && !s.pinned {
		return s.choosePort()
	}
	if verdict == final || verdict == portTaken && !s.proven || elapsed > startPatience {
		return fmt.Errorf("postgres: the server ended while it started: %w: %s", ended(p.err), shown(lines))
	}
	if elapsed > orphanPatience {
		if n := killOrphans(s.cluster.data()); n > 0 {
			line(s.logger.Warn(), "postgres_orphans_killed").Int("count", n).Msg("postgres: killed what an earlier server left running")
		}
	}
	return nil
}

// verdict is what the log of a failed start means.
type verdict int

const (
	final     verdict = iota // trying again does not help
	leftOver                 // something of the killed server is still there
	portTaken                // somebody has the port
)

func judge(lines []Line) verdict {
	for _, line := range lines {
		switch {
		case strings.Contains(line.Text, "pre-existing shared memory block"),
			strings.Contains(line.Text, "lock file") && strings.Contains(line.Text, "already exists"):
			return leftOver
		case strings.Contains(line.Text, "Address already in use"):
			return portTaken
		}
	}
	return final
}

// shown renders log entries for an error.
func shown(lines []Line) string {
	var texts []string
	for _, line := range lines {
		texts = append(texts, strings.TrimPrefix(line.Severity+": "+line.Text, ": "))
	}
	return strings.Join(texts, "; ")
}

func ended(err error) error {
	if err == nil {
		return errors.New("exit status 0")
	}
	return err
}

// launch starts one postmaster.
func (s *Server) launch() (*process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if s.current != nil && s.current.running() {
		return s.current, nil
	}
	args := append([]string{"-D", s.cluster.data()}, arguments(reserved(s.port))...)
	cmd := exec.Command(filepath.Join(s.cluster.bindir, "postgres"), args...)
	cmd.Dir, cmd.Env = s.cluster.folder.path, environment()
	// The signal of an immediate stop: a postmaster that is killed outright leaves its backends behind.
	cmd.SysProcAttr = attributes(s.cluster.who, syscall.SIGQUIT)
	p, err := launch(cmd, s.log)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	s.current = p
	s.past = append(stillOpen(s.past), p)
	close(s.changed)
	s.changed = make(chan struct{})
	return p, nil
}

func (s *Server) choosePort() error {
	port, err := ports.Free()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.port = port
	return nil
}

func stillOpen(past []*process) []*process {
	var open []*process
	for _, p := range past {
		select {
		case <-p.drained:
		default:
			open = append(open, p)
		}
	}
	return open
}

func (s *Server) createDatabase(ctx context.Context) error {
	config, err := pgx.ParseConfig(s.DSN())
	if err != nil {
		return err
	}
	config.Database = DefaultDatabase
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, "create database "+pgx.Identifier{s.database}.Sanitize())
	return errors.Join(err, conn.Close(ctx))
}

// WaitAccepting returns when the server lets clients in, whoever starts it, or when ctx ends.
func (s *Server) WaitAccepting(ctx context.Context) error {
	for {
		s.mu.Lock()
		p, changed := s.current, s.changed
		s.mu.Unlock()
		var ready <-chan struct{}
		if p != nil && p.running() {
			ready = p.ready
		}
		select {
		case <-ready:
			if p.running() {
				return nil
			}
		case <-changed:
		case <-ctx.Done():
			return s.given(ctx)
		case <-s.closing.Done():
			return ErrClosed
		}
	}
}

// Kill kills the postmaster with SIGKILL and returns when it is gone. Its backends notice by themselves, mostly within
// a second. [ErrNotRunning] if there was nothing to kill.
func (s *Server) Kill() error {
	p := s.now()
	if p == nil {
		return ErrNotRunning
	}
	p.signal(os.Kill)
	<-p.exited
	return nil
}

// StopMode is how much a stop respects the clients.
type StopMode int

const (
	// Smart waits until the last client has gone.
	Smart StopMode = iota
	// Fast rolls back what runs and sends the clients away with 57P01.
	Fast
	// Immediate ends without a checkpoint: the next start recovers.
	Immediate
)

func (m StopMode) String() string {
	switch m {
	case Smart:
		return "smart"
	case Fast:
		return "fast"
	default:
		return "immediate"
	}
}

func (m StopMode) signal() os.Signal {
	switch m {
	case Smart:
		return syscall.SIGTERM
	case Fast:
		return syscall.SIGINT
	default:
		return syscall.SIGQUIT
	}
}

// Stop stops the server and returns when it is gone. If ctx ends first, the stop goes on. A server that is not running
// is no error.
func (s *Server) Stop(ctx context.Context, mode StopMode) error {
	p := s.now()
	if p == nil {
		return nil
	}
	p.signal(mode.signal())
	if err := p.wait(ctx); err != nil {
		return fmt.Errorf("postgres: %v stop: %w", mode, err)
	}
	return nil
}

// end stops the server by the given modes, each for stopPatience, and kills it if that did not help.
func (s *Server) end(modes ...StopMode) {
	for _, mode := range modes {
		ctx, cancel := context.WithTimeout(context.Background(), stopPatience)
		err := s.Stop(ctx, mode)
		cancel()
		if err == nil {
			return
		}
		line(s.logger.Warn(), "postgres_does_not_stop").AnErr("cause", err).Msg("postgres does not stop")
	}
	_ = s.Kill() // it may have ended by itself
}

// Close stops the server at once and removes all that it had, its folder included. Starts that are under way fail with
// [ErrClosed], as do later ones. Closing again does nothing.
func (s *Server) Close() error {
	s.mu.Lock()
	already := s.closed
	s.closed = true
	s.mu.Unlock()
	s.close()
	s.turn <- struct{}{} // a start that is under way ends first
	defer func() { <-s.turn }()
	if already {
		return nil
	}
	s.end(Immediate)
	errRemove := s.cluster.folder.remove()
	for _, p := range s.past {
		p.close()
	}
	return errors.Join(errRemove, s.log.Close())
}

// Serve makes the server a service of a supervisor tree: it starts the server, on the same data and port each time, and
// returns an error when it dies. When ctx ends, the server is stopped (fast, then immediate) before Serve returns.
// [Server.WaitAccepting] tells when it is ready; Close is still its maker's business.
func (s *Server) Serve(ctx context.Context) error {
	if err := s.StartAgain(ctx); err != nil {
		return err
	}
	p := s.latest() // it may have died already
	if p != nil && p.wait(ctx) != nil {
		s.end(Fast, Immediate)
		line(s.logger.Info(), "postgres_stopped").Int("pid", p.pid).Msg("postgres stopped")
		return ctx.Err()
	}
	if s.closing.Err() != nil {
		return ErrClosed
	}
	if p == nil {
		return fmt.Errorf("postgres: the server ended right after its start")
	}
	err := fmt.Errorf("postgres: the server (pid %d) ended: %w", p.pid, ended(p.err))
	line(s.logger.Warn(), "postgres_died").AnErr("cause", err).Msg("postgres died")
	return err
}

// line says in a line of the log what it is about.
func line(of *zerolog.Event, event string) *zerolog.Event {
	return of.Str("event", event).Str("actor", "postgres")
}
