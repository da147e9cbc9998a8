package container

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"

	"github.com/seed-4ff2b7b9/supervised/internal/ports"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
)

const (
	host = "127.0.0.1"
	// freezeAttempts is how often a pause is tried. Each attempt of the container runtime takes seconds.
	freezeAttempts = 5
	// bridge is the network of a container that publishes its port.
	bridge = "bridge"
	// portAttempts is how many ports are tried before a container that cannot have its port is given up.
	portAttempts = 5
)

// Options say what a container is like. The zero value publishes the server's port on 127.0.0.1.
type Options struct {
	// HostNetwork lets the server listen on 127.0.0.1 itself. While it is down, dials are refused; through a published
	// port they succeed and then hang, since Docker's proxy answers for the container.
	HostNetwork bool
	// Settings are the server's parameters, beside and above those that make its log readable.
	Settings map[string]string
}

// Server is a PostgreSQL in a container that belongs to this process. Its port stays the same over all its lives.
// Its methods are safe for concurrent use, except Remove, which comes last.
type Server struct {
	docker *client.Client
	id     string
	port   int
}

// Start makes a container and returns when its server lets clients in. Before that it removes the containers that dead
// processes left behind. Whoever starts it removes it.
func Start(ctx context.Context, o Options) (_ *Server, err error) {
	docker, err := client.New(client.FromEnv)
	if err != nil {
		return nil, err
	}
	s := &Server{docker: docker}
	labels, err := owner.begin()
	if err != nil {
		return nil, errors.Join(err, docker.Close())
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Remove(context.WithoutCancel(ctx)))
		}
	}()
	if err := sweep(ctx, docker); err != nil {
		return nil, err
	}
	image, err := findImage(ctx, docker, labels)
	if err != nil {
		return nil, err
	}
	if err := s.create(ctx, image, labels, o); err != nil {
		return nil, err
	}
	if err := s.firstAccepting(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// errEnded says that a container whose server should come up has ended.
var errEnded = errors.New("container: the server ended while it started")

// firstAccepting waits for the server of a new container, which may be one that cannot start.
func (s *Server) firstAccepting(ctx context.Context) error {
	waiting, cancel := context.WithCancelCause(ctx)
	end := s.docker.ContainerWait(waiting, s.id, client.ContainerWaitOptions{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-end.Result:
			cancel(errEnded)
		case <-end.Error: // with the waiting, at the latest
		}
	}()
	_, err := s.WaitAccepting(waiting)
	ended := errors.Is(context.Cause(waiting), errEnded)
	cancel(nil)
	<-watched
	if err == nil {
		return nil
	}
	if ended {
		err = errEnded
	}
	text, _ := s.text(context.WithoutCancel(ctx)) // the error at hand matters more
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return fmt.Errorf("%w: %s", err, strings.Join(lines[max(0, len(lines)-5):], "; "))
}

// create makes and starts the container, on another port if somebody took the first one.
func (s *Server) create(ctx context.Context, image string, labels map[string]string, o Options) error {
	for attempt := 1; ; attempt++ {
		port, err := ports.Free()
		if err != nil {
			return err
		}
		made, err := s.docker.ContainerCreate(ctx, specify(image, port, labels, o))
		if err != nil {
			return fmt.Errorf("container: create: %w", err)
		}
		s.id, s.port = made.ID, port
		err = s.Start(ctx)
		if err == nil {
			return nil
		}
		if attempt == portAttempts || !strings.Contains(err.Error(), "already allocated") && !strings.Contains(err.Error(), "in use") {
			return err
		}
		if err := remove(ctx, s.docker, s.id, false); err != nil {
			return err
		}
	}
}

func specify(image string, port int, labels map[string]string, o Options) client.ContainerCreateOptions {
	settings := postgres.LogSettings()
	settings["fsync"] = "off" // what a killed process has written stays in the kernel
	maps.Copy(settings, o.Settings)
	config := &container.Config{
		Image:  image,
		Labels: labels,
		Env:    []string{trustEverybody},
		// A fast stop. The engine's own SIGTERM waits until the last client has gone.
		StopSignal: "SIGINT",
	}
	machine := &container.HostConfig{}
	if o.HostNetwork {
		machine.NetworkMode = network.NetworkHost
		settings["port"], settings["listen_addresses"] = strconv.Itoa(port), host
	} else {
		inside := network.MustParsePort("5432/tcp")
		config.ExposedPorts = network.PortSet{inside: {}}
		machine.NetworkMode = bridge
		machine.PortBindings = network.PortMap{
			inside: {{HostIP: netip.MustParseAddr(host), HostPort: strconv.Itoa(port)}},
		}
	}
	config.Cmd = []string{"postgres"}
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		config.Cmd = append(config.Cmd, "-c", key+"="+settings[key])
	}
	return client.ContainerCreateOptions{Config: config, HostConfig: machine}
}

// DSN is a connection string for the server.
func (s *Server) DSN() string {
	u := url.URL{
		Scheme: "postgres", User: url.User(postgres.DefaultUser), Host: s.Address(),
		Path: "/" + postgres.DefaultDatabase, RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Address is the host:port that clients dial.
func (s *Server) Address() string { return net.JoinHostPort(host, strconv.Itoa(s.port)) }

// Port is the port on 127.0.0.1 that clients dial.
func (s *Server) Port() int { return s.port }

// ID is the container's.
func (s *Server) ID() string { return s.id }

// Kill kills every process of the container with SIGKILL and returns when they are gone.
func (s *Server) Kill(ctx context.Context) error {
	_, err := s.docker.ContainerKill(ctx, s.id, client.ContainerKillOptions{Signal: "SIGKILL"})
	return about("kill", err)
}

// Start starts the container that was killed or stopped, on its data and port. It does not wait for the server.
func (s *Server) Start(ctx context.Context) error {
	_, err := s.docker.ContainerStart(ctx, s.id, client.ContainerStartOptions{})
	return about("start", err)
}

// Stop stops the server, fast, and kills it after ten seconds.
func (s *Server) Stop(ctx context.Context) error {
	_, err := s.docker.ContainerStop(ctx, s.id, client.ContainerStopOptions{})
	return about("stop", err)
}

// Restart is Stop and Start.
func (s *Server) Restart(ctx context.Context) error {
	_, err := s.docker.ContainerRestart(ctx, s.id, client.ContainerRestartOptions{})
	return about("restart", err)
}

// Pause freezes all processes: the network still takes what clients send, and nothing answers. The kernel may fail to
// freeze processes that are busy; the attempt is repeated until ctx ends or a few have failed.
func (s *Server) Pause(ctx context.Context) error {
	for attempt := 1; ; attempt++ {
		_, err := s.docker.ContainerPause(ctx, s.id, client.ContainerPauseOptions{})
		if err == nil || attempt == freezeAttempts || ctx.Err() != nil || !strings.Contains(err.Error(), "unable to freeze") {
			return about("pause", err)
		}
	}
}

// Unpause lets them go on.
func (s *Server) Unpause(ctx context.Context) error {
	_, err := s.docker.ContainerUnpause(ctx, s.id, client.ContainerUnpauseOptions{})
	return about("unpause", err)
}

// Disconnect takes the container's network away. It is not for HostNetwork.
func (s *Server) Disconnect(ctx context.Context) error {
	_, err := s.docker.NetworkDisconnect(ctx, bridge, client.NetworkDisconnectOptions{Container: s.id, Force: true})
	return about("disconnect", err)
}

// Connect gives it back.
func (s *Server) Connect(ctx context.Context) error {
	_, err := s.docker.NetworkConnect(ctx, bridge, client.NetworkConnectOptions{Container: s.id})
	return about("connect", err)
}

// Log reads the log of all the server's lives.
func (s *Server) Log(ctx context.Context) ([]postgres.Line, error) {
	text, err := s.text(ctx)
	return postgres.ParseLog(text), err
}

func (s *Server) text(ctx context.Context) (string, error) {
	stream, err := s.docker.ContainerLogs(ctx, s.id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true})
	if err != nil {
		return "", about("logs", err)
	}
	defer stream.Close()
	var text strings.Builder
	_, err = stdcopy.StdCopy(&text, &text, stream)
	return text.String(), about("logs", err)
}

// Rest closes the connections to the engine that nothing uses now, for whoever counts sockets and goroutines.
func (s *Server) Rest() error { return s.docker.Close() }

// Remove removes the container and all that it had. Nothing can be done with it afterwards.
func (s *Server) Remove(ctx context.Context) error {
	var err error
	if s.id != "" {
		found, errInspect := s.docker.ContainerInspect(ctx, s.id, client.ContainerInspectOptions{})
		paused := errInspect == nil && found.Container.State != nil && found.Container.State.Paused
		err = about("remove", remove(ctx, s.docker, s.id, paused))
	}
	return errors.Join(err, s.docker.Close(), owner.end())
}

func about(what string, err error) error {
	if err != nil {
		return fmt.Errorf("container: %s: %w", what, err)
	}
	return nil
}
