package daemon

import (
	"time"

	"github.com/rs/zerolog"
	"github.com/thejerf/suture/v4"

	"github.com/seed-4ff2b7b9/supervised/internal/config"
	"github.com/seed-4ff2b7b9/supervised/internal/ops"
	"github.com/seed-4ff2b7b9/supervised/internal/postgres"
	"github.com/seed-4ff2b7b9/supervised/poolactor"
	"github.com/seed-4ff2b7b9/supervised/supervisor"
)

// PoolPath is where the pool is mounted in the tree.
const PoolPath = "root/database/pool"

// EmbeddedPath is where the throwaway server is.
const EmbeddedPath = "root/embedded/postgres"

// Parts are what a tree is made of.
type Parts struct {
	// Embedded is a throwaway server that the tree keeps running; nil: there is none. Its maker closes it.
	Embedded *postgres.Server
	// EmbeddedDelay is how long it stays down after a crash.
	EmbeddedDelay time.Duration
	Pool          *poolactor.Pool
	// Edge is what uses the pool: it starts last and stops first.
	Edge   []supervisor.Child
	Logger *zerolog.Logger
}

// NewTree assembles a tree, which does not run yet.
func NewTree(p Parts) (*supervisor.Tree, error) {
	var groups []supervisor.Group
	if p.Embedded != nil {
		groups = append(groups, supervisor.Group{Name: "embedded", Children: []supervisor.Child{embedded(p)}})
	}
	groups = append(groups,
		supervisor.Group{Name: "database", Children: []supervisor.Child{p.Pool.Service()}},
		supervisor.Group{Name: "edge", Children: p.Edge},
	)
	return supervisor.New(supervisor.Config{Logger: p.Logger}, groups...)
}

// embeddedStop is what the server's fast and immediate stops may take together.
const embeddedStop = 12 * time.Second

// embedded is the throwaway server as a child. It may be killed as often as anybody likes, and comes back.
func embedded(p Parts) supervisor.Child {
	return supervisor.Child{
		Name:        "postgres",
		New:         func() suture.Service { return p.Embedded },
		Ready:       p.Embedded.WaitAccepting,
		Restart:     supervisor.Restart{Initial: p.EmbeddedDelay, Max: p.EmbeddedDelay, Intensity: -1},
		StopTimeout: embeddedStop,
	}
}

// opsChildren are the watch and the HTTP server as children of the edge.
func opsChildren(w *ops.Watch, s *ops.Server, c config.Supervision) []supervisor.Child {
	return []supervisor.Child{
		{Name: w.String(), New: func() suture.Service { return w }, Restart: restart(c), StopTimeout: time.Second},
		{
			Name: s.String(), New: func() suture.Service { return s }, Restart: restart(c),
			StopTimeout: ops.DrainTimeout + time.Second,
		},
	}
}
