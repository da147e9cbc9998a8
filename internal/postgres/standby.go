//go:build linux || darwin

package postgres

import (
	"fmt"
	"path/filepath"
	"syscall"
)

// Standby makes the server, which must not run, begin its next life as a standby that follows nobody: it replays its log
// and waits for more; see [Options.Primary] for one that follows another. With the setting hot_standby off it lets nobody
// in (57P03), and [Server.StartAgain] returns only after [Server.Promote].
func (s *Server) Standby() error { return s.order(standbySignal) }

// Promote lets a standby end its recovery and become a server like any other. It does not wait for that:
// [Server.AcceptedAt] changes when it has happened.
func (s *Server) Promote() error {
	p := s.now()
	if p == nil {
		return ErrNotRunning
	}
	if err := s.order("promote"); err != nil {
		return err
	}
	p.signal(syscall.SIGUSR1)
	return nil
}

// order leaves a file in the data folder whose being there tells the server something.
func (s *Server) order(name string) error {
	if err := s.cluster.write(filepath.Join(s.cluster.data(), name), nil); err != nil {
		return fmt.Errorf("postgres: %s: %w", name, err)
	}
	return nil
}
