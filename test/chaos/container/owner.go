//go:build unix

package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// Each container says by its labels which process on which machine it belongs to. The process is named by a file that it
// has locked: the kernel drops the lock when the process ends, however it ends, and no process id is compared.
const (
	hostLabel  = "supervised.chaos.host"
	ownerLabel = "supervised.chaos.owner"
)

// owner is this process, as long as it has containers.
var owner ownership

type ownership struct {
	mu    sync.Mutex
	users int
	lock  *os.File
}

// begin returns the labels for a container of this process; each begin needs an end.
func (o *ownership) begin() (map[string]string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	if o.lock == nil {
		lock, err := os.CreateTemp("", "supervised-chaos-*.lock")
		if err != nil {
			return nil, err
		}
		if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			return nil, errors.Join(err, lock.Close(), os.Remove(lock.Name()))
		}
		o.lock = lock
	}
	o.users++
	return map[string]string{hostLabel: host, ownerLabel: o.lock.Name()}, nil
}

func (o *ownership) end() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.users--
	if o.users > 0 {
		return nil
	}
	lock := o.lock
	o.lock = nil
	return errors.Join(os.Remove(lock.Name()), lock.Close())
}

// abandoned reports whether the process that locked the file is gone.
func abandoned(name string) bool {
	file, err := os.Open(name)
	if err != nil {
		return errors.Is(err, os.ErrNotExist)
	}
	defer file.Close()
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}

// sweep removes the containers of this machine's dead processes.
func sweep(ctx context.Context, docker *client.Client) error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	filters := make(client.Filters).Add("label", hostLabel+"="+host)
	found, err := docker.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: filters})
	if err != nil {
		return err
	}
	var failed []error
	for _, c := range found.Items {
		lock := c.Labels[ownerLabel]
		if !abandoned(lock) {
			continue
		}
		if err := remove(ctx, docker, c.ID, c.State == container.StatePaused); err != nil {
			failed = append(failed, fmt.Errorf("container: left-over %s: %w", c.ID[:12], err))
			continue
		}
		_ = os.Remove(lock) // several containers may share it
	}
	return errors.Join(failed...)
}

// remove removes a container and its data.
func remove(ctx context.Context, docker *client.Client, id string, paused bool) error {
	if paused {
		// A paused process does not even die.
		if _, err := docker.ContainerUnpause(ctx, id, client.ContainerUnpauseOptions{}); err != nil {
			return err
		}
	}
	_, err := docker.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if errdefs.IsNotFound(err) || errdefs.IsConflict(err) {
		return nil // gone, or just being removed by another process's sweep
	}
	return err
}
