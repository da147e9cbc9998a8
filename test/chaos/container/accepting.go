package container

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"

	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
)

const (
	// loginEvery is the pause after a log-in that failed. The moment does not hang on it: the server's log ends the pause.
	loginEvery = 100 * time.Millisecond
	// loginPatience is how long one may take on a machine that is busy with other tests.
	loginPatience = 5 * time.Second
)

// WaitAccepting logs in until that works, and returns when it did. Log-ins go one after the other, so that they do not
// keep a server busy that is just coming up.
func (s *Server) WaitAccepting(ctx context.Context) (time.Time, error) {
	ctx, cancel := context.WithCancel(ctx)
	ready := make(chan struct{}, 1)
	followed := make(chan error, 1)
	go func() { followed <- s.follow(ctx, ready) }()
	defer func() {
		cancel()
		<-followed // without the log it only takes a little longer to see
	}()
	for {
		err := s.login(ctx, ready)
		switch {
		case err == nil:
			return time.Now(), nil
		case errors.Is(err, errReady):
			continue
		}
		select {
		case <-ready:
		case <-time.After(loginEvery):
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("container: nobody was let in: %w: %w", ctx.Err(), err)
		}
	}
}

// errReady says that a log-in was given up because a new one will do better.
var errReady = errors.New("the server is ready now")

// login logs in once. Through a published port, a dial to a server that is not there hangs for seconds, even if that
// comes back; hence it is given up when the server is ready.
func (s *Server) login(ctx context.Context, ready <-chan struct{}) error {
	ctx, cancel := context.WithTimeout(ctx, loginPatience)
	defer cancel()
	result := make(chan error, 1)
	go func() {
		conn, err := pgx.Connect(ctx, s.DSN())
		if err == nil {
			err = conn.Close(ctx)
		}
		result <- err
	}()
	select {
	case err := <-result:
		return err
	case <-ready:
		cancel()
		if <-result == nil {
			return nil
		}
		return errReady
	}
}

// follow reads the log of the container's present life until that or ctx ends, and signals when it says that the server
// lets clients in.
func (s *Server) follow(ctx context.Context, ready chan<- struct{}) error {
	found, err := s.docker.ContainerInspect(ctx, s.id, client.ContainerInspectOptions{})
	if err != nil {
		return err
	}
	stream, err := s.docker.ContainerLogs(ctx, s.id, client.ContainerLogsOptions{
		ShowStdout: true, ShowStderr: true, Follow: true, Since: found.Container.State.StartedAt,
	})
	if err != nil {
		return err
	}
	defer stream.Close()
	_, err = stdcopy.StdCopy(io.Discard, &watch{ready: ready}, stream)
	return err
}

// watch is a writer for a server's log.
type watch struct {
	ready chan<- struct{}
	rest  []byte // of a line that is not complete
}

func (w *watch) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		line, rest, complete := bytes.Cut(w.rest, []byte("\n"))
		if !complete {
			return len(p), nil
		}
		w.rest = rest
		for _, entry := range postgres.ParseLog(string(line)) {
			if entry.Ready() {
				select {
				case w.ready <- struct{}{}:
				default:
				}
			}
		}
	}
}

// ReadyAt returns when the server last began to let clients in, by its own log; zero if it never did. A machine and its
// containers have one clock.
func (s *Server) ReadyAt(ctx context.Context) (time.Time, error) {
	lines, err := s.Log(ctx)
	if err != nil {
		return time.Time{}, err
	}
	for _, line := range slices.Backward(lines) {
		if line.Ready() {
			return line.At, nil
		}
	}
	return time.Time{}, nil
}
