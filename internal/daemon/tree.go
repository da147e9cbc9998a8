package daemon

import (
	"time"

	"github.com/rs/zerolog"
	"github.com/thejerf/suture/v4"

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
	// Front shows the pool and the tree; nil: nobody sees them. It takes them over from here.
	Front *Front
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
	edge := p.Edge
	if p.Front != nil {
		edge = append(p.Front.children(p.Pool), edge...)
	}
	groups = append(groups,
		supervisor.Group{Name: "database", Children: []supervisor.Child{p.Pool.Service()}},
		supervisor.Group{Name: "edge", Children: edge},
	)
	tree, err := supervisor.New(supervisor.Config{Logger: p.Logger}, groups...)
	if p.Front != nil && err == nil {
		p.Front.tree.Store(tree)
	}
	return tree, err
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
