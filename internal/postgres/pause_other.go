//go:build !linux

package postgres

import (
	"errors"
	"fmt"
)

// Pause stops every process of the server. It is only for systems with /proc, by which they are found.
func (s *Server) Pause() error { return fmt.Errorf("postgres: pause: %w", errors.ErrUnsupported) }

// Unpause ends a [Server.Pause].
func (s *Server) Unpause() error { return fmt.Errorf("postgres: unpause: %w", errors.ErrUnsupported) }
