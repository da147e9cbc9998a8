package container

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/moby/moby/client"
)

// RequireVariable is the environment variable that turns skips for want of Docker into failures, by the value 1.
const RequireVariable = "SUPERVISED_REQUIRE_DOCKER"

const (
	// enginePatience is how long an engine may take to say that it is there.
	enginePatience = 10 * time.Second
	// startPatience bounds the start of a container, a pull of the image and a busy machine included.
	startPatience = pullPatience + 2*time.Minute
	// removePatience bounds the removal of a container.
	removePatience = time.Minute
	// logShown is how many entries of its server's log a failed test prints at most.
	logShown = 60
)

// Available skips the test if there is no Docker engine, or fails it where there must be one.
func Available(t testing.TB) {
	t.Helper()
	err := Engine(t.Context())
	if err == nil {
		return
	}
	if os.Getenv(RequireVariable) == "1" {
		t.Fatalf("no Docker engine: %v", err)
	}
	t.Skipf("no Docker engine: %v", err)
}

// Engine says why no container can be run on this machine; nil: one can.
func Engine(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, enginePatience)
	defer cancel()
	docker, err := client.New(client.FromEnv)
	if err != nil {
		return err
	}
	defer docker.Close()
	answer, err := docker.Ping(ctx, client.PingOptions{})
	if err != nil {
		return err
	}
	if answer.OSType != "linux" {
		return fmt.Errorf("it runs %s containers", answer.OSType)
	}
	return nil
}

// EngineVersion is the version of the Docker engine that can be reached.
func EngineVersion(ctx context.Context) (string, error) {
	docker, err := client.New(client.FromEnv)
	if err != nil {
		return "", err
	}
	defer docker.Close()
	answer, err := docker.ServerVersion(ctx, client.ServerVersionOptions{})
	return answer.Version, err
}

// Own returns a running server for this test alone, which is removed when the test ends. The tail of its log is printed
// if the test failed.
func Own(t testing.TB, o Options) *Server {
	t.Helper()
	Available(t)
	ctx, cancel := context.WithTimeout(t.Context(), startPatience)
	defer cancel()
	s, err := Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), removePatience)
		defer cancel()
		if t.Failed() {
			show(ctx, t, s)
		}
		if err := s.Remove(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

func show(ctx context.Context, t testing.TB, s *Server) {
	t.Helper()
	lines, err := s.Log(ctx)
	if err != nil {
		t.Log(err)
		return
	}
	for _, line := range lines[max(0, len(lines)-logShown):] {
		t.Logf("%s [%d] %s %s: %s", line.At.Format("15:04:05.000"), line.PID, line.Code, line.Severity, line.Text)
	}
}
